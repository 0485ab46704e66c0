"""Meridian for Python: a client that submits tasks, and a worker whose handlers are Python functions.

Needs only pyzmq and msgpack (Debian: python3-zmq, python3-msgpack). Speaks proto/PROTOCOL.md, version 1.

    client = meridian.Client("tcp://127.0.0.1:7700")
    task = client.submit(argv=["echo", "hi"])
    print(client.result(task, timeout_ms=5000).output)

    meridian.Worker("tcp://127.0.0.1:7711", {"resize": resize}, slots=4).run()

Durations are milliseconds and say so in their names. Task ids and fences are bytes (16 and 12). A Client
belongs to one thread. A Worker runs its link in the thread that calls run() and its handlers in others.
"""
from __future__ import annotations

import logging
import os
import queue
import random
import secrets
import signal
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, Mapping, Sequence, Tuple

import msgpack
import zmq
from zmq.utils.monitor import parse_monitor_message

VERSION = 1
TASKS_PER_MESSAGE = 1024
FRAME_BYTES = 256 * 1024  # a frame of many tasks closes before it passes this
PAYLOAD_BYTES = 1024 * 1024  # default of limits.payload_bytes
WAIT_MS_MAX = 30000
ANSWER_MS = 3000  # a node answers within this, or is not there

log = logging.getLogger("meridian")


class Error(Exception):
    """Whatever this module raises on the world's account."""


class Refused(Error):
    """The node refused a request or a task. `code` is one of PROTOCOL.md's error codes."""

    def __init__(self, code: str, reason: str):
        super().__init__(f"{code}: {reason}")
        self.code, self.reason = code, reason


class NoAnswer(Error):
    """No reply in time: the request may or may not have been carried out. Ask again with the same ids."""


class NotEnded(Error, TimeoutError):
    """The task had not ended when the time was up; it goes on."""


class UnknownTask(Error, KeyError):
    """The node does not know this id (never submitted here, or older than its horizon)."""


class PermanentError(Exception):
    """Raised by a handler: the task fails and is not tried again."""


class Stopped(Exception):
    """Raised by a handler that ends because Task.stop_requested was set: the attempt is cancelled."""


def new_id() -> bytes:
    """A UUIDv7: 16 bytes, the first 6 are milliseconds since 1970."""
    value = bytearray(int(time.time() * 1000).to_bytes(6, "big") + secrets.token_bytes(10))
    value[6] = 0x70 | value[6] & 0x0F
    value[8] = 0x80 | value[8] & 0x3F
    return bytes(value)


def pack(kind: str, sequence: int, body: Any) -> bytes:
    return msgpack.packb([VERSION, kind, sequence, body], unicode_errors="surrogateescape")


def unpack(frame: bytes) -> list[Any]:
    return msgpack.unpackb(frame, strict_map_key=False, unicode_errors="surrogateescape")


@dataclass(frozen=True)
class Result:
    """How a task ended."""

    id: bytes
    state: str  # completed, failed, cancelled, expired
    dup_possible: bool  # it may have run more than once
    reason: str = ""  # "" if completed; else exit_status, signal, timeout, cannot_start, workers_lost, ...
    worker: str = ""  # "us/w1"
    attempt: int = 0
    attempts_max: int = 0
    fence: bytes = b""
    history: Sequence[Mapping[str, Any]] = ()  # of each attempt: attempt, worker, end, reason, run_ms, ...
    exit: int | None = None  # of a command
    signal: int | None = None
    run_ms: int = 0
    output: bytes = b""  # of a command its standard output, of a handler what it returned
    error: bytes = b""
    output_cut: bool = False  # there was more than the worker keeps
    error_cut: bool = False
    message: str = ""  # why it failed, in words

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Result:
        """From a row of RESULT; fields this module does not know are left out."""
        outcome = row.get("outcome") or {}
        merged = {**(outcome.get("result") or {}), **outcome, **row}
        known = {name: value for name, value in merged.items()
                 if name in cls.__dataclass_fields__ and value is not None}
        return cls(**known)


