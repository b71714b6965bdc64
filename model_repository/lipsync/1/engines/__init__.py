"""What computes frames: the engines for CPUs and GPUs."""
