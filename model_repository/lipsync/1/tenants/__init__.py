"""Tenants' files: read, checked, imported and kept."""
