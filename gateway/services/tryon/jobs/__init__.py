"""Durable jobs: kept before they are accepted, run once, their results delivered until received."""
