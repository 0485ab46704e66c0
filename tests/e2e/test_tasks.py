"""What a task may ask for: its kind, place, times, retries, priority; and how it is cancelled."""
import json
import os
import time
import unittest

from cluster import Cluster, meridian, wait_until


class Tasks(unittest.TestCase):
    """One cluster for all: eu/w1 with four slots and handlers, us/w1 with one slot and capabilities."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = cluster = Cluster.of_class(cls)
        cluster.broker()
        cluster.region("eu")
        cluster.region("us")
        cluster.worker("eu/w1", slots=4, types={
            "upper": "command=/usr/bin/tr a-z A-Z", "nothing": "builtin=noop",
            "never": "command=/usr/bin/false"}, worker_output_bytes="4KiB")
        cluster.worker("us/w1", slots=1, worker_capabilities="gpu,large")
        cluster.wait_up()
        cls.client = cluster.client()

    def run_one(self, *argv, **fields):
        return self.client.result(self.client.submit(list(argv), **fields))

    def file(self):
        path = self.cluster.directory / f"file-{self.id().rsplit('.', 1)[1]}"
        path.unlink(missing_ok=True)
        return path

    # -- kinds --

    def test_command_with_everything(self):
        script = 'cat; echo "$GREETING $PWD $MERIDIAN_ATTEMPT $MERIDIAN_TASK $MERIDIAN_FENCE"; echo oops >&2'
        result = self.run_one("sh", "-c", script, payload=b"from stdin\n", env={"GREETING": "hello"},
                              cwd="/usr")
        self.assertEqual(("completed", 0, ""), (result.state, result.exit, result.reason))
        self.assertFalse(result.dup_possible)
        self.assertEqual(f"from stdin\nhello /usr 1 {result.id.hex()} {result.fence.hex()}\n",
                         result.output.decode())
        self.assertEqual(b"oops\n", result.error)

    def test_exit_status_and_signal(self):
        result = self.run_one("sh", "-c", "exit 3")
        self.assertEqual(("failed", "exit_status", 3), (result.state, result.reason, result.exit))
        result = self.run_one("sh", "-c", "kill -SEGV $$")
        self.assertEqual(("failed", "signal", 11), (result.state, result.reason, result.signal))
        self.assertIsNone(result.exit)

    def test_program_that_is_not_there(self):
        result = self.run_one("/no/such/program", retries=5)
        self.assertEqual(("failed", "cannot_start", 1), (result.state, result.reason, result.attempt))
        self.assertEqual("cannot start: /no/such/program: not found", result.message)

    def test_output_is_cut_and_said_to_be(self):
        result = self.run_one("sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x", region="eu")
        self.assertEqual((4096, True, False), (len(result.output), result.output_cut, result.error_cut))
        self.assertEqual("completed", result.state)

    def test_payload_of_a_mebibyte(self):
        payload = os.urandom(1024) * 1024
        result = self.run_one("wc", "-c", payload=payload)
        self.assertEqual(b"1048576\n", result.output)

    def test_handler_with_a_command(self):
        id = self.client.submit(type="upper", payload=b"shout")
        result = self.client.result(id)
        self.assertEqual(("completed", b"SHOUT"), (result.state, result.output))

    def test_handler_builtin(self):
        results = self.client.results(self.client.submit_many({"type": "nothing"} for _ in range(500)),
                                      timeout_ms=30000)
        self.assertEqual({"completed"}, {result.state for result in results.values()})

    # -- places --

    def test_region_is_required(self):
        for region in ("eu", "us"):
            for _ in range(3):
                self.assertEqual(f"{region}/w1", self.run_one("true", region=region).worker)

    def test_capabilities_are_required(self):
        self.assertEqual("us/w1", self.run_one("true", capabilities=["gpu"]).worker)

    def test_no_worker_could_ever_run_it(self):
        for fields in ({"type": "unheard-of"}, {"argv": ["true"], "capabilities": ["tpu"]}):
            id = self.client.submit(**fields)
            wait_until(lambda: self.cluster.task(self.client, id).get("reason") == "no_capable_worker",
                       "the task says why it does not run")
            [row] = self.client.query("explain", id=id)
            self.assertEqual("no_capable_worker", row["reason"])
            self.assertEqual({"eu", "us"}, {name for line in row["considered"] for name in line["names"]})
            said = self.cluster.cli("task", "explain", id.hex())
            self.assertIn("no_capable_worker", said.stdout)
            self.client.cancel([id])
            self.assertEqual("cancelled", self.client.result(id).state)

    # -- times --

    def test_delay(self):
        path = self.file()
        submitted = time.time()
        id = self.client.submit(["sh", "-c", f"date +%s.%N > {path}"], delay_ms=800)
        self.assertEqual("delayed", self.cluster.task(self.client, id)["state"])
        self.assertEqual("completed", self.client.result(id).state)
        self.assertGreaterEqual(float(path.read_text()) - submitted, 0.8)

    def test_timeout(self):
        result = self.run_one("sh", "-c", "sleep 60", timeout_ms=300)
        self.assertEqual(("failed", "timeout", 1), (result.state, result.reason, result.attempt))

    def test_timeout_of_a_process_that_ignores_term(self):
        result = self.run_one("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done", timeout_ms=200)
        self.assertEqual(("failed", "timeout"), (result.state, result.reason))

    def test_deadline_of_a_running_task(self):
        result = self.run_one("sleep", "60", deadline_ms=400)
        self.assertEqual("expired", result.state)

    def test_deadline_of_a_queued_task(self):
        blocker = self.client.submit(["sleep", "60"], region="us")
        self.cluster.wait_state(self.client, blocker, "running")
        result = self.run_one("true", region="us", deadline_ms=400)
        self.assertEqual(("expired", "deadline"), (result.state, result.reason))
        self.client.cancel([blocker])
        self.client.result(blocker)

    def test_retries_with_back_off(self):
        path = self.file()
        script = f"date +%s.%N >> {path}; [ $(wc -l < {path}) -ge 4 ]"
        result = self.run_one("sh", "-c", script, retries=5)
        self.assertEqual(("completed", 4, 6), (result.state, result.attempt, result.attempts_max))
        self.assertFalse(result.dup_possible, "the end of every earlier attempt was recorded")
        starts = [float(line) for line in path.read_text().split()]
        pauses = [after - before for before, after in zip(starts, starts[1:])]
        for pause, least in zip(pauses, (0.08, 0.16, 0.32)):  # 100 ms, doubled, less 20 %
            self.assertGreaterEqual(pause, least)
        self.assertEqual([1, 2, 3], [entry["attempt"] for entry in result.history][:3])
        self.assertEqual({"exit_status"}, {entry["reason"] for entry in result.history[:3]})

    def test_retries_are_used_up(self):
        id = self.client.submit(type="never", retries=2)
        result = self.client.result(id)
        self.assertEqual(("failed", "exit_status", 3), (result.state, result.reason, result.attempt))

    # -- priority --

    def test_low_progresses_under_a_flood_of_high(self):
        path = self.file()
        blocker = self.client.submit(["sleep", "60"], region="us")
        self.cluster.wait_state(self.client, blocker, "running")
        tasks = [{"argv": ["sh", "-c", f"echo {priority} >> {path}"], "priority": priority, "region": "us"}
                 for priority in ["low"] * 12 + ["high"] * 300]
        ids = self.client.submit_many(tasks)
        self.client.cancel([blocker])
        self.client.results([blocker, *ids], timeout_ms=60000)
        order = path.read_text().split()
        self.assertEqual(312, len(order))
        last_high = max(index for index, priority in enumerate(order) if priority == "high")
        low_before = order[:last_high].count("low")
        self.assertGreaterEqual(low_before, 6, "low starved")
        self.assertGreaterEqual(order[:100].count("high"), 80, "high did not go first")

    # -- cancel --

    def test_cancel_of_a_queued_task(self):
        path = self.file()
        blocker = self.client.submit(["sleep", "60"], region="us")
        self.cluster.wait_state(self.client, blocker, "running")
        queued = self.client.submit(["touch", str(path)], region="us")
        self.assertIn(self.client.cancel([queued])[queued], ("cancelling", "ended"))
        self.assertEqual("cancelled", self.client.result(queued).state)
        self.assertEqual("cancelling", self.client.cancel([blocker])[blocker])
        self.assertEqual("cancelled", self.client.result(blocker).state)
        self.assertFalse(path.exists())

    def test_cancel_of_a_running_task(self):
        path = self.file()
        id = self.client.submit(["sh", "-c", f"trap 'echo term > {path}; exit 0' TERM; sleep 60 & wait"])
        self.cluster.wait_state(self.client, id, "running")
        self.client.cancel([id])
        result = self.client.result(id)
        self.assertEqual("cancelled", result.state)
        self.assertEqual("term\n", path.read_text(), "it was not asked with TERM first")
        self.assertEqual("ended", self.client.cancel([id])[id])
        self.assertEqual("cancelled", self.client.result(id).state)

    def test_cancel_of_an_unknown_task(self):
        id = meridian.new_id()
        self.assertEqual("unknown", self.client.cancel([id])[id])

    # -- the command line on the same cluster --

    def test_submit_and_wait(self):
        done = self.cluster.cli("submit", "--wait", "--", "sh", "-c", "echo out; echo err >&2; exit 4")
        self.assertEqual((1, "out\n"), (done.returncode, done.stdout))
        self.assertRegex(done.stderr, r"^err\ntask [0-9a-f]{8} failed: exit status 4 on (eu|us)/w1, "
                         r"attempt 1 of 1\n$")

    def test_submit_each_line(self):
        lines = self.cluster.directory / "lines"
        lines.write_text("one\ntwo\nthree\n")
        done = self.cluster.cli("submit", "--wait", "--each-line", str(lines), "--", "echo", "got {}")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(["got one", "got three", "got two"], sorted(done.stdout.splitlines()))

    def test_results_as_json_lines(self):
        done = self.cluster.cli("submit", "--wait", "--count", "5", "-o", "jsonl", "--", "echo", "same")
        self.assertEqual(0, done.returncode, done.stderr)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([("completed", "same\n")] * 5, [(row["state"], row["output"]) for row in rows])
        self.assertEqual(5, len({row["id"] for row in rows}))

    def test_last_and_short_ids(self):
        state = {"XDG_STATE_HOME": str(self.cluster.directory / "state-last")}
        done = self.cluster.cli("submit", "-o", "id", "--", "echo", "remembered", env=state)
        id = done.stdout.strip()
        self.assertRegex(id, r"^[0-9a-f]{32}$")
        for selector in ("last", id, id[-8:]):
            shown = self.cluster.cli("task", "result", "--wait", selector, env=state)
            self.assertEqual((0, "remembered\n"), (shown.returncode, shown.stdout), shown.stderr)
        missing = self.cluster.cli("task", "show", "00000000")
        self.assertEqual(4, missing.returncode)

    def test_lists_as_json(self):
        rows = json.loads(self.cluster.cli("region", "list", "-o", "json").stdout)
        self.assertEqual({"eu", "us"}, {row["name"] for row in rows})
        rows = json.loads(self.cluster.cli("worker", "list", "-o", "json").stdout)
        self.assertEqual(2, len(rows))


if __name__ == "__main__":
    unittest.main(verbosity=2)
