"""Virtual try-on: the replaced server's API, and jobs that can be asked about."""
