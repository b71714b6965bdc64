"""Pentad's gateway: the documented HTTP and gRPC words in front of Triton."""
