"""Readiness by canary inference, loading and reloading of models."""