class Client:
    """Talks to one node's client port over a REQ socket; connects by itself, again and again. answer_ms: how
    long a node may take to answer (beyond a wait that was asked for) before the request is sent again.
    watch_ms: how long results() lets one WATCH wait; a node that restarts has forgotten it, so it is asked
    again at the latest after watch_ms + answer_ms. The time-outs of the methods bound all they do."""

    def __init__(self, endpoint: str = "tcp://127.0.0.1:7700", *, answer_ms: int = ANSWER_MS,
                 watch_ms: int = 5000, payload_bytes: int = PAYLOAD_BYTES):
        self.endpoint, self.answer_ms = endpoint, answer_ms
        self.watch_ms, self.payload_bytes = watch_ms, payload_bytes
        self._sequence = 0
        self._socket = zmq.Context.instance().socket(zmq.REQ)
        for option, value in ((zmq.REQ_RELAXED, 1), (zmq.REQ_CORRELATE, 1), (zmq.LINGER, 0)):
            self._socket.setsockopt(option, value)
        self._socket.connect(endpoint)

    def close(self) -> None:
        self._socket.close()

    def ask(self, kind: str, body: Mapping[str, Any], *, wait_ms: int = 0) -> tuple[str, Mapping[str, Any]]:
        """One request, one reply: (kind, body). Raises NoAnswer, or Refused if the reply is ERROR."""
        self._sequence += 1
        self._socket.setsockopt(zmq.RCVTIMEO, wait_ms + self.answer_ms)
        self._socket.setsockopt(zmq.SNDTIMEO, self.answer_ms)
        try:
            self._socket.send(pack(kind, self._sequence, body))
            reply = unpack(self._socket.recv())
        except zmq.Again:
            raise NoAnswer(f"no answer from {self.endpoint} in {wait_ms + self.answer_ms} ms") from None
        if reply[1] == "ERROR":
            raise Refused(reply[3].get("code", ""), reply[3].get("reason", ""))
        return reply[1], reply[3]

    def _ask_again(self, kind: str, body: Mapping[str, Any], deadline: float) -> Mapping[str, Any]:
        """ask(), repeated until there is an answer. Only for requests that may be received twice."""
        while True:
            try:
                return self.ask(kind, body)[1]
            except NoAnswer:
                if time.monotonic() >= deadline:
                    raise

    def submit(self, argv: Sequence[str | bytes] = (), *, type: str = "", payload: bytes = b"",
               id: bytes | None = None, submit_timeout_ms: int = 30000, **fields: Any) -> bytes:
        """Submit one task, a command (argv) or a handler's (type); returns its id once it is durable. fields:
        env, cwd, priority, region, capabilities, delay_ms, timeout_ms (of one attempt), deadline_ms (of the
        task), retries. Raises Refused (conflict, invalid_field, too_large, ...) or NoAnswer."""
        given = {"argv": list(argv), "type": type, "payload": payload}
        task = dict(fields, id=id or new_id(), **{name: value for name, value in given.items() if value})
        return self.submit_many([task], submit_timeout_ms=submit_timeout_ms)[0]

    def submit_many(self, tasks: Iterable[Mapping[str, Any]], *,
                    submit_timeout_ms: int = 30000) -> list[bytes]:
        """Submit task maps (PROTOCOL.md, "Task"); returns their ids once all are durable. Ids are drawn where
        missing and kept over every re-send; throttled tasks are sent again when the node says so. Raises
        Refused for the first task that was refused: others may have been accepted."""
        waiting = [dict(task) if task.get("id") else dict(task, id=new_id()) for task in tasks]
        ids = [task["id"] for task in waiting]
        for task in waiting:
            size = len(task.get("payload", b""))
            if size > self.payload_bytes:
                raise Refused("too_large", f"payload: {size} bytes, at most {self.payload_bytes}")
        deadline = time.monotonic() + submit_timeout_ms / 1000
        while waiting:
            part = waiting[:_fitting(waiting)]
            answers = self._ask_again("SUBMIT", {"tasks": part}, deadline)["tasks"]
            again = [(task, answer) for task, answer in zip(part, answers) if _must_wait(answer)]
            waiting = [task for task, _ in again] + waiting[len(part):]
            if again:
                pause_ms = max(answer.get("retry_after_ms") or 50 for _, answer in again)
                if time.monotonic() + pause_ms / 1000 > deadline:
                    raise Refused(again[0][1].get("code") or "throttled", again[0][1].get("reason") or "")
                time.sleep(pause_ms / 1000)
        return ids

    def watch(self, ids: Sequence[bytes], *, wait_ms: int = 0) -> tuple[list[Result], list[bytes]]:
        """Wait up to wait_ms (at most 30,000) until one of `ids` (at most 1,024) has ended. Returns the
        results of the ended ones that fit a frame, and the ids that are unknown. Raises NoAnswer."""
        wait_ms = min(wait_ms, WAIT_MS_MAX)
        _, body = self.ask("WATCH", {"ids": list(ids), "wait_ms": wait_ms}, wait_ms=wait_ms)
        return [Result.of_row(row) for row in body.get("results", [])], list(body.get("unknown", []))

    def results(self, ids: Iterable[bytes], *, timeout_ms: int) -> dict[bytes, Result]:
        """The results of all `ids`, each acknowledged. Raises NotEnded, UnknownTask. Survives restarts."""
        open_ids, ended = list(ids), {}
        deadline = time.monotonic() + timeout_ms / 1000
        while open_ids:
            left_ms = int((deadline - time.monotonic()) * 1000)
            if left_ms <= 0:
                raise NotEnded(f"{len(open_ids)} tasks, {open_ids[0].hex()} first, after {timeout_ms} ms")
            try:
                found, unknown = self.watch(open_ids[:TASKS_PER_MESSAGE], wait_ms=min(left_ms, self.watch_ms))
            except NoAnswer:
                continue
            if unknown:
                raise UnknownTask(unknown[0].hex())
            ended.update((result.id, result) for result in found)
            if found:
                self._ask_again("RECEIVED", {"ids": [result.id for result in found]}, deadline)
            # Those still open go to the end: long tasks do not hide short ones behind the first 1,024.
            head = [id for id in open_ids[:TASKS_PER_MESSAGE] if id not in ended]
            open_ids = open_ids[TASKS_PER_MESSAGE:] + head
        return ended

    def result(self, id: bytes, timeout_ms: int = WAIT_MS_MAX) -> Result:
        """The result of one task. Raises NotEnded, UnknownTask."""
        return self.results([id], timeout_ms=timeout_ms)[id]

    def cancel(self, ids: Sequence[bytes], *, timeout_ms: int = 30000) -> dict[bytes, str]:
        """Ask to cancel; per id: cancelling, ended or unknown."""
        body = self._ask_again("CANCEL", {"ids": list(ids)}, time.monotonic() + timeout_ms / 1000)
        return {row["id"]: row["status"] for row in body["tasks"]}

    def query(self, what: str, **parameters: Any) -> list[Mapping[str, Any]]:
        """Rows of tasks, explain, regions, workers, cluster or resolve. Raises NoAnswer, Refused."""
        rows: list[Mapping[str, Any]] = []
        while True:
            page = self.ask("QUERY", dict(parameters, what=what))[1]
            rows += page["rows"]
            if what != "workers" or not page["more"] or not page["rows"]:
                return rows
            parameters["after"] = f"{rows[-1]['region']}/{rows[-1]['name']}"


