"""Turns checkpoints into the artefacts that the model repository serves.

`python -m export` is the way in. The repository's committed configurations say what each model
looks like; this package only writes the git-ignored files inside their version folders.
"""

from gateway.capacity.visible import count_in_bus_order
from gateway.privacy import silence_libraries

count_in_bus_order()
silence_libraries()  # before any module of this package imports a library that reports
