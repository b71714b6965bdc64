"""Images that stand in for those of the Dockerfiles' FROM lines and of the compose files.

No registry of images is asked: each is Debian bookworm by debootstrap, under the name of the image
that it stands in for, and holds of it what Pentad's images use. ``STAND_INS`` says of each what it
is not, and `make test-containers` prints that. They are made once and kept in the engine's storage.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.container_engine import Engine, EngineError
from tests.support.containers import versions

PYTHON = "3.11"  # Debian bookworm's
RECIPE = "org.pentad.stand-in"
"""Label with a hash of what the image was made by."""
SUITE = "bookworm"
# What the slim images of Debian and Python leave out.
SLIM = (
    "rm -rf var/lib/apt/lists/* var/cache/apt/archives/*.deb usr/share/man usr/share/info"
    " usr/share/locale var/cache/apt/*.bin var/log/*.log usr/share/lintian"
    " && find usr/share/doc -type f ! -name copyright -delete"
    " && find usr -name __pycache__ -prune -exec rm -r {} +"
)
# Python and pip as the official image has them: /usr/local/bin/python, and pip not Debian's.
PYTHON_LINKS = f"""
chroot . sh -euc 'ln -s /usr/bin/python{PYTHON} /usr/local/bin/python
ln -s /usr/bin/python{PYTHON} /usr/local/bin/python3
rm -f /usr/lib/python{PYTHON}/EXTERNALLY-MANAGED
PYTHONPATH=$(ls /usr/share/python-wheels/pip-*.whl) python -m pip install --quiet \
  --root-user-action=ignore --disable-pip-version-check --no-index \
  --find-links /usr/share/python-wheels pip'
"""
NVIDIA_ENTRY = f"""
mkdir -p opt/nvidia
printf '#!/bin/bash\\nexec "$@"\\n' > opt/nvidia/nvidia_entrypoint.sh
chmod 755 opt/nvidia/nvidia_entrypoint.sh
ln -s /opt/pentad/venv/lib/python{PYTHON}/site-packages/pytriton/tritonserver opt/tritonserver
"""
# The official image's variables, as far as compose.yaml sets them.
POSTGRES_ENTRY = r"""#!/bin/bash
set -eu
data=/var/lib/postgresql/data
if [ "$(id -u)" = 0 ]; then
    chown -R postgres:postgres "$data"
    mkdir -p /run/postgresql && chown postgres:postgres /run/postgresql
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [ ! -s "$data/PG_VERSION" ]; then
    initdb -D "$data" -U "$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" \
        -A scram-sha-256 -E UTF8
    echo "host all all all scram-sha-256" >> "$data/pg_hba.conf"
    pg_ctl -D "$data" -w -o "-c listen_addresses=''" start
    [ "$POSTGRES_DB" = postgres ] || \
        PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE") createdb -U "$POSTGRES_USER" "$POSTGRES_DB"
    pg_ctl -D "$data" -w stop
fi
exec "$@"
"""
POSTGRES_FILES = f"""
cat > usr/local/bin/docker-entrypoint.sh <<'ENTRY'
{POSTGRES_ENTRY}ENTRY
chmod 755 usr/local/bin/docker-entrypoint.sh
for program in initdb pg_ctl createdb pg_isready postgres psql; do
    ln -s /$(echo usr/lib/postgresql/*/bin)/$program usr/local/bin/
done
mkdir -p var/lib/postgresql/data
"""
PYTHON_PACKAGES = ("python3", "python3-venv", f"libpython{PYTHON}", "ca-certificates", "netbase")


@dataclass(frozen=True)
class StandIn:
    """How one stand-in is made.

    Attributes:
        name: Name that the real image is asked for by.
        packages: Debian's packages in it.
        script: Shell commands after that, in the root file system.
        instructions: Dockerfile instructions of the image.
        differs: What it is not, for whoever reads the test's output.
    """

    name: str
    packages: tuple[str, ...]
    script: str
    instructions: tuple[str, ...]
    differs: str

    @property
    def recipe(self) -> str:
        """Hash of all that it is made by."""
        text = repr((self.packages, self.script, self.instructions, SUITE, SLIM))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def stand_ins() -> dict[str, StandIn]:
    """Return the stand-ins by what they are for: ``python``, ``postgres`` and ``triton``."""
    tags = versions()
    return {
        "python": StandIn(
            f"docker.io/library/python:{tags['PYTHON_TAG']}",
            PYTHON_PACKAGES,
            PYTHON_LINKS,
            ('CMD ["python3"]',),
            f"Debian bookworm's Python {PYTHON} instead of Python {tags['PYTHON_TAG'][:4]}: the"
            " locks' wheels for another Python are installed",
        ),
        "postgres": StandIn(
            f"docker.io/library/postgres:{tags['POSTGRES_TAG']}",
            ("postgresql", "netbase"),
            POSTGRES_FILES,
            (
                "STOPSIGNAL SIGINT",
                'ENTRYPOINT ["docker-entrypoint.sh"]',
                'CMD ["postgres", "-D", "/var/lib/postgresql/data", "-c", "listen_addresses=*"]',
            ),
            f"Debian bookworm's PostgreSQL 15 instead of {tags['POSTGRES_TAG'][:2]}, and an entry"
            " point of the tests' own, which knows the variables that the compose files set",
        ),
        "triton": StandIn(
            f"nvcr.io/nvidia/tritonserver:{tags['TRITON_TAG']}",
            PYTHON_PACKAGES,
            PYTHON_LINKS + NVIDIA_ENTRY,
            (),
            "Debian without CUDA and TensorRT, the CPU image's tritonserver for NVIDIA's; NVIDIA's"
            " entry point only executes its arguments",
        ),
    }


def make(engine: Engine, wanted: StandIn, tell: Callable[[str], None]) -> None:
    """Put a stand-in into the engine's storage, unless the same one is there.

    Raises:
        EngineError: debootstrap or the script failed.
    """
    tell(f"stand-in for {wanted.name}: {wanted.differs}")
    if engine.has_image(wanted.name):
        labels = engine.image(wanted.name)["Labels"] or {}
        if labels.get(RECIPE) == wanted.recipe:
            return
    folder = engine.folder / "stand-in"
    shutil.rmtree(folder, ignore_errors=True)
    root = folder / "root"
    root.mkdir(parents=True)
    try:
        _bootstrap(engine, wanted, root)
        script = f"set -euo pipefail\n{wanted.script}\n{SLIM}"
        _run(["bash", "-c", script], root)
        archive = folder / "root.tar"
        _run(["tar", "--numeric-owner", "--one-file-system", "-cf", str(archive), "."], root)
        shutil.rmtree(root)
        file = folder / "Dockerfile"
        lines = ["FROM scratch", "ADD root.tar /", f"LABEL {RECIPE}={wanted.recipe}"]
        lines.append("ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        file.write_text("\n".join([*lines, *wanted.instructions]) + "\n")
        engine.build(file, wanted.name, {}, context=folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _bootstrap(engine: Engine, wanted: StandIn, root: Path) -> None:
    """Unpack Debian; what was downloaded once is kept."""
    cache = engine.folder / "debootstrap"
    cache.mkdir(exist_ok=True)
    include = f"--include={','.join(wanted.packages)}"
    options = ["--variant=minbase", f"--cache-dir={cache}", include]
    # What it mounts ends with it, also where it fails: no later `rm` meets this machine's /sys.
    _run(["unshare", "--mount", "debootstrap", *options, SUITE, str(root)], root)


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1800)
    if done.returncode:
        raise EngineError(f"{command[0]}: {(done.stdout + done.stderr)[-2000:]}")
