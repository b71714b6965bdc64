"""The engines `diffusers` and `lightx2v`, which render a new picture."""
