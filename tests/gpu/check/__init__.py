"""`make gpu-check`: is Pentad right, and how fast, on the GPU at hand?

Needs the environment of the tests and exported models, no Docker and no network. What cannot run is
skipped, and the report says why.
"""
