"""A real broker whose disk fails: it stops with a reason, and after a restart all that it had answered is there.

The library of interpose.h is preloaded into the broker and fails its Nth write or sync. One broker, one region, one
worker and their stores go through all failures, so each life begins with what the one before left.
MERIDIAN_BIN is the program, MERIDIAN_INTERPOSE_LIBRARY the library (default: beside the program).
"""
import os
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from cluster import BIN, Cluster, meridian  # noqa: E402

LIBRARY = os.environ.get("MERIDIAN_INTERPOSE_LIBRARY", str(Path(BIN).parent / "libsweep_interpose.so"))
TASKS = 100
TASKS_AT_ONCE = 5
EIO, ENOSPC, SHORT = 5, 28, 0


class Broker(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster.of_test(self)
        self.cluster.small("eu/w1", slots=4)
        self.accepted = set()  # all ids that any life of the broker answered so
        self.ended = {}  # and the states of those that it said had ended

    def start_failing(self, calls, nth, how, onward):
        cluster = self.cluster
        cluster.kill("broker")
        under = cluster.directory / "broker" / "store"
        os.environ["LD_PRELOAD"] = LIBRARY
        os.environ["MERIDIAN_INTERPOSE"] = f"{under} {calls} {nth} {'onward' if onward else 'once'} {how}"
        try:
            cluster.start("broker")
        finally:
            del os.environ["LD_PRELOAD"], os.environ["MERIDIAN_INTERPOSE"]

    def submit(self, client, tasks):
        """One request; what it accepted is noted."""
        for answer in client.ask("SUBMIT", {"tasks": tasks})[1]["tasks"]:
            self.assertIn(answer["status"], ("accepted", "duplicate"), answer)
            if answer["id"] in self.accepted:
                self.assertEqual("duplicate", answer["status"], "an accepted task was lost")
            self.accepted.add(answer["id"])

    def note_ended(self, client, ids, wait_ms):
        for result in client.watch(ids, wait_ms=wait_ms)[0]:
            self.assertEqual(self.ended.setdefault(result.id, result.state), result.state)

    def job(self, tasks):
        """The whole job, or until the broker has ended; True if it has not."""
        process = self.cluster.nodes["broker"].process
        client = self.cluster.client(answer_ms=300)
        waiting = [tasks[i:i + TASKS_AT_ONCE] for i in range(0, len(tasks), TASKS_AT_ONCE)]
        while waiting and process.poll() is None:
            try:
                self.submit(client, waiting[0])
                del waiting[0]
            except meridian.NoAnswer:
                pass
        ids = [task["id"] for task in tasks]
        while not waiting and process.poll() is None and not self.ended.keys() >= set(ids):
            try:
                self.note_ended(client, [id for id in ids if id not in self.ended], 300)
            except meridian.NoAnswer:
                pass
        return process.poll() is None

    def check_reason(self, how):
        status = self.cluster.wait_exit("broker")
        last = self.cluster.nodes["broker"].log_text().splitlines()[-1]
        self.assertEqual(1, status, last)
        self.assertIn(str(self.cluster.directory / "broker"), last)
        self.assertRegex(last, "; .*(make room|disk|start again)")
        if how == ENOSPC:
            self.assertIn("make room", last)

    def survive(self, calls, nth, how, onward):
        """One failure. False once the job needs fewer calls than that."""
        tasks = [{"id": meridian.new_id(), "argv": ["true"], "payload": bytes(1 + i * 300)} for i in range(TASKS)]
        self.start_failing(calls, nth, how, onward)
        if self.job(tasks):
            return False
        self.check_reason(how)
        self.cluster.start("broker")
        self.cluster.wait_up()
        self.assertTrue(self.job(tasks), "the broker ended again")
        client = self.cluster.client()
        for id, result in client.results([task["id"] for task in tasks], timeout_ms=60000).items():
            self.assertEqual("completed", result.state)
            self.assertEqual(self.ended.get(id, result.state), result.state, "a result has changed")
        return True

    def sweep(self, calls, how, onward=False):
        """1, 2, 3, 5, 8, ...: every single call is swept over by sweep_store."""
        nth, next_nth, survived = 1, 2, []
        while self.survive(calls, nth, how, onward):
            survived.append(nth)
            nth, next_nth = next_nth, nth + next_nth
        self.assertGreater(len(survived), 5, survived)
        print(f"broker: {calls} {survived}", file=sys.stderr)

    def test_a_sync_that_fails(self):
        self.sweep("syncs", EIO)

    def test_a_disk_that_fills(self):
        self.sweep("writes", ENOSPC, onward=True)

    def test_a_write_that_is_cut_short(self):
        self.sweep("writes", SHORT)


if __name__ == "__main__":
    unittest.main(verbosity=2)
