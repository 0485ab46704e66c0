"""Workers that go: drained, killed with grandchildren; and handlers in Python."""
import os
import signal
import subprocess
import sys
import threading
import unittest
from pathlib import Path

from cluster import (ROOT, Cluster, die_with_parent, loopback, meridian, processes_with, wait_until,
                     worker_name)
from effects import Effects

PYTHON_WORKER = """
import sys, time
sys.path.insert(0, sys.argv[1])
import meridian

def reverse(payload, task):
    return payload[::-1]

def flaky(payload, task):
    if task.attempt < 3:
        raise ValueError(f"attempt {task.attempt}")
    return b"attempt 3"

def hopeless(payload, task):
    raise meridian.PermanentError("no use")

def patient(payload, task):
    if task.stop_requested.wait(30):
        raise meridian.Stopped("asked to")

handlers = {"reverse": reverse, "flaky": flaky, "hopeless": hopeless, "patient": patient}
meridian.Worker(sys.argv[2], handlers, slots=4).run()
"""


def processes_of(id: bytes) -> list[int]:
    """All that a task started and that lives."""
    return processes_with("MERIDIAN_TASK", id.hex())


class Workers(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster.of_test(self)

    def test_no_grandchild_survives_its_agent(self):
        cluster = self.cluster
        cluster.small("eu/w1", slots=2)
        client = cluster.client()
        script = ("sleep 300 & setsid sleep 301 & (setsid sh -c 'sleep 302 & sleep 303' &); "
                  "trap '' TERM; sleep 304")
        id = client.submit(["sh", "-c", script])
        wait_until(lambda: len(processes_of(id)) >= 5, "the task has children and grandchildren")
        cluster.kill("eu/w1")
        wait_until(lambda: not processes_of(id), "no process of the task is left")

    def test_no_process_survives_the_end_of_its_task(self):
        cluster = self.cluster
        cluster.small("eu/w1", slots=2)
        client = cluster.client()
        id = client.submit(["sh", "-c", "sleep 300 & echo main is done"])  # it keeps the output pipe open
        self.assertEqual(("completed", b"main is done\n"), (lambda r: (r.state, r.output))(client.result(id)))
        wait_until(lambda: not processes_of(id), "no process of the task is left")

    def test_drain_by_the_operator(self):
        self.drain(lambda: self.assertEqual(0, self.cluster.cli("worker", "drain", "eu/w1").returncode))

    def test_drain_by_sigterm(self):
        self.drain(lambda: self.cluster.signal("eu/w1", signal.SIGTERM))

    def drain(self, drain):
        cluster = self.cluster
        cluster.small("eu/w1", "eu/w2", slots=2)
        client = cluster.client()
        effects = Effects(cluster.directory)
        gate = cluster.directory / "gate"
        held = client.submit_many(effects.task(f"until [ -e {gate} ]; do sleep 0.05; done") for _ in range(4))
        for id in held:
            cluster.wait_state(client, id, "running")
        cluster.nodes["eu/w1"].ended_by_us = True
        drain()
        wait_until(lambda: cluster.worker_row(client, "eu/w1").get("state") == "draining", "w1 drains")
        queued = client.submit_many(effects.task() for _ in range(50))
        gate.touch()
        results = client.results([*held, *queued], timeout_ms=60000)
        self.assertEqual(0, cluster.wait_exit("eu/w1"))
        self.assertEqual(0, effects.check(self, results))
        self.assertFalse(any(result.dup_possible for result in results.values()))
        self.assertEqual({"eu/w2"}, {results[id].worker for id in queued}, "a draining worker got new work")
        self.assertEqual({"eu/w1", "eu/w2"}, {results[id].worker for id in held})
        self.assertEqual({1}, {results[id].attempt for id in held}, "what ran was not waited for")
        wait_until(lambda: cluster.worker_row(client, "eu/w1").get("state") == "left", "w1 is said to have left")

    def test_workers_of_a_dead_region_are_listed_as_stale(self):
        cluster = self.cluster
        cluster.small("eu/w1", "eu/w2", "us/w1")
        client = cluster.client()
        wait_until(lambda: {row["name"]: row["workers"] for row in client.query("regions")} == {"eu": 2, "us": 1},
                   "the broker has heard of every worker")
        cluster.kill("eu")
        stale = {"eu/w1": True, "eu/w2": True, "us/w1": False}
        wait_until(lambda: {worker_name(row): row["stale"] for row in client.query("workers")} == stale,
                   "what eu said last")
        self.assertEqual(2, cluster.cli("worker", "list").stdout.count("stale"))

    def test_drain_past_its_deadline_returns_the_task(self):
        cluster = self.cluster
        cluster.small("eu/w1", slots=1)
        client = cluster.client()
        effects = Effects(cluster.directory)
        [id] = client.submit_many([effects.task('[ -e "$0.go" ] || sleep 60')])
        cluster.wait_state(client, id, "running")
        cluster.nodes["eu/w1"].ended_by_us = True
        done = cluster.cli("worker", "drain", "eu/w1", "--deadline", "300ms")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(0, cluster.wait_exit("eu/w1"))
        Path(f"{effects.path}.go").touch()
        cluster.worker("eu/w2", slots=1)
        result = client.result(id)
        self.assertEqual(("completed", "eu/w2", False), (result.state, result.worker, result.dup_possible))

    def test_task_that_kills_its_workers(self):
        cluster = self.cluster
        cluster.small("eu/w1", slots=1)
        client = cluster.client()
        effects = Effects(cluster.directory)
        [id] = client.submit_many([effects.task("sleep 60")])
        for starts in (1, 2, 3):  # poison_limit
            wait_until(lambda: effects.count() == starts, f"start {starts}")
            cluster.kill("eu/w1")
            cluster.start("eu/w1")
        result = client.result(id)
        self.assertEqual(("failed", "workers_lost", True), (result.state, result.reason, result.dup_possible))
        self.assertEqual(3, effects.count())


class PythonWorkers(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster.of_test(self)
        self.cluster.broker()
        self.cluster.region("eu")
        self.client = self.cluster.client()
        self.endpoint = loopback(self.cluster.ports["eu"])
        self.process = self.start_worker()

    def start_worker(self):
        process = subprocess.Popen([sys.executable, "-c", PYTHON_WORKER, str(ROOT / "client" / "python"),
                                    self.endpoint], preexec_fn=die_with_parent)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def run_one(self, type, **fields):
        return self.client.result(self.client.submit(type=type, **fields))

    def test_results_and_errors(self):
        self.assertEqual(b"cba", self.run_one("reverse", payload=b"abc").output)
        result = self.run_one("flaky")
        self.assertEqual(("completed", 3, b"attempt 3"), (result.state, result.attempt, result.output))
        self.assertEqual([1, 2], [entry["attempt"] for entry in result.history if entry["end"] == "failed"])
        result = self.run_one("hopeless")
        self.assertEqual(("failed", 1, "no use"), (result.state, result.attempt, result.message))
        self.assertIn(str(self.process.pid), result.worker)

    def test_many(self):
        payloads = [f"{number}".encode() for number in range(1000)]
        ids = self.client.submit_many({"type": "reverse", "payload": payload} for payload in payloads)
        results = self.client.results(ids, timeout_ms=60000)
        self.assertEqual([payload[::-1] for payload in payloads], [results[id].output for id in ids])

    def test_cancel(self):
        id = self.client.submit(type="patient")
        self.cluster.wait_state(self.client, id, "running")
        self.client.cancel([id])
        self.assertEqual("cancelled", self.client.result(id).state)

    def test_region_restarts_and_the_outcome_arrives(self):
        id = self.client.submit(type="patient", timeout_ms=1500, retries=0)
        self.cluster.wait_state(self.client, id, "running")
        self.cluster.kill("eu")
        self.cluster.start("eu")
        result = self.client.result(id)
        self.assertEqual(("failed", "timeout", False), (result.state, result.reason, result.dup_possible))

    def test_killed_and_replaced(self):
        id = self.client.submit(type="patient", timeout_ms=3000, retries=0)
        self.cluster.wait_state(self.client, id, "running")
        self.process.kill()
        self.start_worker()
        result = self.client.result(id)
        self.assertTrue(result.dup_possible)
        self.assertEqual(2, result.attempt)

    def test_sigterm_drains(self):
        wait_until(lambda: self.client.query("workers"), "the worker is up")
        id = self.client.submit(type="patient", timeout_ms=600, retries=0)
        self.cluster.wait_state(self.client, id, "running")
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual("timeout", self.client.result(id).reason)
        self.assertEqual(0, self.process.wait(10))


class Clients(unittest.TestCase):
    def test_req_client_waits_while_the_broker_is_killed_and_started(self):
        cluster = Cluster.of_test(self)
        cluster.small("eu/w1")
        gate = cluster.directory / "gate"
        submitter = cluster.client()
        id = submitter.submit(["sh", "-c", f"until [ -e {gate} ]; do sleep 0.05; done; echo through"])
        cluster.wait_state(submitter, id, "running")
        waited, results = threading.Event(), []

        class Client(meridian.Client):
            def watch(self, ids, **options):
                found = super().watch(ids, **options)
                waited.set()  # one WATCH has had its time; the next one is under way
                return found

        def wait():
            client = Client(cluster.server, answer_ms=500, watch_ms=700)
            results.append(client.result(id, timeout_ms=30000))
            client.close()

        thread = threading.Thread(target=wait)
        thread.start()
        self.assertTrue(waited.wait(10))
        cluster.kill("broker")
        cluster.start("broker")
        gate.touch()
        thread.join(40)
        self.assertEqual([b"through\n"], [result.output for result in results])
        self.assertFalse(results[0].dup_possible)

    def test_submit_while_the_broker_is_away(self):
        cluster = Cluster.of_test(self)
        cluster.small("eu/w1")
        cluster.kill("broker")
        client = cluster.client(answer_ms=300)
        ids = []
        thread = threading.Thread(target=lambda: ids.append(client.submit(["echo", "patience"])))
        thread.start()
        cluster.start("broker")
        thread.join(30)
        self.assertEqual(b"patience\n", client.result(ids[0]).output)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    unittest.main(verbosity=2)
