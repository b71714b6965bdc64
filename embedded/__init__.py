"""The name before `launcher`: commands of earlier versions' documents go on working."""
