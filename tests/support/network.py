"""A network of namespaces joined by veth, whose links can be cut, silenced and slowed.

Every node is a network namespace with one interface, `eth0`, plugged into a bridge that lies in a
namespace of its own; this process's namespace has a plug, too, so that tests reach every node. All
of it is named after this process, and goes when its namespaces are deleted.
"""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLONE_NEWNET = 0x40000000
NAMED = Path("/run/netns")
FILES = Path("/etc/netns")
"""`ip netns exec NAME` shows what lies in NAME here in the place of files of /etc."""
BLOCKED, FORWARDING = "0", "3"  # states of a bridge's port
_LIBC = ctypes.CDLL(None, use_errno=True)


def required() -> None:
    """Skip the test where namespaces cannot be made."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    for program, package in (("ip", "iproute2"), ("bridge", "iproute2"), ("nft", "nftables")):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} is installed (Debian: apt-get install {package})")
    tried = subprocess.run(["unshare", "--net", "true"], capture_output=True)
    if tried.returncode:
        pytest.skip("this kernel or container gives no network namespaces")


def run(*command: str) -> str:
    """Run a program of iproute2 or nftables; its words are the exception's on failure."""
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def _free_subnet() -> ipaddress.IPv4Network:
    """Return a /24 of the block for tests of networks (RFC 2544) that nothing here uses."""
    taken = run("ip", "-4", "addr")
    numbers = random.SystemRandom().sample(range(256), 256)
    free = next(number for number in numbers if f" 198.18.{number}." not in taken)
    return ipaddress.IPv4Network(f"198.18.{free}.0/24")


def remove_stale() -> None:
    """Remove what tests have left that were killed, and end what still runs in it."""
    for place in NAMED.glob("pentad-*") if NAMED.is_dir() else ():
        owner = re.fullmatch(r"pentad-(\d+)-\d+-[\w-]+", place.name)
        if owner and not Path("/proc", owner.group(1)).exists():
            _remove(place.name)


def _remove(namespace: str) -> None:
    if (NAMED / namespace).exists():
        for number in run("ip", "netns", "pids", namespace).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(number), signal.SIGKILL)
        run("ip", "netns", "del", namespace)
    shutil.rmtree(FILES / namespace, ignore_errors=True)


