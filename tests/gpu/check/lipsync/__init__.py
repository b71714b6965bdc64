"""Parts about lip-sync; all but `through_triton` need torch, ONNX and ONNX Runtime alone."""
