"""Real nodes for the end-to-end tests: configurations in a temporary directory, processes, conditions.

Every node is a process of MERIDIAN_BIN (default: build/release/meridian) on 127.0.0.1. Beats are 100 ms,
graces 1 s. Nodes are ended by pid when the test ends, and die with it (PDEATHSIG). A node that ended by
itself fails the test. Ports come from MERIDIAN_E2E_PORTS (default 24000-24999), a block for each test
process: they can run side by side.
MERIDIAN_E2E_KEEP=1 keeps the directories.
"""
from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Mapping, TypeVar

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "client" / "python"))

import meridian  # noqa: E402

BIN = os.environ.get("MERIDIAN_BIN", str(ROOT / "build" / "release" / "meridian"))
PR_SET_PDEATHSIG = 1
LOG_TAIL_LINES = 25
BLOCK_PORTS = 100  # of one test process
MARK = "MERIDIAN_E2E_NODE"
ENDED = ("completed", "failed", "cancelled", "expired")

T = TypeVar("T")
_libc = ctypes.CDLL(None, use_errno=True)
_block: tuple[int, socket.socket] | None = None
_next_port = 0


def wait_until(condition: Callable[[], T], what: str, deadline_s: float = 15.0) -> T:
    """The first true value of condition(). A node that does not answer counts as not yet."""
    until = time.monotonic() + deadline_s
    while True:
        try:
            value = condition()
            if value:
                return value
        except meridian.NoAnswer:
            value = "no answer"
        if time.monotonic() >= until:
            raise AssertionError(f"not within {deadline_s} s: {what}; last: {value!r}")
        time.sleep(0.02)


def take_block() -> tuple[int, socket.socket]:
    """The first port of a block that no other test process has; a bound abstract socket marks it as ours."""
    first, last = map(int, os.environ.get("MERIDIAN_E2E_PORTS", "24000-24999").split("-"))
    for block in range(first, last + 2 - BLOCK_PORTS, BLOCK_PORTS):
        mark = socket.socket(socket.AF_UNIX)
        try:
            mark.bind(f"\0meridian-e2e-{block}")
            return block, mark
        except OSError:
            mark.close()
    raise AssertionError(f"every block of ports in {first}-{last} is in use")


def free_port() -> int:
    """A port that nobody listens on, not given by this process lately."""
    global _block, _next_port
    if _block is None:
        _block = take_block()
    for _ in range(BLOCK_PORTS):
        port = _block[0] + _next_port % BLOCK_PORTS
        _next_port += 1
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError(f"no free port in {_block[0]}-{_block[0] + BLOCK_PORTS - 1}")


def loopback(port: int) -> str:
    return f"tcp://127.0.0.1:{port}"


def die_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def has_failed(test: unittest.TestCase) -> bool:
    """Whether the running test has failed so far."""
    result = getattr(test, "_outcome").result
    return any(getattr(case, "test_case", case) is test for case, _ in result.failures + result.errors)


def write_config(path: Path, sections: Mapping[str, Mapping[str, Any]]) -> None:
    lines = []
    for section, keys in sections.items():
        lines += [f"[{section}]", *(f"{key} = {value}" for key, value in keys.items()), ""]
    path.write_text("\n".join(lines))


@dataclass
class Node:
    name: str  # "broker", "eu", "eu/w1"
    role: str
    config: Path
    log: Path
    process: subprocess.Popen[bytes] | None = None
    ended_by_us: bool = False
    lives: int = 0

    @property
    def life(self) -> str:
        """The value of MARK in the environment of this life of the node and of every process that it starts."""
        return f"{self.config}:{self.lives}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


