"""ONNX graphs to TensorRT plans, on the GPU that will run them (`python -m export plans`).

Everything but `engine` works and is tested without a GPU. `engine` is written against the Python
API of TensorRT 10.16 and has not been run: no GPU was at hand.
"""

COMMAND = "plans"
