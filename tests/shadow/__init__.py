"""Replays requests to an old server and to Pentad and compares the answers."""
