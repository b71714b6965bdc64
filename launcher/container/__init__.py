"""Triton inside a container: fills the volume with models, then becomes tritonserver."""