class Network:
    """Nodes by name, and what can be done to their links.

    Args:
        nodes: names of at most ten letters.
    """

    def __init__(self, *nodes: str) -> None:
        self._prefix = f"pentad-{os.getpid()}-{random.SystemRandom().randrange(10_000)}"
        subnet = _free_subnet()
        hosts = [str(host) for host in subnet.hosts()]
        self.here = hosts[0]
        self.addresses = dict(zip(nodes, hosts[10:], strict=False))
        self.spare = hosts[100]
        self._switch = f"{self._prefix}-switch"
        self._relay: subprocess.Popen[bytes] | None = None
        self._plug = f"pn{os.getpid()}"
        try:
            self._make()
        except BaseException:
            self.remove()
            raise

    def _make(self) -> None:
        run("ip", "netns", "add", self._switch)
        run("ip", "-n", self._switch, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", self._switch, "link", "set", "br0", "up")
        run("ip", "link", "add", self._plug, "type", "veth", "peer", "v-here", "netns",
            self._switch)  # fmt: skip
        run("ip", "addr", "add", f"{self.here}/24", "dev", self._plug)
        run("ip", "link", "set", self._plug, "up")
        self._join("v-here")
        for node, address in self.addresses.items():
            name = self.name(node)
            run("ip", "netns", "add", name)
            (FILES / name).mkdir(parents=True)
            (FILES / name / "hosts").write_text("127.0.0.1 localhost\n")
            run("ip", "-n", name, "link", "add", "eth0", "type", "veth", "peer", f"v-{node}",
                "netns", self._switch)  # fmt: skip
            self.move(node, address)
            run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "-n", name, "link", "set", "eth0", "up")
            self._join(f"v-{node}")

    def name(self, node: str) -> str:
        """Return the name of a node's namespace."""
        return f"{self._prefix}-{node}"

    def remove(self) -> None:
        """Delete all of it, and end what still runs in it."""
        self._end_relay()
        for name in (self._switch, *map(self.name, self.addresses)):
            _remove(name)
        with contextlib.suppress(OSError):
            FILES.rmdir()  # unless others use it

    @contextlib.contextmanager
    def inside(self, node: str) -> Iterator[None]:
        """Let this thread, and the processes and sockets that it makes, be in a node."""
        back = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(NAMED / self.name(node), os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(there)
            try:
                yield
            finally:
                _enter(back)
        finally:
            os.close(there)
            os.close(back)

    def command(self, node: str, *command: str) -> list[str]:
        """Return a command line that runs another one in a node, with the node's own hosts file."""
        return ["ip", "netns", "exec", self.name(node), *command]

    def know(self, node: str, name: str, address: str) -> None:
        """Let a name stand for an address in a node, at once and instead of another one."""
        hosts = FILES / self.name(node) / "hosts"
        lines = [line for line in hosts.read_text().splitlines() if not line.endswith(f" {name}")]
        hosts.write_text("\n".join([*lines, f"{address} {name}"]) + "\n")  # the same inode

    def move(self, node: str, address: str) -> None:
        """Give a node another address in the place of its own; the old one is met with silence."""
        name = self.name(node)
        run("ip", "-n", name, "addr", "flush", "dev", "eth0")
        run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "eth0")

    def cut(self, node: str) -> None:
        """Take a node's link down: it has no carrier."""
        run("ip", "-n", self._switch, "link", "set", f"v-{node}", "down")

    def mend(self, node: str) -> None:
        """Bring a link up that was cut."""
        run("ip", "-n", self._switch, "link", "set", f"v-{node}", "up")

    def silence(self, node: str) -> None:
        """Drop every packet to and from a node; nobody is told, as the link stays up."""
        self._port(node, BLOCKED)

    def end_silence(self, node: str) -> None:
        """Let packets pass again."""
        self._port(node, FORWARDING)

    def drop_connections(self, node: str, server: str, port: int) -> int:
        """Drop the packets of the connections that a node has to a server's port.

        New ones work: both ends believe in the old ones until they notice (half-open). Returns
        how many there are.
        """
        address = self.addresses[server]
        listed = run("ip", "netns", "exec", self.name(node), "ss", "-Htn", "state", "established",
                     "dst", f"{address}:{port}")  # fmt: skip
        ports = [line.split()[2].rpartition(":")[2] for line in listed.splitlines()]
        assert ports, f"{node} has no connection to {server}:{port}"
        which = f"{{ {', '.join(ports)} }}"
        self._filter(node, f"ip saddr {address} tcp sport {port} tcp dport {which} drop")
        own = self.addresses[node]
        self._filter(server, f"ip saddr {own} tcp sport {which} tcp dport {port} drop")
        return len(ports)

    def drop_from(self, node: str, other: str) -> None:
        """Drop the packets between two nodes alone."""
        self._filter(node, f"ip saddr {self.addresses[other]} drop")
        self._filter(other, f"ip saddr {self.addresses[node]} drop")

    def end_drops(self, *nodes: str) -> None:
        """Let all packets into these nodes again."""
        for node in nodes:
            run("ip", "netns", "exec", self.name(node), "nft", "flush", "ruleset")

    def _filter(self, node: str, rule: str) -> None:
        chain = "{ type filter hook prerouting priority 0; }"
        script = f"add table inet t; add chain inet t c {chain}; add rule inet t c {rule}"
        run("ip", "netns", "exec", self.name(node), "nft", script)

    def slow(self, node: str, delay: float, loss: float) -> str:
        """Delay each packet to and from a node by seconds and lose a share of them.

        By netem where the kernel has it; else by a process between two bridges. Returns which.
        """
        how = f"delay {delay * 1000:.0f}ms loss {loss * 100:g}%".split()
        netem = ["tc", "-n", self._switch, "qdisc", "add", "dev", f"v-{node}", "root", "netem"]
        if subprocess.run([*netem, *how], capture_output=True).returncode == 0:
            run("tc", "-n", self.name(node), "qdisc", "add", "dev", "eth0", "root", "netem", *how)
            return "netem"
        run("ip", "-n", self._switch, "link", "add", "br1", "type", "bridge")
        run("ip", "-n", self._switch, "link", "set", "br1", "up")
        ready = Path(tempfile.mkdtemp(prefix="pentad-relay-")) / "ready"
        relay = [sys.executable, "-m", "tests.support.slow_link", str(delay), str(loss), str(ready)]
        self._relay = subprocess.Popen(["ip", "netns", "exec", self._switch, *relay], cwd=ROOT)
        end = time.monotonic() + 60
        while not ready.exists():
            assert self._relay.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        shutil.rmtree(ready.parent)
        self._join("near")
        self._join("far", "br1")
        self._join(f"v-{node}", "br1")
        return "a relay in user space"

    def hasten(self, node: str) -> None:
        """End what :meth:`slow` began."""
        if self._relay is None:
            run("tc", "-n", self._switch, "qdisc", "del", "dev", f"v-{node}", "root")
            run("tc", "-n", self.name(node), "qdisc", "del", "dev", "eth0", "root")
            return
        self._join(f"v-{node}")
        self._end_relay()
        run("ip", "-n", self._switch, "link", "del", "br1")

    def _end_relay(self) -> None:
        if self._relay:
            self._relay.send_signal(signal.SIGTERM)
            self._relay.wait(60)
            self._relay = None

    def _join(self, port: str, bridge: str = "br0") -> None:
        run("ip", "-n", self._switch, "link", "set", port, "master", bridge)
        run("ip", "-n", self._switch, "link", "set", port, "up")

    def _port(self, node: str, state: str) -> None:
        run("bridge", "-n", self._switch, "link", "set", "dev", f"v-{node}", "state", state)


def _enter(descriptor: int) -> None:
    if _LIBC.setns(descriptor, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
