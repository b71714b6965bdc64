"""Memory of the host and of the device, and where weights lie."""
