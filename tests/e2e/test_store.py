"""What is on disk: a full store, and the restart of every node with tasks in every state."""
import shutil
import unittest

from cluster import Cluster, free_port, loopback, meridian, wait_until
from effects import Effects

PAYLOAD = bytes(64 * 1024)


class Store(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster.of_test(self)

    def test_full_store_refuses_drains_and_accepts_again(self):
        cluster = self.cluster
        cluster.broker(store_max_bytes="16MiB", store_watermark=70)
        cluster.region("eu")
        cluster.wait_up()
        client = cluster.client()
        accepted, refusal = [], None
        for _ in range(400):  # 25 MiB: more than it may take
            task = {"id": meridian.new_id(), "argv": ["wc", "-c"], "payload": PAYLOAD}
            [answer] = client.ask("SUBMIT", {"tasks": [task]})[1]["tasks"]
            if answer["status"] != "accepted":
                refusal = answer
                break
            accepted.append(task["id"])
        self.assertIsNotNone(refusal, "the store took more than its watermark")
        self.assertEqual(("refused", "store_full"), (refusal["status"], refusal["code"]), refusal)
        self.assertGreater(len(accepted), 50)
        cluster.worker("eu/w1", slots=4)  # now the backlog drains
        results = client.results(accepted, timeout_ms=60000)
        self.assertEqual({b"65536\n"}, {result.output for result in results.values()})
        late = client.submit(["wc", "-c"], payload=PAYLOAD)  # the library waits while the store is full
        self.assertEqual("completed", client.result(late).state)

    def pour(self, slots, **stores):
        """Small tasks that print much: twenty times what the stores of `stores` may take."""
        cluster = self.cluster
        cluster.broker(**stores.get("broker", {}))
        cluster.region("eu", **stores.get("region", {}))
        cluster.worker("eu/w1", slots=slots, worker_output_bytes="512KiB", **stores.get("worker", {}))
        cluster.wait_up()
        client = cluster.client()
        return client, client.submit_many({"argv": ["head", "-c", "300000", "/dev/zero"]} for _ in range(1000))

    def check_poured(self, ids, results):
        """Each has ended; of the outputs those that had no room are missing, and say so."""
        self.assertEqual(set(ids), set(results))
        for result in results.values():
            self.assertEqual("completed", result.state)
            self.assertIn((result.reason, len(result.output)), [("", 300000), ("result_dropped", 0)])

    def test_outputs_that_nobody_fetches_pause_the_broker(self):
        client, ids = self.pour(4, broker={"store_max_bytes": "16MiB"})
        wait_until(lambda: client.query("explain", id=ids[-1])[0]["reason"] == "store_full", "dispatch pauses")
        results = client.results(ids, timeout_ms=60000)  # each that is received makes room
        self.check_poured(ids, results)

    def test_outputs_that_nobody_settles_pause_the_region(self):
        client, ids = self.pour(64, region={"store_max_bytes": "16MiB"}, worker={"store_max_bytes": "16MiB"})
        self.cluster.kill("broker")
        wait_until(lambda: "dispatch pauses" in self.cluster.nodes["eu"].log_text(), "the region pauses")
        self.cluster.start("broker")
        self.check_poured(ids, client.results(ids, timeout_ms=60000))

    def fill(self, client, effects):
        """Tasks in every state: ended and not received, running, queued, delayed, waiting for a worker."""
        ended = client.submit_many(effects.task() for _ in range(20))
        for id in ended:
            self.cluster.wait_state(client, id, "completed")
        gate = self.cluster.directory / "gate"
        wait = f"until [ -e {gate} ]; do sleep 0.05; done"
        running = client.submit_many(effects.task(wait) for _ in range(4))
        for id in running:
            self.cluster.wait_state(client, id, "running")
        queued = client.submit_many(effects.task() for _ in range(300))
        delayed = client.submit_many([effects.task(delay_ms=1500)])
        stuck = client.submit(type="unheard-of")
        gate.touch()
        return [*ended, *running, *queued, *delayed], stuck

    def restart_all(self, stop):
        cluster = self.cluster
        cluster.small("eu/w1", "eu/w2", slots=2)
        effects = Effects(cluster.directory)
        client = cluster.client()
        ids, stuck = self.fill(client, effects)
        names = ["eu/w1", "eu/w2", "eu", "broker"]
        for name in names:
            stop(name)
        for name in reversed(names):
            cluster.start(name)
        cluster.wait_up()
        results = client.results(ids, timeout_ms=60000)
        doubles = effects.check(self, results)
        self.assertEqual("ready", cluster.wait_state(client, stuck, "ready")["state"])
        client.cancel([stuck])
        self.assertEqual("cancelled", client.result(stuck).state)
        return doubles, results

    def test_every_node_killed_at_once(self):
        self.restart_all(self.cluster.kill)

    def test_every_node_ended_and_started(self):
        doubles, results = self.restart_all(lambda name: self.assertEqual(0, self.cluster.terminate(name)))
        self.assertEqual(0, doubles, "a drained worker's tasks ran twice")
        self.assertFalse(any(result.dup_possible for result in results.values()))

    def test_each_node_killed_in_turn(self):
        cluster = self.cluster
        cluster.small("eu/w1", "eu/w2", slots=2)
        effects = Effects(cluster.directory)
        client = cluster.client()
        ids, _ = self.fill(client, effects)
        for name in ("eu", "eu/w1", "broker", "eu/w2"):
            cluster.kill(name)
            cluster.start(name)
            cluster.wait_up()
        effects.check(self, client.results(ids, timeout_ms=60000))

    def test_an_unreceived_result_survives_and_a_received_one_can_be_had_again(self):
        cluster = self.cluster
        cluster.small("eu/w1")
        client = cluster.client()
        id = client.submit(["echo", "kept"])
        wait_until(lambda: client.watch([id], wait_ms=1000)[0], "the task ended")
        cluster.kill("broker")
        cluster.start("broker")
        first = client.result(id)
        self.assertEqual(b"kept\n", first.output)
        self.assertEqual(first, client.result(id))

    def test_a_restored_backup_of_the_broker_grants_above_what_it_forgot(self):
        cluster = self.cluster
        cluster.broker()
        client = cluster.client()
        gate, store, copy = (cluster.directory / name for name in ("gate", "broker", "copy"))
        tell_fence = ["sh", "-c", f"until [ -e {gate} ]; do sleep 0.05; done; echo $MERIDIAN_FENCE"]
        ended, running = client.submit(["sh", "-c", "echo $MERIDIAN_FENCE"]), client.submit(tell_fence)
        cluster.terminate("broker")
        shutil.copytree(store, copy)
        cluster.start("broker")
        cluster.region("eu")
        cluster.worker("eu/w1")
        lost = client.result(ended)
        self.assertFalse(lost.dup_possible)
        self.assertEqual("running", cluster.wait_state(client, running, "running")["state"])
        unknown = client.submit(["true"])
        self.assertEqual("completed", client.result(unknown).state)
        cluster.kill("broker")
        shutil.rmtree(store)
        shutil.copytree(copy, store)
        cluster.start("broker", "--restored")
        cluster.wait_up()
        gate.touch()
        results = client.results([ended, running], timeout_ms=30000)
        for result in results.values():
            self.assertEqual("completed", result.state)
            self.assertTrue(result.dup_possible)
        self.assertGreater(results[ended].output, lost.output, "the fence of the second run is no higher")
        self.assertEqual(f"{(1 << 24) + 1:08x}", results[ended].output.decode()[:8])
        self.assertEqual({ended, running}, {row["id"] for row in client.query("tasks", dup=True)})
        self.assertEqual([], client.query("tasks", ids=[unknown]))

    def test_restores_are_numbered(self):
        cluster = self.cluster
        cluster.broker()
        cluster.wait_up()
        for number, floor in ((2, 2), (1, 3), (255, 255)):
            cluster.terminate("broker")
            cluster.start("broker", f"--restored={number}")
            wait_until(lambda: f"rise above {floor << 24}" in cluster.nodes["broker"].log_text(), "it is restored")
            cluster.wait_up()
        cluster.terminate("broker")
        cluster.start("broker", "--restored")
        self.assertEqual(1, cluster.wait_exit("broker"))
        self.assertIn("without --restored", cluster.nodes["broker"].log_text())
        cluster.start("broker")
        cluster.wait_up()

    def test_two_brokers_with_one_store(self):
        cluster = self.cluster
        cluster.broker()
        wait_until(lambda: cluster.client(answer_ms=500).query("cluster"), "the broker answers")
        log = cluster.nodes["broker"].log_text()
        ports = {"clients": loopback(free_port()), "regions": loopback(free_port())}
        second = cluster.configure("second", "broker", ports, {"node.data": cluster.directory / "broker"})
        cluster.start("second")
        self.assertNotEqual(0, cluster.wait_exit("second"))
        self.assertIn(str(cluster.directory / "broker"), second.log_text())
        self.assertEqual(log, cluster.nodes["broker"].log_text())


if __name__ == "__main__":
    unittest.main(verbosity=2)
