"""Speed of virtual try-on: the model by itself, and the jobs around it."""
