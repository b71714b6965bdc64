"""How tritonserver is started in a container: NVIDIA's where there is one, else the wheel's."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.privacy import SILENT
from gateway.settings import Settings
from gateway.visible_cards import IN_BUS_ORDER
from launcher import leftovers
from launcher.layout import (
    CALIBRATION,
    COMPILED,
    DEFAULTS,
    Wheel,
    assemble_backends,
    calibration,
    compiled_graphs,
    environment,
    find_wheel,
)
from launcher.lipsync_room import lipsync_room
from launcher.options import command_line, options_from
from launcher.profile import choose_profile

NVIDIA = Path("/opt/tritonserver")
"""Where NVIDIA's images have Triton."""


def invocation(settings: Settings) -> tuple[list[str], dict[str, str]]:
    """Return the command line and the environment of tritonserver.

    Raises:
        LauncherError: Neither NVIDIA's Triton nor the wheel is here, or the profile or the address
            cannot be served.
    """
    wanted, prefix = settings.embedded.profile, leftovers.new_prefix()
    told = lipsync_room(settings)
    if settings.embedded.calibrate:
        told[CALIBRATION] = str(calibration(settings.paths.state))
    if not NVIDIA.is_dir():
        options = options_from(settings, choose_profile(wanted, settings.paths.repository))
        wheel = find_wheel()
        backends = assemble_backends(wheel, settings.paths.state / "triton" / "backends")
        compiled = {COMPILED: str(compiled_graphs(settings.paths.state))}
        variables = {**environment(wheel), **compiled, **told}
        return command_line(options, wheel, backends, prefix, variables), variables
    # ONNX Runtime serves first; the gateway changes a model to its plan once that is built.
    options = options_from(settings, "default" if wanted == "auto" else wanted)
    variables = {**DEFAULTS, **os.environ, **SILENT, **IN_BUS_ORDER, **told}
    return command_line(options, _nvidia(), NVIDIA / "backends", prefix, variables), variables


def _nvidia() -> Wheel:
    """NVIDIA's Triton in the places where command_line looks for the wheel's parts."""
    python = NVIDIA / "backends" / "python"
    return Wheel(
        server=NVIDIA / "bin" / "tritonserver",
        python_backend=python,
        stub=python / "triton_python_backend_stub",
        caches=NVIDIA / "caches",
        libraries=NVIDIA / "lib",
    )
