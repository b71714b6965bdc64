"""Load tests: one generator, the peers it compares, thresholds."""

from gateway.privacy import silence_libraries

silence_libraries()
