"""NVIDIA perf_analyzer against the models, with committed inputs."""