@dataclass
class Cluster:
    """test: whose addCleanup ends everything; for a whole class use Cluster.of_class()."""

    add_cleanup: Callable[..., Any]
    failed: Callable[[], bool] = lambda: False
    keep: bool = bool(os.environ.get("MERIDIAN_E2E_KEEP"))  # the directory, when it closes
    nodes: dict[str, Node] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="meridian-e2e-"))
        self.add_cleanup(self.close)
        self.client_port = free_port()
        self.server = loopback(self.client_port)
        self._clients: list[meridian.Client] = []

    @classmethod
    def of_test(cls, test: unittest.TestCase) -> Cluster:
        return cls(test.addCleanup, lambda: has_failed(test))

    @classmethod
    def of_class(cls, test_class: type[unittest.TestCase]) -> Cluster:
        return cls(test_class.addClassCleanup)

    # -- nodes --

    def configure(self, name: str, role: str, section: Mapping[str, Any], settings: Mapping[str, Any],
                  types: Mapping[str, str] | None = None) -> Node:
        """settings: "section.key" -> value, over the defaults. types: type -> "command=..." or "builtin=..."
        """
        stem = name.replace("/", "-")
        sections: dict[str, dict[str, Any]] = {
            "node": {"data": self.directory / stem, "log_level": "info"},
            "store": {"max_bytes": "256MiB"}, role: dict(section)}
        for dotted, value in settings.items():
            sections.setdefault(dotted.split(".")[0], {})[dotted.split(".")[1]] = value
        for type_name, setting in (types or {}).items():
            key, value = setting.split("=", 1)
            sections[f"type {type_name}"] = {key: value}
        node = Node(name, role, self.directory / f"{stem}.ini", self.directory / f"{stem}.log")
        write_config(node.config, sections)
        self.nodes[name] = node
        return node

    def broker(self, **settings: Any) -> None:
        """settings: keys with _ for the dot after the section: broker_region_grace="2s"."""
        self.ports["broker"] = free_port()
        self.configure("broker", "broker", {
            "clients": self.server, "regions": loopback(self.ports["broker"]),
            "beat": "100ms", "region_grace": "1s"}, dotted(settings))
        self.start("broker")

    def region(self, name: str, parent: int | None = None, **settings: Any) -> None:
        """parent: another port than the broker's, for a forwarder in between."""
        self.ports[name] = free_port()
        self.configure(name, "region", {
            "name": name, "parent": loopback(parent or self.ports["broker"]),
            "workers": loopback(self.ports[name]), "beat": "100ms", "worker_grace": "1s",
            "retry_base": "100ms", "reconnect_max": "200ms"}, dotted(settings))
        self.start(name)

    def worker(self, name: str, slots: int = 2, types: Mapping[str, str] | None = None,
               **settings: Any) -> None:
        """name: "eu/w1"."""
        region, own = name.split("/")
        self.configure(name, "worker", {
            "name": own, "parent": loopback(self.ports[region]), "slots": slots, "commands": "allow",
            "stop_grace": "500ms", "reconnect_max": "200ms"}, dotted(settings), types)
        self.start(name)

    def small(self, *workers: str, slots: int = 2, **settings: Any) -> None:
        """A broker, the regions that `workers` name, and the workers; up when it returns."""
        self.broker(**settings)
        for region in dict.fromkeys(worker.split("/")[0] for worker in workers):
            self.region(region)
        for worker in workers:
            self.worker(worker, slots=slots)
        self.wait_up()

    def start(self, name: str, *options: str) -> None:
        node = self.nodes[name]
        node.lives += 1
        with open(node.log, "ab") as log:
            node.process = subprocess.Popen([BIN, node.role, "run", "-c", str(node.config), *options],
                                            stdout=log, stderr=log, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent,
                                            env={**os.environ, MARK: node.life})
        node.ended_by_us = False

    def signal(self, name: str, number: signal.Signals) -> None:
        self.nodes[name].process.send_signal(number)

    def kill(self, name: str) -> None:
        """SIGKILL, and wait until it is gone."""
        self.nodes[name].ended_by_us = True
        self.signal(name, signal.SIGKILL)
        self.nodes[name].process.wait(10)

    def terminate(self, name: str, deadline_s: float = 15.0) -> int:
        """SIGTERM; the exit status."""
        self.nodes[name].ended_by_us = True
        self.signal(name, signal.SIGTERM)
        return self.nodes[name].process.wait(deadline_s)

    def wait_exit(self, name: str, deadline_s: float = 15.0) -> int:
        self.nodes[name].ended_by_us = True
        return self.nodes[name].process.wait(deadline_s)

    def died(self) -> list[str]:
        """A line for each node that ended by itself."""
        return [f"{node.name} ended by itself with status {node.process.returncode}"
                for node in self.nodes.values() if node.process is not None and not node.ended_by_us
                and node.process.poll() is not None]

    def close(self) -> None:
        died = self.died()
        for node in reversed(list(self.nodes.values())):
            if node.process is not None and node.process.poll() is None:
                node.process.kill()
                node.process.wait(10)
        for client in self._clients:
            client.close()
        if died or self.failed():
            self.show_logs()
        if not self.keep:
            shutil.rmtree(self.directory, ignore_errors=True)
        if died:
            raise AssertionError("; ".join(died))

    def show_logs(self) -> None:
        for node in self.nodes.values():
            tail = node.log_text().splitlines()[-LOG_TAIL_LINES:]
            print(f"---- {node.name} ({self.directory})", *tail, sep="\n  ", file=sys.stderr)

    # -- asking --

    def client(self, **options: Any) -> meridian.Client:
        client = meridian.Client(self.server, **options)
        self._clients.append(client)
        return client

    def cli(self, *arguments: str, stdin: bytes = b"", deadline_s: float = 30.0,
            env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Runs the program against this cluster; its state (`last`) stays in the cluster's directory."""
        full = {**os.environ, "MERIDIAN_SERVER": self.server, "XDG_STATE_HOME": str(self.directory / "state"),
                "HOME": str(self.directory), **(env or {})}
        done = subprocess.run([BIN, *arguments], input=stdin, capture_output=True, timeout=deadline_s,
                              env=full, cwd=self.directory, preexec_fn=die_with_parent)
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(errors="replace"),
                                           done.stderr.decode(errors="replace"))

    def wait_up(self, deadline_s: float = 15.0) -> None:
        """Until every region and worker that was started is live at the broker."""
        client = self.client(answer_ms=500)
        started = {name for name, node in self.nodes.items()
                   if node.process is not None and node.process.poll() is None and not node.ended_by_us}
        regions = {name for name in started if self.nodes[name].role == "region"}
        workers = {name for name in started if self.nodes[name].role == "worker"}

        def missing() -> set[str]:
            live = {row["name"] for row in client.query("regions") if row["state"] == "live"}
            if regions <= live and workers:
                live |= {worker_name(row) for row in client.query("workers")
                         if row["state"] == "live" and not row.get("stale")}
            return (regions | workers) - live

        wait_until(lambda: not missing(), f"{sorted(regions | workers)} live", deadline_s)

    def task(self, client: meridian.Client, id: bytes) -> Mapping[str, Any]:
        """The task's row; an empty one if it has none."""
        return next(iter(client.query("tasks", ids=[id])), {})

    def wait_state(self, client: meridian.Client, id: bytes, *states: str,
                   deadline_s: float = 15.0) -> Mapping[str, Any]:
        row: Mapping[str, Any] = {}

        def there() -> bool:
            nonlocal row
            row = self.task(client, id)
            return row.get("state") in states

        try:
            wait_until(there, f"task {id.hex()[-8:]} {' or '.join(states)}", deadline_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; row {row}") from None
        return row

    def worker_row(self, client: meridian.Client, name: str) -> Mapping[str, Any]:
        return next((row for row in client.query("workers") if worker_name(row) == name), {})


def processes_with(name: str, value: str) -> list[int]:
    """Living processes that were started with name=value in their environment."""
    variable = f"{name}={value}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and variable in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            pass  # it is gone, or none of ours
    return found


def worker_name(row: Mapping[str, Any]) -> str:
    return row["name"] if "/" in row["name"] else f"{row['region']}/{row['name']}"


def dotted(settings: Mapping[str, Any]) -> dict[str, Any]:
    """broker_region_grace -> broker.region_grace"""
    return {name.replace("_", ".", 1): value for name, value in settings.items()}
