"""`make gpu-check`: is Pentad right, and how fast, on the GPU at hand?

`__main__` and what it imports need Python alone. Each part of `parts.PARTS` runs in a process of
its own, imports what it needs there, and is skipped where that is not installed.
"""
