"""Runs a real tritonserver without a container: launcher, supervisor, Python-based backends."""