def _fitting(tasks: Sequence[Mapping[str, Any]]) -> int:
    """How many of `tasks` go into one frame: at least one."""
    size = 64
    for count, task in enumerate(tasks[:TASKS_PER_MESSAGE]):
        size += len(msgpack.packb(task, unicode_errors="surrogateescape"))
        if size > FRAME_BYTES and count > 0:
            return count
    return min(len(tasks), TASKS_PER_MESSAGE)


def _must_wait(answer: Mapping[str, Any]) -> bool:
    """True: send again later. False: the task is in. Raises Refused."""
    if answer["status"] == "refused" and answer.get("code") != "store_full":
        raise Refused(answer.get("code") or "", answer.get("reason") or "")
    return answer["status"] in ("throttled", "refused")


# The link protocol of proto/PROTOCOL.md.
HELD_WAITING, HELD_RUNNING, HELD_ENDED = range(3)
STOP_CANCEL, STOP_RECALL = range(2)
COMPLETED, FAILED, CANCELLED, EXPIRED, RETURNED, NOT_HELD = range(6)
ASSIGN_DUP_POSSIBLE = 1
OUTCOME_DEAD, OUTCOME_PERMANENT = 2, 4
HEARTBEAT_DRAINING = 1
INVENTORY_ROWS, OUTCOMES_PER_MESSAGE = 4096, 512
STARTED_AFTER_MS = 50  # TAKEN(started) only for tasks that run longer
SILENCE_MS_MIN = 500
HELLO_MS = 2000  # a parent that does not welcome us in this time is not there
RECONNECT_MIN_MS, RECONNECT_MAX_MS = 50, 1000
OUTPUT_BYTES_MAX = 512 * 1024

