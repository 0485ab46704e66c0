"""client/python/meridian.py against a scripted node: what it sends when replies and sessions are lost."""
from __future__ import annotations

import sys
import threading
import unittest
from pathlib import Path

import msgpack
import zmq

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "client" / "python"))

import meridian  # noqa: E402

RECEIVE_MS = 5000
FENCE = bytes(11) + b"\x01"
LATER_FENCE = bytes(11) + b"\x02"
ID = bytes(range(16))
BEAT_MS = 100


class Node:
    """A ROUTER that says only what a test makes it say."""

    def __init__(self, test: unittest.TestCase):
        self.socket = zmq.Context.instance().socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RCVTIMEO, RECEIVE_MS)
        port = self.socket.bind_to_random_port("tcp://127.0.0.1", 24900, 24999)
        self.endpoint = f"tcp://127.0.0.1:{port}"
        test.addCleanup(self.socket.close)
        self.sequences: dict[bytes, int] = {}

    def receive(self, *skipped: str) -> tuple[list[bytes], str, int, object]:
        """The next message whose kind is not skipped: (envelope, kind, sequence, body)."""
        while True:
            frames = self.socket.recv_multipart()
            version, kind, sequence, body = msgpack.unpackb(frames[-1], strict_map_key=False)
            assert version == 1
            if kind not in skipped:
                return frames[:-1], kind, sequence, body

    def expect(self, kind: str) -> tuple[list[bytes], object]:
        envelope, got, _, body = self.receive("HEARTBEAT")
        assert got == kind, f"expected {kind}, got {got} {body}"
        return envelope, body

    def send(self, envelope: list[bytes], kind: str, body: object, sequence: int) -> None:
        self.socket.send_multipart([*envelope, msgpack.packb([1, kind, sequence, body])])

    def send_counted(self, peer: list[bytes], kind: str, body: object) -> None:
        self.sequences[peer[0]] = self.sequences.get(peer[0], 0) + 1
        self.send(peer, kind, body, self.sequences[peer[0]])

    def silent(self, *kinds: str, for_ms: int = 150) -> bool:
        """No message of these kinds comes for so long in this session (a new one sends again what is unanswered)."""
        while self.socket.poll(for_ms):
            _, kind, _, _ = self.receive()
            if kind in kinds:
                return False
            if kind in ("HEARTBEAT", "HELLO"):
                return True
        return True


def in_thread(test: unittest.TestCase, function):
    """Runs function() in a thread; the returned function gives its value or raises what it raised."""
    outcome: list = []

    def run():
        try:
            outcome.append((function(), None))
        except Exception as error:  # handed to the test below
            outcome.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def value():
        thread.join(RECEIVE_MS / 1000)
        test.assertTrue(outcome, "it did not return")
        result, error = outcome[0]
        if error is not None:
            raise error
        return result

    return value


