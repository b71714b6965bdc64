"""The only package that speaks to Triton."""

from gateway.settings.triton import TritonSettings
from gateway.triton.channel import credentials
from gateway.triton.client import TritonClient
from gateway.triton.pool import TritonPool
from gateway.triton.port import TritonPort
from gateway.triton.tensors import Tensor

__all__ = ["Tensor", "TritonClient", "TritonPool", "TritonPort", "connect"]


def connect(settings: TritonSettings, admin_key: str = "") -> TritonClient | TritonPool:
    """Return the client of the one Triton, or of the several, that ``settings.url`` names.

    Raises:
        ValueError: a certificate or key cannot be read.
    """
    credentials(settings)  # those of several are connected later, where nobody could be told
    return (TritonPool if settings.several else TritonClient)(settings, admin_key)
