"""The engine `remote`: a server elsewhere that runs the model already."""
