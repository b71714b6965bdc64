"""A compose file brought up with podman: what Compose does, for the features that the files use.

Own code because podman-compose takes `service_completed_successfully` for "has ended" and leaves
health to timers of systemd, which is not there. An entry that this reader does not know is an
error.
"""

from __future__ import annotations

import hashlib
import re
import resource
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.container_engine import Engine, EngineError
from tests.support.containers import interpolated, versions

START_SECONDS = 900
LOOK_SECONDS = 0.5  # between two looks at a container that is not healthy yet
KNOWN = {
    "image", "build", "command", "restart", "environment", "volumes", "ulimits", "depends_on",
    "stop_grace_period", "secrets", "configs", "read_only", "tmpfs", "ports", "profiles",
    "cap_drop", "cap_add", "security_opt", "logging", "init", "shm_size", "healthcheck",
}  # fmt: skip
RECIPE = "org.pentad.container"
"""Label with a hash of what a container was made by, as Compose keeps one."""
LIMITS = {"nofile": "1024:1024", "nproc": "4096:4096"}
"""Where the file says nothing: the engine's own defaults may be above what this machine allows."""


@dataclass
class ComposeProject:
    """The services of a compose file as containers.

    Args:
        engine: What runs them.
        path: The compose file.
        values: What `--env-file` and the shell would say beside docker/versions.env.
        profiles: Profiles to switch on.
        mounts: Further read-only mounts by service: path here, path inside.
        secrets: Folder with the files of the secrets, instead of docker/secrets.
        name: Name of the project, before every container, volume and network.
        images: Images to take instead of the file's, by service.
        environment: Further variables by service, as an operator's override file has them.
    """

    engine: Engine
    path: Path
    values: Mapping[str, str]
    profiles: tuple[str, ...] = ()
    mounts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    secrets: Path | None = None
    name: str = "pentad"
    images: dict[str, str] = field(default_factory=dict)
    environment: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._values = {**versions(), **self.values}
        text = interpolated(self.path.read_text(), self._values)
        self.content: dict[str, Any] = yaml.safe_load(text)
        every = self.content["services"]
        for name, service in every.items():
            if unknown := service.keys() - KNOWN:
                raise ValueError(f"{name}: this reader knows nothing of {sorted(unknown)}")
        self.services: dict[str, dict[str, Any]] = {
            name: service
            for name, service in every.items()
            if not service.get("profiles") or set(service["profiles"]) & set(self.profiles)
        }

    def container(self, service: str) -> str:
        """Return the name of a service's container."""
        return f"{self.name}-{service}-1"

    def order(self) -> list[str]:
        """Return the services, each after those that it depends on."""
        ordered: list[str] = []

        def add(name: str) -> None:
            for other in self._dependencies(name):
                add(other)
            if name not in ordered:
                ordered.append(name)

        for name in self.services:
            add(name)
        return ordered

    def up(self, seconds: float = START_SECONDS) -> dict[str, int]:
        """Create what is missing, start in the order of `depends_on`, wait where it says so.

        Returns:
            The exit status of every container that was replaced, by service.

        Raises:
            EngineError: A container did not start, or did not become what another waits for.
        """
        if self.engine.run_podman("network", "exists", self.network).returncode:
            self.engine.podman("network", "create", self.network)
        for name in self._volumes():
            self._make_volume(name)
        replaced: dict[str, int] = {}
        for name in self.order():
            for other, condition in self._dependencies(name).items():
                self._wait(other, condition, seconds)
            status = self.start(name)
            replaced |= {} if status is None else {name: status}
        return replaced

    def start(self, service: str) -> int | None:
        """Start one service's container; without one, or with one made otherwise, make it.

        Returns:
            The exit status of the container that was replaced; None where none was.
        """
        name, options = self.container(service), self._options(service)
        image = self.engine.image(self._image(service))["Id"]
        recipe = hashlib.sha256(repr((options, image)).encode()).hexdigest()[:16]
        status = None
        if self.engine.run_podman("container", "exists", name).returncode == 0:
            if (self.engine.container(name)["Config"]["Labels"] or {}).get(RECIPE) == recipe:
                self.engine.podman("start", name)
                return None
            status = self._end(service)
        self.engine.podman("run", "--detach", f"--label={RECIPE}={recipe}", *options)
        return status

    def stop(self) -> None:
        """Stop as `docker compose stop`: dependents first."""
        for name in reversed(self.order()):
            self.engine.podman("stop", self.container(name))
        self._unmount()

    def remove(self, *, volumes: bool) -> None:
        """Remove containers and network, as `down` does; volumes where wanted."""
        for name in reversed(self.order()):
            self.engine.run_podman("rm", "--force", "--time", "10", self.container(name))
        self.engine.run_podman("network", "rm", "--force", self.network)
        self._unmount()
        if volumes:
            for name in self._volumes():
                self.engine.run_podman("volume", "rm", "--force", f"{self.name}_{name}")

    def recreate(self, service: str) -> None:
        """Make a service's container anew, as `up --force-recreate` does."""
        self._end(service)
        self.start(service)

    def healthy(self, service: str) -> bool:
        """Run the health check of a container once."""
        return self.engine.run_podman("healthcheck", "run", self.container(service)).returncode == 0

    def wait_healthy(self, service: str, seconds: float = START_SECONDS) -> float:
        """Wait until a service's health check succeeds and return the seconds.

        Raises:
            EngineError: It did not within ``seconds``; with the end of the container's log.
        """
        begin = time.monotonic()
        while not self.healthy(service):
            if time.monotonic() - begin > seconds:
                log = self.log(service)[-3000:]
                raise EngineError(f"{service} is not healthy after {seconds:.0f} s:\n{log}")
            time.sleep(LOOK_SECONDS)
        return time.monotonic() - begin

    def log(self, service: str) -> str:
        """Return all that a service's container has written."""
        done = self.engine.run_podman("logs", self.container(service))
        return done.stdout + done.stderr

    def state(self, service: str) -> dict[str, Any]:
        """Return the state of a service's container."""
        return dict(self.engine.container(self.container(service))["State"])

    def lowered(self) -> list[str]:
        """Return the limits of the services that are lower here than in the file."""
        return [
            f"{service}: {name} {allowed(name, wanted)} instead of {wanted}"
            for service, entry in self.services.items()
            for name, value in entry.get("ulimits", {}).items()
            for wanted in [value["hard"] if isinstance(value, dict) else value]
            if allowed(name, wanted) != wanted
        ]

    def _end(self, service: str) -> int:
        """Stop a service's container and remove it; return its exit status."""
        self.engine.podman("stop", self.container(service))
        status = int(self.state(service)["ExitCode"])
        self.engine.podman("rm", self.container(service))
        return status

    @property
    def network(self) -> str:
        """Name of the network that all containers are in."""
        return f"{self.name}_default"

    def _dependencies(self, service: str) -> dict[str, str]:
        """Return what a service waits for and until when, as far as it is switched on."""
        wanted = self.services[service].get("depends_on", {})
        if isinstance(wanted, list):
            wanted = {name: {"condition": "service_started"} for name in wanted}
        found = {}
        for name, rule in wanted.items():
            if name in self.services:
                found[name] = rule["condition"]
            elif rule.get("required", True):
                raise ValueError(f"{service} needs {name}, whose profile is not switched on")
        return found

    def _wait(self, service: str, condition: str, seconds: float) -> None:
        if condition == "service_healthy":
            self.wait_healthy(service, seconds)
        elif condition == "service_completed_successfully":
            code = self.engine.podman("wait", self.container(service), seconds=seconds).strip()
            if code != "0":
                raise EngineError(f"{service} ended with {code}:\n{self.log(service)[-3000:]}")
        elif condition != "service_started":
            raise ValueError(f"{service}: this reader knows no condition {condition!r}")

    def _volumes(self) -> list[str]:
        """Return the named volumes of the services that are switched on."""
        names = {
            volume.split(":")[0]
            for service in self.services.values()
            for volume in service.get("volumes", [])
        }
        return sorted(names & self.content["volumes"].keys())

    def _make_volume(self, name: str) -> None:
        """Mount a volume with options as Docker's local driver does; podman makes the others."""
        options = (self.content["volumes"][name] or {}).get("driver_opts")
        if options and not self._mounted(name).is_mount():
            place = self._mounted(name)
            place.mkdir(parents=True, exist_ok=True)
            command = ["mount", "-t", options["type"], "-o", options["o"], options["device"]]
            subprocess.run([*command, str(place)], check=True)
        full = f"{self.name}_{name}"
        if not options and self.engine.run_podman("volume", "exists", full).returncode:
            self.engine.podman("volume", "create", full)

    def _unmount(self) -> None:
        """Unmount what nobody uses any more, as Docker does when the last container has ended."""
        for name in self._volumes():
            if self._mounted(name).is_mount():
                subprocess.run(["umount", str(self._mounted(name))], check=True)

    def _mounted(self, name: str) -> Path:
        """Return where a volume with options is mounted on this machine."""
        return self.engine.run_folder / "volumes" / f"{self.name}_{name}"

    def _options(self, name: str) -> list[str]:
        """Return the arguments of `podman run` for a service."""
        service = self.services[name]
        args = ["--name", self.container(name), "--network", self.network]
        args += ["--network-alias", name]
        args += [f"--restart={service['restart']}"] if "restart" in service else []
        args += [f"--cap-drop={one}" for one in service.get("cap_drop", [])]
        args += [f"--cap-add={one}" for one in service.get("cap_add", [])]
        args += [f"--security-opt={one.partition(':')[0]}" for one in service["security_opt"]]
        args += ["--init"] if service.get("init") else []
        args += ["--read-only"] if service.get("read_only") else []
        # Docker's --read-only makes nothing writable by itself; podman's would mount /tmp and more.
        args += ["--read-only-tmpfs=false"] if service.get("read_only") else []
        args += [f"--tmpfs={one}" for one in service.get("tmpfs", [])]
        args += [f"--publish={one}" for one in service.get("ports", [])]
        args += [f"--shm-size={service['shm_size']}"] if "shm_size" in service else []
        if "stop_grace_period" in service:
            args.append(f"--stop-timeout={service['stop_grace_period'].removesuffix('s')}")
        args += _logging(service)
        args += self._environment(name)
        args += [f"--volume={one}" for one in self._mounts(name)]
        args += _limits(service)
        args += _health(service)
        return [*args, "--pull=never", self._image(name), *service.get("command", [])]

    def _image(self, service: str) -> str:
        return self.images.get(service, str(self.services[service]["image"]))

    def _environment(self, name: str) -> list[str]:
        args = []
        own, further = self.services[name].get("environment", {}), self.environment.get(name, {})
        for key, value in {**own, **further}.items():
            given = self._values.get(key) if value is None else value
            args += [f"--env={key}={given}"] if given is not None else []
        return args

    def _mounts(self, name: str) -> Iterator[str]:
        service = self.services[name]
        for volume in service.get("volumes", []):
            source, _, rest = volume.partition(":")
            if (self.content["volumes"].get(source) or {}).get("driver_opts"):
                yield f"{self._mounted(source)}:{rest.removesuffix(':nocopy')}"
            elif source in self.content["volumes"]:
                yield f"{self.name}_{source}:{rest}"
            else:
                yield f"{(self.path.parent / source).resolve()}:{rest}"
        for secret in service.get("secrets", []):
            file = self.path.parent / self.content["secrets"][secret]["file"]
            folder = self.secrets or file.parent
            yield f"{folder / file.name}:/run/secrets/{secret}:ro"
        for config in service.get("configs", []):
            file = self.path.parent / self.content["configs"][config["source"]]["file"]
            yield f"{file.resolve()}:{config['target']}:ro"
        for source, inside in self.mounts.get(name, {}).items():
            yield f"{source}:{inside}:ro"