class ClientTest(unittest.TestCase):
    def setUp(self):
        self.node = Node(self)
        self.client = meridian.Client(self.node.endpoint, answer_ms=300)
        self.addCleanup(self.client.close)

    def submit(self, **fields):
        return in_thread(self, lambda: self.client.submit(["true"], submit_timeout_ms=4000, **fields))

    def answer(self, **answer):
        envelope, kind, sequence, body = self.node.receive()
        self.assertEqual("SUBMIT", kind)
        rows = [dict({"id": task["id"], "status": "accepted"}, **answer) for task in body["tasks"]]
        self.node.send(envelope, "ACCEPTED", {"epoch": 1, "held": "root", "tasks": rows}, sequence)
        return [task["id"] for task in body["tasks"]]

    def test_resends_with_the_same_id(self):
        value = self.submit()
        _, _, _, lost = self.node.receive()
        [id] = self.answer(status="duplicate", state="ready")
        self.assertEqual(lost["tasks"][0]["id"], id)
        self.assertEqual(id, value())

    def test_follows_throttled(self):
        value = self.submit()
        first = self.answer(status="throttled", retry_after_ms=30)
        second = self.answer(status="refused", code="store_full", reason="above the watermark")
        third = self.answer()
        self.assertEqual(first, second)
        self.assertEqual(second, third)
        self.assertEqual(third, [value()])

    def test_only_what_was_throttled_is_sent_again(self):
        tasks = [{"id": meridian.new_id(), "argv": ["true"]} for _ in range(3)]
        value = in_thread(self, lambda: self.client.submit_many(tasks))
        envelope, _, sequence, body = self.node.receive()
        rows = [{"id": task["id"], "status": status, "retry_after_ms": 10}
                for task, status in zip(body["tasks"], ("accepted", "throttled", "accepted"))]
        self.node.send(envelope, "ACCEPTED", {"epoch": 1, "held": "root", "tasks": rows}, sequence)
        self.assertEqual([tasks[1]["id"]], self.answer())
        self.assertEqual([task["id"] for task in tasks], value())

    def test_refused_is_raised_and_not_sent_again(self):
        value = self.submit()
        self.answer(status="refused", code="conflict", reason="another body")
        with self.assertRaises(meridian.Refused) as caught:
            value()
        self.assertEqual("conflict", caught.exception.code)
        self.assertTrue(self.node.silent("SUBMIT", for_ms=400))

    def test_large_payload_never_leaves(self):
        with self.assertRaises(meridian.Refused) as caught:
            self.client.submit(["true"], payload=bytes(meridian.PAYLOAD_BYTES + 1))
        self.assertEqual("too_large", caught.exception.code)
        self.assertTrue(self.node.silent("SUBMIT", for_ms=100))

    def test_batches_by_size_and_count(self):
        tasks = [{"type": "t", "payload": bytes(100 * 1024)} for _ in range(5)]
        value = in_thread(self, lambda: self.client.submit_many(tasks))
        self.assertEqual([2, 2, 1], [len(self.answer()) for _ in range(3)])
        self.assertEqual(5, len(set(value())))
        value = in_thread(self, lambda: self.client.submit_many({"type": "t"} for _ in range(1500)))
        self.assertEqual([1024, 476], [len(self.answer()) for _ in range(2)])
        value()

    def test_result_asks_again_and_acknowledges(self):
        value = in_thread(self, lambda: self.client.result(ID, timeout_ms=400))
        self.assertEqual("WATCH", self.node.receive()[1])  # this one is lost
        with self.assertRaises(meridian.NotEnded):
            value()
        value = in_thread(self, lambda: self.client.result(ID, timeout_ms=4000))
        envelope, kind, sequence, body = self.node.receive()
        self.assertEqual([ID], body["ids"])
        row = {"id": ID, "state": "failed", "dup_possible": True, "new_field": 1, "outcome": {
            "reason": "exit_status", "worker": "us/w1", "attempt": 2, "result": {"exit": 3, "output": b"x"}}}
        self.node.send(envelope, "RESULT", {"results": [row], "pending": [], "unknown": []}, sequence)
        envelope, kind, sequence, body = self.node.receive()
        self.assertEqual(("RECEIVED", {"ids": [ID]}), (kind, body))
        self.node.send(envelope, "DONE", {"epoch": 1}, sequence)
        result = value()
        self.assertEqual(("failed", True, "exit_status", "us/w1", 2, 3, b"x"), (
            result.state, result.dup_possible, result.reason, result.worker, result.attempt, result.exit,
            result.output))

    def test_unknown_task(self):
        value = in_thread(self, lambda: self.client.result(ID))
        envelope, _, sequence, _ = self.node.receive()
        self.node.send(envelope, "RESULT", {"results": [], "pending": [], "unknown": [ID]}, sequence)
        with self.assertRaises(meridian.UnknownTask):
            value()

    def test_ids_are_uuid7_and_differ(self):
        ids = [meridian.new_id() for _ in range(100)]
        self.assertEqual(100, len(set(ids)))
        for id in ids:
            self.assertEqual((7, 2), (id[6] >> 4, id[8] >> 6))


