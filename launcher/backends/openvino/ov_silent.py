"""OpenVINO without the module that reports to its maker; OpenVINO has a stub for where it lacks."""

from __future__ import annotations

import sys

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
import openvino  # noqa: E402

__all__ = ["openvino"]