Outcome = Tuple[int, int, Dict[str, Any]]  # end, flags, result map


class Task:
    """What a handler is told about its task. One Task is one attempt; `fence` guards its side effects."""

    def __init__(self, entry: Sequence[Any]):
        self.id, self.fence, self.age_ms, flags, self.attempt, self.attempts_max, self.envelope = entry[:7]
        self.dup_possible = bool(flags & ASSIGN_DUP_POSSIBLE)
        self.type: str = self.envelope.get("type", "")
        self.payload: bytes = self.envelope.get("payload", b"")
        self.stop_requested = threading.Event()  # cancelled or timed out: end soon, raise Stopped
        # The worker's own. Only the link's thread writes the outcome; whoever gets _claim first decides
        # whether the task starts (a handler's thread) or goes back (the link's).
        self._claim = threading.Lock()
        self._started_at: float | None = None
        self._reported = False
        self._outcome: Outcome | None = None

    def _running_ms(self) -> int:
        return 0 if self._started_at is None else int((time.monotonic() - self._started_at) * 1000)

    def _inventory_row(self) -> list[Any]:
        status = HELD_RUNNING if self._started_at is not None else HELD_WAITING
        return [self.id, self.fence, HELD_ENDED if self._outcome else status, self._running_ms()]

    def _taken(self) -> list[Any]:
        return [self.id, self.fence, self._started_at is not None, self._running_ms()]


Handler = Callable[[bytes, Task], "bytes | None"]


class _SessionEnded(Exception):
    """This session with the parent is over; its argument says why."""


class _Session:
    """One DEALER socket on one connection; counts the messages of both directions."""

    def __init__(self, endpoint: str):
        self.sent = self.received = 0
        self.welcomed = False
        self.beat_s, self.grace_s = 1.0, 10.0
        self.heard_at = time.monotonic()
        self.beat_at = self.heard_at + HELLO_MS / 1000  # before WELCOME: when to give up
        self.parent_clock_us, self.parent_clock_at = 0, 0.0
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        for option, value in ((zmq.LINGER, 0), (zmq.RECONNECT_IVL, -1), (zmq.SNDHWM, 0), (zmq.RCVHWM, 0)):
            self.socket.setsockopt(option, value)
        self.monitor = self.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED)
        self.socket.connect(endpoint)

    def close(self) -> None:
        self.socket.disable_monitor()
        self.monitor.close(0)
        self.socket.close()

    def send(self, kind: str, body: Any, *, counted: bool = True) -> None:
        self.sent += counted
        try:
            self.socket.send(pack(kind, self.sent if counted else 0, body), zmq.DONTWAIT)
        except zmq.Again:
            raise _SessionEnded("the send queue is full") from None

    def send_entries(self, kind: str, entries: Sequence[Any], most: int) -> None:
        """[[entry, ...]] in as many messages as counts and sizes ask for."""
        batch, size = [], 0
        for entry in entries:
            entry_size = len(msgpack.packb(entry))
            if batch and (len(batch) == most or size + entry_size > FRAME_BYTES - 64):
                self.send(kind, [batch])
                batch, size = [], 0
            batch.append(entry)
            size += entry_size
        if batch:
            self.send(kind, [batch])

    def receive(self) -> tuple[str, list[Any]] | None:
        """The next message, or None. HEARTBEAT, GREET and ERROR are not counted (sequence 0)."""
        try:
            _, kind, sequence, body = unpack(self.socket.recv(zmq.DONTWAIT))[:4]
        except zmq.Again:
            return None
        except ValueError as error:
            raise _SessionEnded(f"an unreadable message: {error}") from None
        if sequence:
            if sequence != self.received + 1:
                raise _SessionEnded(f"a gap: expected sequence {self.received + 1}, got {sequence}")
            self.received = sequence
        self.heard_at = time.monotonic()
        return kind, body


