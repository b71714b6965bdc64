"""Clips: their containers' headers and which frames are read."""
