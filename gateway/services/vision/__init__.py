"""Image classification and GPU telemetry, as the replaced dashboard server spoke them."""
