"""Lip-sync: inference on tenants, and their REST interface."""
