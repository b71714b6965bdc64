"""Frames on their way through the model: pixels, queue and workers."""
