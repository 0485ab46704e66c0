"""More than one step can do: the largest SUBMIT, and the loss of a worker that holds thousands of tasks."""
import os
import time
import unittest

import msgpack
import zmq
from cluster import Cluster, loopback, meridian, wait_until

HELD = 6000
BEAT_S = 0.1
DEADLINE_S = 60


class Hoarder:
    """A worker that takes tasks and does nothing with them but beat."""

    def __init__(self, endpoint, slots):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(endpoint)
        self.sent = 0
        self.beat_at = 0.0
        self.fences = {}
        self.send("HELLO", ["hoarder", os.urandom(16), 1, 1, 1, "worker", [[["nothing"], [], slots]], 0])

    def send(self, kind, body, counted=True):
        self.sent += counted
        self.socket.send(msgpack.packb([1, kind, self.sent if counted else 0, body]))

    def step(self):
        """Takes what has come, and beats."""
        while self.socket.poll(10):
            _, kind, _, body = msgpack.unpackb(self.socket.recv(), strict_map_key=False)
            if kind == "WELCOME":
                self.send("END", [])
            elif kind == "ASSIGN":
                self.fences.update((entry[0], entry[1]) for entry in body[0])
        if self.sent > 1 and time.monotonic() >= self.beat_at:
            self.send("HEARTBEAT", [1, 0, 0, 0, None, 0], counted=False)
            self.beat_at = time.monotonic() + BEAT_S
        return len(self.fences)

    def close(self):
        self.socket.close()


class Large(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster.of_test(self)
        self.cluster.broker()
        self.cluster.region("eu")
        self.client = self.cluster.client()

    def test_largest_submit(self):
        tasks = [{"id": meridian.new_id(), "type": "nothing"} for _ in range(1024)]
        _, body = self.client.ask("SUBMIT", {"tasks": tasks})
        self.assertEqual([task["id"] for task in tasks], [row["id"] for row in body["tasks"]])
        self.assertEqual({"accepted"}, {row["status"] for row in body["tasks"]})
        _, body = self.client.ask("SUBMIT", {"tasks": tasks})
        self.assertEqual({"duplicate"}, {row["status"] for row in body["tasks"]})
        self.cluster.worker("eu/w1", slots=64, types={"nothing": "builtin=noop"})
        results = self.client.results([task["id"] for task in tasks], timeout_ms=DEADLINE_S * 1000)
        self.assertFalse(any(result.dup_possible for result in results.values()))

    def test_too_many_tasks_in_a_submit(self):
        tasks = [{"id": meridian.new_id(), "type": "nothing"} for _ in range(1025)]
        with self.assertRaises(meridian.Refused) as caught:
            self.client.ask("SUBMIT", {"tasks": tasks})
        self.assertIn("1024", caught.exception.reason)

    def test_loss_of_a_worker_that_holds_thousands(self):
        hoarder = Hoarder(loopback(self.cluster.ports["eu"]), HELD)
        self.addCleanup(hoarder.close)
        wait_until(lambda: hoarder.step() is not None and self.slots() == HELD, "the hoarder is welcome")
        ids = self.client.submit_many({"type": "nothing"} for _ in range(HELD))
        wait_until(lambda: hoarder.step() == HELD, "it holds them all", DEADLINE_S)
        hoarder.close()
        self.cluster.worker("eu/w1", slots=256, types={"nothing": "builtin=noop"})
        results = self.client.results(ids, timeout_ms=DEADLINE_S * 1000)
        self.assertEqual({"completed"}, {result.state for result in results.values()})
        self.assertEqual({"eu/w1"}, {result.worker for result in results.values()})
        self.assertTrue(all(result.dup_possible for result in results.values()), "a lost grant is not marked")
        for id, result in results.items():
            self.assertGreater(result.fence, hoarder.fences[id], "the fence did not grow")
        wait_until(lambda: self.cluster.worker_row(self.client, "eu/hoarder").get("lost") == HELD,
                   "the loss is counted")

    def slots(self):
        return sum(row["slots"] for row in self.client.query("regions"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
