"""SIGKILL of a worker, of a region and of the broker, each during 2,000 tasks whose starts are counted."""
import unittest

from cluster import Cluster, wait_until
from effects import Effects

TASKS = 2000
DEADLINE_MS = 90000


class Crash(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster.of_test(self)
        self.cluster.small("eu/w1", "eu/w2", "us/w1", "us/w2", slots=2)
        self.effects = Effects(self.cluster.directory)
        self.client = self.cluster.client()

    def submit(self):
        return self.client.submit_many(self.effects.task() for _ in range(TASKS))

    def wait_started(self, share):
        wait_until(lambda: self.effects.count() >= TASKS * share, f"{share:.0%} of the tasks started", 60)

    def check(self, ids):
        results = self.client.results(ids, timeout_ms=DEADLINE_MS)
        self.assertEqual(TASKS, len(results))
        doubles = self.effects.check(self, results)
        left = self.client.query("tasks", open=True)
        self.assertEqual([], left)
        return doubles, sum(result.dup_possible for result in results.values())

    def test_worker(self):
        ids = self.submit()
        self.wait_started(0.25)
        self.cluster.kill("us/w2")
        self.wait_started(0.6)
        self.cluster.start("us/w2")
        doubles, marked = self.check(ids)
        self.assertLessEqual(marked, 2 * 2, "more tasks marked than the killed worker had slots (twice)")
        self.assertLessEqual(doubles, marked)

    def test_region(self):
        ids = self.submit()
        self.wait_started(0.25)
        self.cluster.kill("eu")
        self.cluster.start("eu")
        self.wait_started(0.5)
        self.check(ids)

    def test_region_past_its_grace(self):
        ids = self.submit()
        self.wait_started(0.25)
        self.cluster.kill("eu")
        wait_until(lambda: all(row["state"] != "live" for row in self.client.query("regions")
                               if row["name"] == "eu"), "eu no longer live")
        results = self.client.results(ids, timeout_ms=DEADLINE_MS)
        self.cluster.start("eu")
        self.cluster.wait_up()
        self.effects.check(self, results)
        probe = self.client.submit(["true"], region="eu")
        self.assertEqual("completed", self.client.result(probe).state)

    def test_broker(self):
        ids = self.submit()
        self.wait_started(0.25)
        self.cluster.kill("broker")
        self.cluster.start("broker")
        self.wait_started(0.5)
        self.cluster.kill("broker")
        self.cluster.start("broker")
        self.check(ids)


if __name__ == "__main__":
    unittest.main(verbosity=2)
