"""HTTP connections: what a peer may send, how long it may take, and how its connection ends."""