class Worker:
    """A worker of one region whose task types are Python functions.

    endpoint: the region's [region] workers port. handlers: task type -> function(payload, task) -> bytes or
    None; it runs in one of `slots` threads. What it returns is the task's output. An exception fails the
    attempt, which the region tries again up to the task's `retries`; PermanentError is not tried again.
    A handler that runs long should look at task.stop_requested now and then; it cannot be ended by force. One
    that holds the interpreter lock for longer than the region's worker_grace gets this worker declared lost.

    The worker keeps no spool: an outcome that the region has not recorded dies with the process, and the
    region runs the task again, marked dup_possible.
    """

    def __init__(self, endpoint: str, handlers: Mapping[str, Handler], *, slots: int = 1,
                 capabilities: Sequence[str] = (), name: str | None = None):
        if not handlers or slots < 1:
            raise ValueError("a worker needs at least one handler and one slot")
        self.endpoint, self.handlers, self.slots = endpoint, dict(handlers), slots
        self.name = name or f"{socket.gethostname()[:48].replace('/', '-')}-{os.getpid()}"
        self._capabilities = list(capabilities)
        self._instance = secrets.token_bytes(16)
        self._tasks: dict[tuple[bytes, bytes], Task] = {}  # by (id, fence): held until SETTLED
        self._ready: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[tuple[Task, Outcome]] = queue.SimpleQueue()
        self._wake_read, self._wake_write = socket.socketpair()
        for end in (self._wake_read, self._wake_write):
            end.setblocking(False)
        self._drain_until: float | None = None
        self._grace_s = 10.0
        self._receivers = {
            "GREET": self._on_greet, "WELCOME": self._on_welcome, "HEARTBEAT": self._on_heartbeat,
            "SETTLED": self._on_settled, "ASSIGN": self._on_assign, "STOP": self._on_stop,
            "ASK": self._on_ask, "ERROR": self._on_error}

    def run(self) -> None:
        """Serve until stop() or SIGTERM/SIGINT, then drain. Call it once."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: self.stop())
        for index in range(self.slots):
            threading.Thread(target=self._run_handlers, name=f"slot-{index}", daemon=True).start()
        pause_ms = RECONNECT_MIN_MS
        while not self._finished():
            session = _Session(self.endpoint)
            try:
                self._serve(session)
            except _SessionEnded as ended:
                log.info("%s: session with %s ended: %s", self.name, self.endpoint, ended)
            finally:
                session.close()
            pause_ms = RECONNECT_MIN_MS if session.welcomed else min(2 * pause_ms, RECONNECT_MAX_MS)
            if self._tasks:
                pause_ms = min(pause_ms, int(self._grace_s * 1000 / 3))
            self._pause(pause_ms * random.uniform(0.5, 1.0) / 1000)
        for _ in range(self.slots):
            self._ready.put(None)

    def stop(self, deadline_ms: int = 30000) -> None:
        """Drain: start nothing more, return what has not started, wait for the rest at most deadline_ms.
        Handlers that still run then are abandoned; the region marks their tasks dup_possible. Returns at
        once; safe from any thread and from a signal handler."""
        if self._drain_until is None:
            self._drain_until = time.monotonic() + deadline_ms / 1000
        self._wake()

    def _finished(self) -> bool:
        return self._drain_until is not None and (not self._tasks or time.monotonic() >= self._drain_until)

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # full: a wake-up is under way already
            self._wake_write.send(b"x")

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._finished() and (left := until - time.monotonic()) > 0:
            if zmq.select([self._wake_read], [], [], left)[0]:
                self._collect_ended()

    def _run_handlers(self) -> None:
        while (task := self._ready.get()) is not None:
            if task._claim.acquire(blocking=False):
                task._started_at = time.monotonic()
                self._ended.put((task, self._attempt(task)))
                self._wake()

    def _attempt(self, task: Task) -> Outcome:
        end, flags, output, message = COMPLETED, OUTCOME_DEAD, b"", ""
        try:
            if task.type not in self.handlers:
                raise PermanentError(f"this worker has no handler for type {task.type}")
            output = bytes(self.handlers[task.type](task.payload, task) or b"")
        except Stopped as stopped:  # however it came to that: only a STOP makes it a cancellation
            end, message = CANCELLED if task.stop_requested.is_set() else FAILED, str(stopped)
        except PermanentError as error:
            end, flags, message = FAILED, OUTCOME_DEAD | OUTCOME_PERMANENT, str(error)
        except Exception as error:  # a handler's mistake is the task's failure, never the worker's
            log.info("task %s failed", task.id.hex(), exc_info=True)
            end, message = FAILED, f"{type(error).__name__}: {error}"
        return end, flags, _result(task._running_ms(), output, message)

    def _serve(self, session: _Session) -> None:
        poller = zmq.Poller()
        for source in (session.socket, session.monitor, self._wake_read):
            poller.register(source, zmq.POLLIN)
        profile = [sorted(self.handlers), self._capabilities, self.slots]
        session.send("HELLO", [self.name, self._instance, 1, VERSION, VERSION, "worker", [profile], 0])
        while True:
            ready = dict(poller.poll(self._until_next_ms(session)))
            if session.socket in ready:
                while (message := session.receive()) is not None:
                    kind, body = message
                    if kind in self._receivers:
                        self._receivers[kind](session, body)
            if session.monitor in ready:
                event = parse_monitor_message(session.monitor.recv_multipart())["event"]
                raise _SessionEnded("connection refused" if event == zmq.EVENT_CLOSED else "connection lost")
            self._collect_ended()
            self._tick(session)
            if session.welcomed and self._finished():
                session.send("BYE", [len(self._tasks)])
                session.socket.setsockopt(zmq.LINGER, 200)  # so that it leaves
                raise _SessionEnded("drained")

    def _until_next_ms(self, session: _Session) -> int:
        """Until the next beat or start report; all else wakes the loop."""
        if any(not task._reported for task in self._tasks.values()):
            return STARTED_AFTER_MS
        return max(0, min(500, int((session.beat_at - time.monotonic()) * 1000) + 1))

    def _tick(self, session: _Session) -> None:
        now = time.monotonic()
        if not session.welcomed:
            if now >= session.beat_at:
                raise _SessionEnded(f"no WELCOME in {HELLO_MS} ms")
            return
        if now - session.heard_at > max(3 * session.beat_s, SILENCE_MS_MIN / 1000):
            raise _SessionEnded(f"nothing heard for {now - session.heard_at:.1f} s")
        if now >= session.beat_at:
            session.beat_at = now + session.beat_s
            held_us = int((now - session.parent_clock_at) * 1e6) if session.parent_clock_us else 0
            flags = HEARTBEAT_DRAINING if self._drain_until is not None else 0
            session.send("HEARTBEAT", [int(now * 1e6), session.parent_clock_us, held_us, 0, None, flags],
                         counted=False)
        if self._drain_until is not None:
            for task in self._tasks.values():
                self._end_unstarted(task, RETURNED)
        unreported = [task for task in self._tasks.values() if not task._reported]
        ended = [task for task in unreported if task._outcome]
        started = [task for task in unreported
                   if not task._outcome and task._running_ms() >= STARTED_AFTER_MS]
        session.send_entries("TAKEN", [task._taken() for task in started], TASKS_PER_MESSAGE)
        session.send_entries("OUTCOME", [[task.id, task.fence, *task._outcome] for task in ended],
                             OUTCOMES_PER_MESSAGE)
        for task in started + ended:
            task._reported = True

    def _collect_ended(self) -> None:
        """What the handlers' threads have finished is now to be reported."""
        with suppress(BlockingIOError):
            self._wake_read.recv(4096)
        while not self._ended.empty():
            task, task._outcome = self._ended.get()
            task._reported = False

    def _end_unstarted(self, task: Task, end: int) -> None:
        """End a task that no thread has started; if one just did, nothing happens."""
        if task._claim.acquire(blocking=False):
            task._outcome, task._reported = (end, OUTCOME_DEAD, _result(0, b"", "")), False

    def _on_welcome(self, session: _Session, body: list[Any]) -> None:
        session.beat_s, session.grace_s = body[2] / 1000, body[3] / 1000
        session.welcomed, session.beat_at = True, time.monotonic()
        self._grace_s = session.grace_s
        tasks = self._tasks.values()
        session.send_entries("INVENTORY", [task._inventory_row() for task in tasks], INVENTORY_ROWS)
        session.send("END", [])
        for task in tasks:
            task._reported = False  # outcomes and starts go out again, in _tick
        log.info("%s: session with %s up", self.name, self.endpoint)

    def _on_heartbeat(self, session: _Session, body: list[Any]) -> None:
        session.parent_clock_us, session.parent_clock_at = body[0], time.monotonic()

    def _on_assign(self, session: _Session, body: list[Any]) -> None:
        for entry in body[0]:
            known = self._tasks.get((entry[0], entry[1]))
            newest = max((fence for id, fence in self._tasks if id == entry[0]), default=b"")
            if known is not None:
                if known._outcome is not None:
                    known._reported = False
                else:
                    session.send("TAKEN", [[known._taken()]])
            elif entry[1] > newest:
                task = Task(entry)
                self._tasks[task.id, task.fence] = task
                if self._drain_until is not None:
                    self._end_unstarted(task, RETURNED)
                self._ready.put(task)

    def _on_stop(self, session: _Session, body: list[Any]) -> None:
        for id, fence, mode in (entry[:3] for entry in body[0]):
            task = self._tasks.get((id, fence))
            if task is None:
                session.send("OUTCOME", [[[id, fence, NOT_HELD, OUTCOME_DEAD, {}]]])
            elif task._outcome is not None:
                task._reported = False  # the answer is its outcome, again
            else:
                self._end_unstarted(task, RETURNED if mode == STOP_RECALL else CANCELLED)
                if mode == STOP_CANCEL:
                    task.stop_requested.set()

    def _on_settled(self, session: _Session, body: list[Any]) -> None:
        for entry in body[0]:
            task = self._tasks.get((entry[0], entry[1]))
            if task is not None and task._outcome is not None:
                del self._tasks[entry[0], entry[1]]

    def _on_greet(self, session: _Session, body: list[Any]) -> None:
        raise _SessionEnded("the parent does not know it")

    def _on_error(self, session: _Session, body: Mapping[str, Any]) -> None:
        log.warning("%s: refused by %s: %s: %s", self.name, self.endpoint, body["code"], body["reason"])
        raise _SessionEnded("refused")

    def _on_ask(self, session: _Session, body: list[Any]) -> None:
        request, question, parameters = body[:3]
        if question == "drain":
            self.stop(parameters.get("deadline_ms", 30000))
        session.send("ANSWER", [request, {}])


def _result(run_ms: int, output: bytes, message: str) -> dict[str, Any]:
    """The result map of an OUTCOME. A handler has neither exit status nor signal."""
    return {"exit": None, "signal": None, "run_ms": run_ms, "output": output[:OUTPUT_BYTES_MAX], "error": b"",
            "output_cut": len(output) > OUTPUT_BYTES_MAX, "error_cut": False, "message": message[:1024]}
