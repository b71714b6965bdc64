"""Faces of pictures: found, aligned, judged and compared."""
