"""Load tests: one generator, the peers it compares, thresholds."""
