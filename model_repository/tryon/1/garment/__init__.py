"""Garments: flat or worn, and their parts."""
