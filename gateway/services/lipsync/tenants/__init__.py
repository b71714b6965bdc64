"""Lip-sync's tenants: which there are, on which device each one is, who stays and who leaves."""
