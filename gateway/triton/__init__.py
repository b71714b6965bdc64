"""The only package that speaks to Triton."""

from gateway.triton.client import TritonClient
from gateway.triton.port import TritonPort
from gateway.triton.tensors import Tensor

__all__ = ["Tensor", "TritonClient", "TritonPort"]
