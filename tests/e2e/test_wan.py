"""`meridian dev` as a bad network: distances, partitions, pauses, and the lists of what ran late or perhaps twice."""
from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from cluster import BIN, die_with_parent, free_port, loopback, meridian, wait_until
from effects import Effects

REGIONS = "eu,us,ap"
RTT_MS = {"eu": 0, "us": 80, "ap": 180}
JITTER_MS = 5
LOST_S = 30.0  # the sandbox's region_grace is 10 s


class Sandbox:
    """`meridian dev` in a directory of its own, and the program run there."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="meridian-wan-"))
        self.port = min(free_port() for _ in range(100))  # the first of our block: dev takes up to 14 from there
        self.dev: subprocess.Popen[bytes] | None = None
        self.output = self.directory / "dev.out"
        self.client = meridian.Client(loopback(self.port), answer_ms=1000)

    def start(self, *options: str, until: str = "Ctrl-C stops") -> None:
        with open(self.output, "wb") as output:
            self.dev = subprocess.Popen(
                [BIN, "dev", "--dir", str(self.directory / "dev"), "--port", str(self.port), *options],
                stdout=output, stderr=output, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
        wait_until(lambda: until in self.text() or self.dev.poll() is not None, f"dev says: {until}", 40)
        assert self.dev.poll() is None, self.text()

    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def stop(self) -> int:
        self.dev.send_signal(signal.SIGINT)
        return self.dev.wait(40)

    def close(self) -> None:
        if self.dev is not None and self.dev.poll() is None:
            self.dev.kill()
            self.dev.wait(10)
        self.client.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "MERIDIAN_SERVER": loopback(self.port), "HOME": str(self.directory),
                       "XDG_STATE_HOME": str(self.directory / "state")}
        return subprocess.run([BIN, *arguments], capture_output=True, text=True, timeout=60, env=environment,
                              cwd=self.directory, preexec_fn=die_with_parent)

    def act(self, *words: str) -> str:
        """`dev WORDS...`, which must do it; what it said."""
        done = self.run("dev", "--dir", str(self.directory / "dev"), *words)
        assert done.returncode == 0, (words, done)
        return done.stdout

    def refused(self, *words: str) -> tuple[int, str]:
        done = self.run("dev", "--dir", str(self.directory / "dev"), *words)
        return done.returncode, done.stderr

    def rows(self, *arguments: str) -> list[dict]:
        done = self.run(*arguments, "-o", "json")
        assert done.returncode == 0, (arguments, done)
        return json.loads(done.stdout)

    def listed(self, mark: str) -> set[str]:
        return {row["id"] for row in self.rows("task", "list", mark, "--limit", "256")}

    def region(self, name: str) -> dict:
        return next((row for row in self.client.query("regions") if row["name"] == name), {})

    def node(self, name: str) -> dict:
        return next(row for row in self.rows("dev", "--dir", str(self.directory / "dev"), "status")
                    if row["name"] == name)

    def wait_region(self, name: str, state: str, deadline_s: float = LOST_S) -> None:
        wait_until(lambda: self.region(name).get("state") == state, f"{name} is {state}", deadline_s)


class Wan(unittest.TestCase):
    """The tests run in the order of their names, on one cluster."""

    @classmethod
    def setUpClass(cls):
        cls.box = Sandbox()
        cls.addClassCleanup(cls.box.close)
        cls.options = ("--regions", REGIONS, "--rtt", "eu-us=80ms,eu-ap=180ms", "--jitter", f"{JITTER_MS}ms",
                       "--loss", "1%")
        cls.box.start(*cls.options)
        cls.effects = Effects(cls.box.directory)
        cls.results = {}

    def finish(self, ids) -> dict[bytes, meridian.Result]:
        results = self.box.client.results(ids, timeout_ms=90000)
        type(self).results.update(results)
        self.effects.check(self, self.results)
        return results

    def marked(self) -> set[str]:
        return {id.hex() for id, result in self.results.items() if result.dup_possible}

    def test_1_links_are_as_far_as_was_asked(self):
        said = self.box.text()
        for line in ("broker is in eu", "eu - broker    0 ms", "us - broker   80 ms    5 ms    1%",
                     "ap - broker  180 ms"):
            self.assertIn(line, said)
        for name, rtt_ms in RTT_MS.items():
            row = wait_until(lambda: (self.box.region(name).get("rtt_us") or 0) and self.box.region(name),
                             f"the round trip of {name} is measured")
            least_ms = max(0, rtt_ms - 2 * JITTER_MS)  # each way up to the jitter less
            self.assertGreaterEqual(row["rtt_us"], 1000 * least_ms, row)
            if rtt_ms == 0:
                self.assertLess(row["rtt_us"], 1000 * RTT_MS["us"], "inside its own region the broker is near")
            self.assertEqual(1000 * rtt_ms, self.box.node(name)["rtt_us"])
        table = self.box.act("status")
        self.assertRegex(table, r"PARENT +RTT  JITTER  LOSS  LINK\n")
        self.assertRegex(table, r"\nap +\d+  running .* broker  180 ms    5 ms    1%\n")
        self.assertRegex(table, r"\neu/w1 +\d+  running .* eu +0 ms    0 ms    0%\n")

    def test_2_a_region_cut_off_past_its_grace(self):
        ids = self.box.client.submit_many(self.effects.task("sleep 4") for _ in range(20))
        wait_until(lambda: any(row["state"] == "running" and row["where"].startswith("ap/")
                               for row in self.box.client.query("tasks", ids=ids)), "ap runs some of them")
        self.assertIn("ap is cut off from broker", self.box.act("partition", "ap"))
        self.assertEqual("both", self.box.node("ap")["cut"])
        for words in ((), ("--one-way", "up")):  # another cut would heal the other way unsaid
            status, said = self.box.refused("partition", "ap", *words)
            self.assertEqual(1, status)
            self.assertIn("cut off from broker already, for", said)
            self.assertIn("meridian dev heal ap", said)
        self.assertEqual("both", self.box.node("ap")["cut"])
        status, said = self.box.refused("heal", "broker")
        self.assertEqual(1, status)
        self.assertIn("meridian dev heal all", said)
        self.box.wait_region("ap", "lost")
        results = self.finish(ids)
        self.assertTrue(self.marked(), "what ap had runs again elsewhere")
        self.assertEqual(self.marked(), self.box.listed("--dup"))
        self.assertEqual(set(), self.box.listed("--late"))

        self.assertIn("reach each other again", self.box.act("heal", "ap"))
        self.box.wait_region("ap", "live")
        late = wait_until(lambda: self.box.listed("--late"), "ap's outcomes are refused")
        wait_until(lambda: self.box.region("ap")["held"] == 0, "ap holds nothing any more")
        self.assertLessEqual(late, self.marked())
        starts = self.effects.starts()
        for row in self.box.rows("task", "list", "--late"):
            self.assertTrue(row["dup_possible"] and row["late"], row)
            self.assertGreater(len(starts[row["id"]]), 1, "late is only what ran")
            for outcome in row["late_outcomes"]:
                self.assertIn(outcome["where"].split("/")[0], ("ap", "us"), row)
                self.assertIn(outcome["fence"], starts[row["id"]], "the fence it ran with")
        self.assertEqual(results, self.box.client.results(ids, timeout_ms=10000), "a recorded end changed")
        self.assertEqual(self.marked(), self.box.listed("--dup"))

    def test_3_a_worker_paused_past_its_grace(self):
        before = self.box.listed("--late")
        [id] = self.box.client.submit_many([self.effects.task("sleep 2", region="us")])
        row = wait_until(lambda: next((row for row in self.box.client.query("tasks", ids=[id])
                                       if row["state"] == "running"), None), "the task runs")
        worker = row["where"]
        self.assertIn(f"{worker} is paused", self.box.act("pause", worker))
        self.assertEqual("paused", self.box.node(worker)["state"])
        wait_until(lambda: id.hex() in self.box.listed("--dup") or
                   self.box.client.query("tasks", ids=[id])[0]["state"] == "completed",
                   "the region says that it may run twice", LOST_S)
        result = self.finish([id])[id]
        self.assertTrue(result.dup_possible)
        self.assertNotEqual(worker, result.worker)
        self.box.act("resume", worker)
        self.assertEqual("running", self.box.node(worker)["state"])
        wait_until(lambda: self.box.listed("--late") == before | {id.hex()}, "its late outcome is shown")
        told = self.box.run("task", "explain", id.hex()).stdout
        self.assertRegex(told, rf"{worker} +attempt 1 lost \(worker_lost\)")
        self.assertRegex(told, rf"{worker} +completed too late, ")
        self.assertRegex(told, rf"{result.worker} +attempt 2 of \d+, the recorded one")
        table = self.box.run("task", "list", "--late").stdout.splitlines()
        self.assertRegex(table[1], rf"^{id.hex()[-8:]}  completed  {result.worker} +2  {worker}: attempt 1 lost")
        self.assertEqual(self.marked(), self.box.listed("--dup"))

    def test_4_one_way(self):
        self.assertIn("us is not heard by broker", self.box.act("partition", "us", "--one-way", "up"))
        self.assertEqual("up", self.box.node("us")["cut"])
        self.box.wait_region("us", "suspect")
        self.box.act("heal", "all")
        self.assertEqual("", self.box.node("us")["cut"])
        self.box.wait_region("us", "live")
        probe = self.box.client.submit(["true"], region="us")
        self.assertEqual("completed", self.box.client.result(probe).state)

    def test_5_within_the_grace_nothing_is_marked(self):
        dup = self.box.listed("--dup")
        ids = self.box.client.submit_many(self.effects.task("sleep 1", region="us") for _ in range(6))
        wait_until(lambda: self.box.region("us")["held"] > 0, "us has them")
        self.box.act("partition", "us")
        wait_until(lambda: self.box.region("us")["state"] != "live", "the broker notices")
        self.box.act("heal", "us")
        self.assertFalse(any(result.dup_possible for result in self.finish(ids).values()))
        self.assertEqual(dup, self.box.listed("--dup"))

    def test_6_nodes_that_are_dead(self):
        self.assertIn("eu/w2 is killed with the processes of its tasks", self.box.act("kill", "eu/w2"))
        said = self.box.act("partition", "eu/w2")
        self.assertIn("eu/w2 is cut off from eu, also when it is started; now it is not running", said)
        self.assertNotIn("its tasks", said)
        self.assertIn("eu/w2 is not running", self.box.act("heal", "eu/w2"))
        self.assertIn("eu/w2 is started, after", self.box.act("start", "eu/w2"))

    def test_7_the_lists_outlive_a_restart(self):
        late, dup = self.box.listed("--late"), self.box.listed("--dup")
        self.assertTrue(late)
        self.box.act("pause", "eu/w1")  # it is resumed, and the link healed, before all is stopped
        self.box.act("partition", "ap")
        self.assertEqual(0, self.box.stop())
        self.box.start(*self.options)
        self.assertEqual((late, dup), (self.box.listed("--late"), self.box.listed("--dup")))
        self.assertEqual(0, self.box.stop())


class Words(unittest.TestCase):
    def setUp(self):
        self.box = Sandbox()
        self.addCleanup(self.box.close)

    def test_wrong_ones_are_named(self):
        for options, named in ((("--rtt", "eu-mars=80ms"), "'eu-mars'"), (("--rtt", "eu-us=80"), "'80'"),
                               (("--loss", "2"), "--loss 2%"), (("--loss", "x"), "--loss x"),
                               (("--loss", "100%"), "meridian dev partition"), (("--jitter", "x"), "'x'"),
                               (("--broker-in", "mars"), "mars"), (("explode", "eu"), "'explode'"),
                               (("--regions", "eu,all"), "'all' is taken"),
                               (("--regions", "broker"), "'broker' is taken"),
                               (("--regions", "eu,eu"), "eu is named twice"),
                               (("partition", "eu", "--one-way", "left"), "left"), (("pause",), "which node")):
            with self.subTest(options):
                status, said = self.box.refused(*options)
                self.assertEqual(2, status, said)
                self.assertIn(named, said)

    def test_options_that_do_nothing_here_are_refused(self):
        for words, option in ((("--rtt", "5ms", "partition", "us"), "--rtt"), (("kill", "us", "-r", "eu"), "--regions"),
                              (("status", "--loss=1%"), "--loss"), (("heal", "us", "--sandbox"), "--sandbox"),
                              (("pause", "us", "--workers", "3"), "--workers"), (("resume", "us", "-p", "1"), "--port"),
                              (("heal", "us", "--one-way", "up"), "--one-way"), (("kill", "us", "-o", "id"), "--output"),
                              (("--one-way", "up"), "--one-way")):
            with self.subTest(words):
                status, said = self.box.refused(*words)
                self.assertEqual(2, status, said)
                self.assertIn(f"meridian dev: {option}", said)
        os.environ.update(MERIDIAN_RTT="5ms", MERIDIAN_ONE_WAY="up", MERIDIAN_OUTPUT="json")
        for name in ("MERIDIAN_RTT", "MERIDIAN_ONE_WAY", "MERIDIAN_OUTPUT"):
            self.addCleanup(os.environ.pop, name)
        self.assertEqual(5, self.box.refused("kill", "us")[0], "in the environment they are for all commands")

    def test_who_is_waited_for_is_said_once(self):
        self.box.start("--regions", "eu,us", "--rtt", "60s", until="waiting for")
        self.assertIn("waiting for us, for 30 s at most", self.box.text())
        self.assertEqual(5, self.box.dev.wait(60))
        self.assertIn("not up after 30 s: us. ", self.box.text())
        self.assertEqual(1, self.box.text().count("waiting for"))

    def test_a_region_further_away_than_a_query_waits(self):
        self.box.start("--regions", "eu,us", "--rtt", "700ms")
        self.assertEqual("live", self.box.region("us")["state"])
        self.assertEqual(0, self.box.stop())

    def test_without_the_sandbox(self):
        self.assertEqual(5, self.box.refused("partition", "eu")[0], "no cluster runs")
        self.box.start("--regions", "eu", "--workers", "1")
        for words in (("partition", "eu"), ("heal", "eu"), ("heal", "all")):
            status, said = self.box.refused(*words)
            self.assertEqual(1, status)
            self.assertIn("meridian dev --sandbox", said)
        self.assertRegex(self.box.act("status"), r"PARENT +RTT  LINK\n")
        self.assertEqual(4, self.box.refused("pause", "mars")[0])
        self.box.act("pause", "broker")
        self.assertEqual(5, self.box.run("region", "list").returncode, "a paused broker does not answer")
        self.box.act("resume", "broker")
        wait_until(lambda: self.box.region("eu").get("state") == "live", "eu is live again")
        self.assertEqual(1, self.box.refused("resume", "broker")[0])
        self.assertIn("marked dup_possible, after 3s", self.box.act("kill", "eu/w1"))
        self.assertEqual("down", self.box.node("eu/w1")["state"])
        self.assertEqual(1, self.box.refused("pause", "eu/w1")[0])
        self.box.act("start", "eu/w1")
        self.assertEqual(0, self.box.stop())


if __name__ == "__main__":
    unittest.main(verbosity=2)
