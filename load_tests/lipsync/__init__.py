"""Lip-sync, the Triton model alone: against plain ONNX Runtime sessions in one process."""
