"""Silence: a stopped worker and a region that is cut off, both past their graces and back; a region that is forgotten."""
import json
import signal
import unittest

from cluster import Cluster, free_port, wait_until
from effects import Effects
from forwarder import Forwarder


class Partition(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster.of_test(self)
        self.effects = Effects(self.cluster.directory)

    def test_late_outcome_while_the_task_runs_elsewhere(self):
        self.stopped_worker(lambda gates: gates[1].touch(), lambda gates: gates[2].touch())

    def test_late_outcome_when_the_task_has_ended(self):
        self.stopped_worker(lambda gates: (gates[1].touch(), gates[2].touch()), lambda gates: None)

    def stopped_worker(self, before_return, after_return):
        """w1 is stopped past its grace while it runs a task, w2 gets the task, w1 comes back with its end.
        The gates let the attempts end."""
        cluster = self.cluster
        cluster.small("eu/w1", slots=1)
        client = cluster.client()
        gates = {attempt: cluster.directory / f"gate{attempt}" for attempt in (1, 2)}
        wait = f'until [ -e "{cluster.directory}/gate$MERIDIAN_ATTEMPT" ]; do sleep 0.05; done'
        [id] = client.submit_many([self.effects.task(wait)])
        wait_until(lambda: self.effects.count() == 1, "the task started on w1")
        cluster.wait_state(client, id, "running")
        cluster.signal("eu/w1", signal.SIGSTOP)
        cluster.worker("eu/w2", slots=1)
        wait_until(lambda: self.effects.count() == 2, "the task started on w2")
        before_return(gates)
        if gates[2].exists():
            self.assertEqual("eu/w2", client.result(id).worker)
        self.assertEqual(0, cluster.worker_row(client, "eu/w1").get("late", 0))

        cluster.signal("eu/w1", signal.SIGCONT)
        wait_until(lambda: cluster.worker_row(client, "eu/w1").get("late") == 1, "the late outcome counts")
        after_return(gates)
        result = client.result(id)
        self.assertEqual(("completed", "eu/w2", 2), (result.state, result.worker, result.attempt))
        self.effects.check(self, {id: result})
        self.assertEqual(1, cluster.worker_row(client, "eu/w1")["lost"])
        # It is a worker as good as any again.
        cluster.kill("eu/w2")
        again = client.submit(["true"])
        self.assertEqual("eu/w1", client.result(again).worker)

    def test_region_cut_off_past_its_grace_and_back(self):
        cluster = self.cluster
        cluster.broker()
        port = free_port()
        link = Forwarder(port, cluster.ports["broker"])
        self.addCleanup(link.close)
        cluster.region("eu", parent=port)
        cluster.region("us")
        for worker in ("eu/w1", "us/w1"):
            cluster.worker(worker, slots=4)
        cluster.wait_up()
        client = cluster.client()
        ids = client.submit_many(self.effects.task("sleep 0.2") for _ in range(60))
        wait_until(lambda: self.held(client, "eu") > 0 and self.effects.count() > 8, "both regions run tasks")
        link.pause()
        wait_until(lambda: self.state(client, "eu") == "lost", "eu is lost to the broker")
        results = client.results(ids, timeout_ms=60000)  # what eu held runs again at us
        self.assertTrue(any(result.dup_possible for result in results.values()))
        link.resume()
        cluster.wait_up()
        self.effects.check(self, results)
        probe = client.submit(["true"], region="eu")
        self.assertEqual("completed", client.result(probe).state)
        again, _ = client.watch(ids)
        self.assertTrue(again)
        for result in again:
            self.assertEqual(results[result.id], result, "a recorded end changed")
        wait_until(lambda: self.held(client, "eu") == 0, "eu holds nothing any more")

    def test_region_cut_off_within_its_grace_loses_nothing(self):
        cluster = self.cluster
        cluster.broker(broker_region_grace="30s")
        port = free_port()
        link = Forwarder(port, cluster.ports["broker"])
        self.addCleanup(link.close)
        cluster.region("eu", parent=port)
        cluster.worker("eu/w1", slots=4)
        cluster.wait_up()
        client = cluster.client()
        ids = client.submit_many(self.effects.task("sleep 0.5") for _ in range(24))
        wait_until(lambda: self.held(client, "eu") == 8, "eu holds twice its slots")
        link.pause()
        started = self.effects.count()
        wait_until(lambda: self.effects.count() >= started + 2, "eu goes on alone")
        wait_until(lambda: self.state(client, "eu") != "live", "the broker notices")
        link.resume()
        results = client.results(ids, timeout_ms=60000)
        self.assertEqual(0, self.effects.check(self, results))
        self.assertFalse(any(result.dup_possible for result in results.values()))

    def test_forgotten_region(self):
        """Nobody waits for the grace; the region comes back all the same, with the end of what it ran."""
        cluster = self.cluster
        cluster.small("eu/w1", slots=2, broker_region_grace="1h")
        client = cluster.client()
        gates = {custody: cluster.directory / f"gate{custody}" for custody in (1, 2)}
        wait = f'until [ -e "{cluster.directory}/gate$(echo $MERIDIAN_FENCE | cut -c8)" ]; do sleep 0.05; done'
        ids = client.submit_many(self.effects.task(wait) for _ in range(4))
        wait_until(lambda: self.held(client, "eu") == 4 and self.effects.count() == 2, "eu holds all, and runs two")
        cluster.region("us")
        cluster.worker("us/w1", slots=4)
        cluster.wait_up()
        refused = cluster.cli("region", "forget", "eu")
        self.assertEqual((1, ""), (refused.returncode, refused.stdout))
        self.assertIn("eu: is connected", refused.stderr)
        self.assertEqual(4, cluster.cli("region", "forget", "ap").returncode)
        self.assertEqual(2, cluster.cli("region", "forget", "eu/w1").returncode)

        cluster.kill("eu")
        wait_until(lambda: self.state(client, "eu") == "away", "the broker notices")
        done = cluster.cli("region", "forget", "eu", "-o", "json")
        self.assertEqual((0, [{"name": "eu", "tasks": 4}]), (done.returncode, json.loads(done.stdout)))
        wait_until(lambda: self.effects.count() == 6, "us runs all four")
        wait_until(lambda: self.region_row(client, "eu") == {}, "eu is in no list any more")
        cluster.kill("broker")
        cluster.start("broker")
        gates[2].touch()
        results = client.results(ids, timeout_ms=30000)
        self.assertEqual({("completed", "us/w1", True)},
                         {(result.state, result.worker, result.dup_possible) for result in results.values()})

        gates[1].touch()
        cluster.start("eu")
        cluster.wait_up()
        wait_until(lambda: len(client.query("tasks", late=True)) == 2, "what ran at eu is late")
        wait_until(lambda: self.held(client, "eu") == 0, "eu holds nothing")
        again, _ = client.watch(ids)
        for result in again:
            self.assertEqual(results[result.id], result, "a recorded end changed")
        self.effects.check(self, results)
        self.assertEqual("eu/w1", client.result(client.submit(["true"], region="eu")).worker)

    @staticmethod
    def region_row(client, name):
        return next((row for row in client.query("regions") if row["name"] == name), {})

    def state(self, client, name):
        return self.region_row(client, name).get("state")

    def held(self, client, name):
        return self.region_row(client, name).get("held", -1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
