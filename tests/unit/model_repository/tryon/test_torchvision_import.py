"""Operators of torchvision may be known already, to another copy of the module or a real build."""

from __future__ import annotations

import pytest
import torch
from diffusion import torchvision_import


def test_operators_are_declared_once_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    torchvision_import.declare_operators()
    monkeypatch.setattr(torchvision_import, "_declared", [])  # as another copy has it
    torchvision_import.declare_operators()
    assert hasattr(torch.ops.torchvision, "nms")
