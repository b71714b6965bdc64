"""What operators see: logs, metrics, traces, GPU figures."""