class WorkerTest(unittest.TestCase):
    def setUp(self):
        self.node = Node(self)
        self.go = threading.Event()
        self.worker = meridian.Worker(self.node.endpoint, {
            "echo": lambda payload, task: payload, "wait": self.wait, "fail": self.fail_handler,
            "patient": self.patient}, slots=2, name="host-1")
        self.thread = threading.Thread(target=self.worker.run, daemon=True)
        self.thread.start()
        self.addCleanup(self.end)

    def end(self):
        self.go.set()
        self.worker.stop(deadline_ms=0)
        self.thread.join(RECEIVE_MS / 1000)
        self.assertFalse(self.thread.is_alive())

    def wait(self, payload, task):
        self.go.wait(RECEIVE_MS / 1000)
        return b"waited"

    def fail_handler(self, payload, task):
        raise KeyError("missing")

    def patient(self, payload, task):
        if task.stop_requested.wait(RECEIVE_MS / 1000):
            raise meridian.Stopped("asked to")

    def session(self):
        """Take the next HELLO and welcome it: (peer, its HELLO, its inventory)."""
        peer, hello = self.node.expect("HELLO")
        self.node.send_counted(peer, "WELCOME", [1, 9, BEAT_MS, 1000, 0])
        rows = []
        while True:
            envelope, kind, _, body = self.node.receive("HEARTBEAT")
            self.assertEqual(peer, envelope)
            if kind == "END":
                return peer, hello, rows
            self.assertEqual("INVENTORY", kind)
            rows += body[0]

    def assign(self, peer, type, payload=b"", id=ID, fence=FENCE):
        entry = [id, fence, 0, 0, 1, 4, {"id": id, "type": type, "payload": payload}]
        self.node.send_counted(peer, "ASSIGN", [[entry]])

    def beat(self, peer):
        self.node.send(peer, "HEARTBEAT", [1, 0, 0, 0, None, 0], 0)

    def outcome(self):
        """The next OUTCOME's only entry, past any TAKEN."""
        _, kind, _, body = self.node.receive("HEARTBEAT", "TAKEN")
        self.assertEqual("OUTCOME", kind)
        [entry] = body[0]
        return entry

    def test_hello_and_heartbeats(self):
        peer, hello, rows = self.session()
        self.assertEqual(("host-1", 1, 1, 1, "worker"), (hello[0], *hello[2:6]))
        self.assertEqual([[["echo", "fail", "patient", "wait"], [], 2]], hello[6])
        self.assertEqual([], rows)
        self.node.send(peer, "HEARTBEAT", [123456, 0, 0, 0, None, 0], 0)
        for _ in range(10):
            _, kind, sequence, body = self.node.receive()
            self.assertEqual(("HEARTBEAT", 0), (kind, sequence))
            if body[1] == 123456:
                return
        self.fail("our clock was not echoed")

    def test_short_task_needs_no_taken(self):
        peer, _, _ = self.session()
        self.assign(peer, "echo", b"abc")
        _, body = self.node.expect("OUTCOME")
        [[id, fence, end, flags, result]] = body[0]
        self.assertEqual((ID, FENCE, meridian.COMPLETED, meridian.OUTCOME_DEAD), (id, fence, end, flags))
        self.assertEqual((b"abc", None), (result["output"], result["exit"]))

    def test_long_task_says_that_it_started(self):
        peer, _, _ = self.session()
        self.assign(peer, "wait")
        _, body = self.node.expect("TAKEN")
        self.assertEqual([[ID, FENCE, True]], [entry[:3] for entry in body[0]])
        self.go.set()
        self.assertEqual(b"waited", self.outcome()[4]["output"])

    def test_exception_is_a_failure_with_its_message(self):
        peer, _, _ = self.session()
        self.assign(peer, "fail")
        _, _, end, flags, result = self.outcome()
        self.assertEqual((meridian.FAILED, meridian.OUTCOME_DEAD, "KeyError: 'missing'"), (end, flags,
                                                                                          result["message"]))

    def test_unknown_type_is_permanent(self):
        peer, _, _ = self.session()
        self.assign(peer, "nobody")
        self.assertEqual(meridian.OUTCOME_DEAD | meridian.OUTCOME_PERMANENT, self.outcome()[3])

    def test_outcome_is_sent_again_until_settled(self):
        peer, first, _ = self.session()
        self.assign(peer, "echo", b"abc")
        sent = self.outcome()
        self.node.send(peer, "GREET", [], 0)
        peer, second, rows = self.session()
        self.assertEqual(first[:2], second[:2], "name and instance stay")
        self.assertEqual([[ID, FENCE, meridian.HELD_ENDED]], [row[:3] for row in rows])
        self.assertEqual(sent, self.outcome())
        self.node.send_counted(peer, "SETTLED", [[[ID, FENCE, 0]]])
        self.node.send(peer, "GREET", [], 0)
        _, _, rows = self.session()
        self.assertEqual([], rows)

    def test_a_gap_ends_the_session(self):
        peer, _, _ = self.session()
        self.node.sequences[peer[0]] += 1
        self.assign(peer, "echo")
        again, _, rows = self.session()
        self.assertNotEqual(peer, again, "a session is a connection of its own")
        self.assertEqual([], rows)

    def test_silence_ends_the_session(self):
        peer, _, _ = self.session()
        again, _, _ = self.session()
        self.assertNotEqual(peer, again)

    def test_refusal_ends_the_session_and_is_tried_again(self):
        peer, _ = self.node.expect("HELLO")
        self.node.send(peer, "ERROR", {"code": "name_in_use", "reason": "host-1 is live"}, 0)
        again, _, _ = self.session()
        self.assertNotEqual(peer, again)

    def test_running_task_outlives_the_session(self):
        peer, _, _ = self.session()
        self.assign(peer, "wait")
        self.node.expect("TAKEN")
        self.node.send(peer, "GREET", [], 0)
        peer, _, rows = self.session()
        self.assertEqual([[ID, FENCE, meridian.HELD_RUNNING]], [row[:3] for row in rows])
        self.assign(peer, "wait")  # the same fence again: it is not started twice
        self.node.expect("TAKEN")
        self.go.set()
        self.assertEqual(meridian.COMPLETED, self.outcome()[2])
        self.assertTrue(self.node.silent("OUTCOME"))

    def test_assign_again_of_what_has_ended_gets_the_outcome_again(self):
        peer, _, _ = self.session()
        self.assign(peer, "echo", b"abc")
        first = self.outcome()
        self.assign(peer, "echo", b"abc")
        self.assertEqual(first, self.outcome())

    def test_lower_fence_changes_nothing(self):
        peer, _, _ = self.session()
        self.assign(peer, "echo", b"new", fence=LATER_FENCE)
        self.assertEqual(LATER_FENCE, self.outcome()[1])
        self.assign(peer, "echo", b"old", fence=FENCE)
        self.assertTrue(self.node.silent("OUTCOME", "TAKEN"))

    def test_stop(self):
        peer, _, _ = self.session()
        stop = lambda fence, mode: self.node.send_counted(peer, "STOP", [[[ID, fence, mode]]])  # noqa: E731
        stop(FENCE, meridian.STOP_CANCEL)
        self.assertEqual([ID, FENCE, meridian.NOT_HELD, meridian.OUTCOME_DEAD], self.outcome()[:4])
        self.assign(peer, "patient")
        self.node.expect("TAKEN")
        stop(FENCE, meridian.STOP_RECALL)  # it has started: no answer before its end
        self.assertTrue(self.node.silent("OUTCOME"))
        stop(FENCE, meridian.STOP_CANCEL)
        self.assertEqual(meridian.CANCELLED, self.outcome()[2])

    def test_recall_of_what_has_not_started(self):
        peer, _, _ = self.session()
        ids = [bytes([number]) * 16 for number in range(3)]
        for id in ids:
            self.assign(peer, "wait", id=id)
        self.node.expect("TAKEN")
        self.node.send_counted(peer, "STOP", [[[ids[2], FENCE, meridian.STOP_RECALL]]])
        self.assertEqual([ids[2], FENCE, meridian.RETURNED], self.outcome()[:3])

    def test_drain(self):
        peer, _, _ = self.session()
        self.assign(peer, "wait")
        self.node.expect("TAKEN")
        self.worker.stop()
        self.beat(peer)
        self.assign(peer, "echo", id=bytes(16))
        self.assertEqual([bytes(16), FENCE, meridian.RETURNED], self.outcome()[:3])
        self.node.send_counted(peer, "SETTLED", [[[bytes(16), FENCE, 0]]])
        self.go.set()
        self.assertEqual(meridian.COMPLETED, self.outcome()[2])
        self.node.send_counted(peer, "SETTLED", [[[ID, FENCE, 0]]])
        self.node.expect("BYE")
        self.thread.join(RECEIVE_MS / 1000)
        self.assertFalse(self.thread.is_alive())


if __name__ == "__main__":
    unittest.main(verbosity=2)
