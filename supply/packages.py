"""The packages of the locks and of the dashboard, with their licences."""

from __future__ import annotations

import json
import re
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("runtime", "binaries", "torch")
"""What `make run` installs; vLLM's environment and the test tools are not shipped with it."""
FILES = tuple(f"requirements/{lock}.lock" for lock in LOCKS)
IMAGE_FILES = (
    "requirements/cuda.lock",
    "requirements/gpu.lock",
    "export/insightface.lock",
    "export/torchvision.lock",
    "export/tryon/libraries.lock",
    "requirements/vlm-cuda.lock",
)
"""What docker/triton.Dockerfile, the exporters and a machine with a GPU install beside it."""

# What metadata calls a licence, by SPDX identifier.
_SPDX = {
    "Apache-2.0": r"apache( software)?( license)?(,? version)?[ -]?(2(\.0)?)?( license)?"
    r"|OSI Approved :: Apache Software License",
    "MIT": r"mit( license)?",
    "BSD-3-Clause": r"3-clause bsd( license)?|new bsd( license)?|BSD 3-Clause License",
    "BSD": r"bsd( license)?",
    "MPL-2.0": r"mozilla public license 2\.0 \(mpl 2\.0\)",
    "ISC": r"isc( license)?( \(iscl\))?",
}
# Of packages whose metadata says only "BSD", or that another Python needs than the one at hand.
_KNOWN = {
    "coloredlogs": "MIT",
    "exceptiongroup": "MIT AND PSF-2.0",
    "humanfriendly": "MIT",
    "jinja2": "BSD-3-Clause",
    "mpmath": "BSD-3-Clause",
    "numpy": "BSD-3-Clause",
    "nvidia-ml-py": "BSD-3-Clause",
    "sympy": "BSD-3-Clause",
    "tomli": "MIT",
    "uvloop": "MIT OR Apache-2.0",
}


class Package(NamedTuple):
    """A package and the SPDX expression of its licence."""

    name: str
    licence: str


class UnknownLicenceError(LookupError):
    """A package's metadata names no licence that is known here."""


def locked() -> list[str]:
    """Return the names in the locks, sorted."""
    names: set[str] = set()
    for lock in LOCKS:
        text = (ROOT / "requirements" / f"{lock}.lock").read_text()
        names |= set(re.findall(r"^([A-Za-z0-9._-]+)==", text, re.M))
    return sorted(names)


def licence(name: str) -> str:
    """Return the SPDX expression of an installed package.

    Raises:
        UnknownLicenceError: it is not installed and not known, or names no known licence.
    """
    if name in _KNOWN:
        return _KNOWN[name]
    try:
        fields = metadata(name)
    except PackageNotFoundError:
        raise UnknownLicenceError(f"{name} is not installed") from None
    if "License-Expression" in fields:
        return fields["License-Expression"]
    classifiers: list[str] = fields.get_all("Classifier") or []
    named = [
        classifier.split("::")[-1]
        for classifier in classifiers
        if classifier.startswith("License ::")
    ]
    stated = [fields["License"]] if "License" in fields else []
    for text in (*stated, *named):
        for spdx, pattern in _SPDX.items():
            if text.strip() == spdx or re.fullmatch(pattern, text.strip(), re.IGNORECASE):
                return spdx
        if re.fullmatch(r"[\w.+-]+( (AND|OR|WITH) [\w.+-]+)+|[\w.]+-[\w.-]+", text.strip()):
            return text.strip()
    raise UnknownLicenceError(f"{name} names no known licence")


def python_packages() -> list[Package]:
    """Return every locked package.

    Raises:
        UnknownLicenceError: as :func:`licence`.
    """
    return [Package(name, licence(name)) for name in locked()]


def dashboard_packages() -> list[Package]:
    """Return what npm's lock file installs for use, without the build tools."""
    lock = json.loads((ROOT / "dashboard" / "package-lock.json").read_text())
    licences = {
        path.rpartition("node_modules/")[2]: str(entry.get("license", "unknown"))
        for path, entry in lock["packages"].items()
        if "node_modules/" in path and not entry.get("dev") and not entry.get("link")
    }
    return [Package(name, licences[name]) for name in sorted(licences)]