def _logging(service: dict[str, Any]) -> list[str]:
    logging = service.get("logging", {})
    args = [f"--log-driver={logging['driver']}"] if "driver" in logging else []
    # podman keeps one file; the number of rotated ones is Docker's.
    size = logging.get("options", {}).get("max-size")
    return [*args, f"--log-opt=max-size={size}b"] if size else args


def _limits(service: dict[str, Any]) -> list[str]:
    limits = dict(LIMITS)
    for name, value in service.get("ulimits", {}).items():
        soft, hard = (value["soft"], value["hard"]) if isinstance(value, dict) else (value, value)
        limits[name] = f"{allowed(name, soft)}:{allowed(name, hard)}"
    return [part for name, value in limits.items() for part in ("--ulimit", f"{name}={value}")]


def allowed(name: str, wanted: int) -> int:
    """Return a limit as far as this process may raise it: an engine has the right, tests may not.

    Args:
        name: As the compose files name it, `nofile`.
        wanted: The limit, -1 for none.
    """
    most = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))[1]
    if most == resource.RLIM_INFINITY:
        return wanted
    return most if wanted == -1 else min(wanted, most)


def _health(service: dict[str, Any]) -> list[str]:
    check = service.get("healthcheck")
    if not check:
        return []
    kind, *command = check["test"]
    if kind != "CMD" or any(re.search(r"\s", word) for word in command):
        raise ValueError("this reader knows health checks of plain words alone")
    return [f"--health-cmd={' '.join(command)}", f"--health-timeout={check['timeout']}"]
