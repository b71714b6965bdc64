"""Lip-sync: demo tenants with random weights, the import of tenants, the audio encoder."""
