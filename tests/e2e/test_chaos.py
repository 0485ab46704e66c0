"""The judges of chaos rounds are judged, by forged accounts of tasks, each with one broken promise."""
import contextlib
import dataclasses
import io
import os
import shutil
import subprocess
import sys
import time
import unittest
from unittest import mock

import chaos
from chaos_check import ACKNOWLEDGED_SHARE, End, Line, Task, Told, complaints, too_few_acknowledged
from chaos_clients import UNAVAILABLE, Program, Scene
from chaos_plan import KINDS, LINKS, PROGRAM, PYTHON_CLIENTS, WORKERS, Fault, draw_plan
from chaos_round import Faults
from cluster import MARK, Cluster, die_with_parent, wait_until

ID = "0190" * 8


def fence(attempt, custody=1):
    return f"{custody:08x}{7:08x}{attempt:08x}"


def start(attempt, custody=1, task=ID, uptime_s=10.0):
    return Line("start", task, attempt, fence(attempt, custody), uptime_s)


def end(attempt, status=0, custody=1):
    return Line("end", ID, attempt, fence(attempt, custody), 11.0, status)


def failed(attempt, exit_status=1):
    return attempt, "eu/w1", "failed", "exit_status", exit_status


def lost(attempt):
    return attempt, "eu/w1", "lost", "worker_lost", None


def result(attempt=1, custody=1, state="completed", reason="", exit=0, marked=False, history=()):
    return End(state, marked, reason, "eu/w1", attempt, fence(attempt, custody), exit, tuple(history))


def account(kind, lines, end, **fields):
    """A task whose client and whose later askers were all told `end` when it had left all its lines."""
    task = Task(1, kind, ID, handed_in_s=9.0, acknowledged=True, lines=list(lines), **fields)
    task.told, task.final = [Told("client", end, len(task.lines))], [Told("asker", end, 0)]
    return task


CANCELLED = result(state="cancelled", reason="cancelled", exit=None)
GIVEN_UP = dict(state="failed", reason="exit_status", exit=1)

# Accounts in which every promise was kept.
GOOD = {
    "once": account("quick", [start(1), end(1)], result()),
    "an error and a retry": account("flaky", [start(1), end(1, 1), start(2), end(2)],
                                    result(2, history=[failed(1)]), retries=2),
    "out of retries": account("hopeless", [start(1), end(1, 1), start(2), end(2, 1)],
                              result(2, history=[failed(1)], **GIVEN_UP), retries=1),
    "a worker lost": account("quick", [start(1), start(2), end(2)],
                             result(2, marked=True, history=[lost(1)])),
    "a worker lost before it began": account("quick", [start(2), end(2)],
                                             result(2, marked=True, history=[lost(1)])),
    "a late start of a lost attempt": account("quick", [start(2), end(2), start(1), end(1)],
                                              result(2, marked=True, history=[lost(1)])),
    "a region lost": account("quick", [start(1), end(1), start(2, custody=2), end(2, custody=2)],
                             result(2, custody=2, marked=True)),
    "given back by its region after an error": account(
        "flaky", [start(1), end(1, 1), start(1, custody=2), end(1, custody=2)], result(custody=2), retries=2),
    "cancelled while it ran": account("cancelled", [start(1)], CANCELLED, cancel_asked=True),
    "cancelled, and its region lost": account(
        "cancelled", [start(1)], End("cancelled", True, "may_still_run", "", 2, f"{1:08x}" + "0" * 16, None),
        cancel_asked=True),
    "stopped by its time limit": account("hanging", [start(1)],
                                         result(state="failed", reason="timeout", exit=None)),
    "stopped twice, as its region restarted": account(
        "hanging", [start(1), start(2)], result(2, state="failed", reason="timeout", exit=None)),
    "delayed": account("delayed", [start(1, uptime_s=9.5), end(1)], result(), delay_s=0.5),
    "refused": Task(1, "quick"),
    "handed in without an answer, lost, and run twice": Task(1, "quick", lines=[start(2), start(1), end(1)]),
}


def told(**fields):
    """The account of one who ran once, but its client was told something else."""
    task = dataclasses.replace(GOOD["once"])
    task.told = [Told("client", dataclasses.replace(result(), **fields), 2)]
    return task


def once(*lines, **fields):
    return account("quick", lines, result(**fields))


# What is wrong -> the promises that it breaks, and an account of it.
FORGED = {
    "no result": ("nothing_acknowledged_is_lost", dataclasses.replace(GOOD["once"], final=[])),
    "never told": ("nothing_acknowledged_is_lost", dataclasses.replace(GOOD["once"], told=[])),
    "told another state": ("everybody_is_told_the_same", told(state="failed", reason="signal")),
    "told without the mark": ("everybody_is_told_the_same", told(dup_possible=True)),
    "told another worker": ("everybody_is_told_the_same", told(worker="us/w2")),
    "the effects of another task": ("effects_are_its_own", once(start(1), start(1, 2, task="ff" * 16), end(1),
                                                                marked=True)),
    "failed though it cannot": ("ends_as_its_kind_may", once(start(1), end(1, 1), **GIVEN_UP)),
    "lost too often": ("ends_as_its_kind_may",
                       once(state="failed", reason="workers_lost", exit=None, marked=True)),
    "cancelled unasked": ("ends_as_its_kind_may", account("cancelled", [start(1)], CANCELLED)),
    "may still run, unmarked": ("ends_as_its_kind_may", account(
        "cancelled", [], dataclasses.replace(CANCELLED, reason="may_still_run"), cancel_asked=True)),
    "completed and never ran": ("result_has_its_effect", once()),
    "completed before its end": ("result_has_its_effect", once(start(1))),
    "another fence": ("result_has_its_effect", once(start(1), end(1), custody=2, marked=True)),
    "another attempt's fence": ("result_has_its_effect", dataclasses.replace(
        GOOD["a worker lost"], lines=[start(1), end(1), start(2)])),
    "another exit status": ("result_has_its_effect", account(
        "hopeless", [start(1), end(1, 1)], result(state="failed", reason="exit_status", exit=2))),
    "one fence, two starts": ("no_fence_starts_twice", dataclasses.replace(
        GOOD["a worker lost"], lines=[start(1), start(1), start(2), end(2)])),
    "unmarked double start": ("every_double_start_is_marked", account(
        "quick", [start(1), start(2), end(2)], result(2, history=[lost(1)]))),
    "unmarked, and the first had completed": ("every_double_start_is_marked", account(
        "quick", [start(1), end(1), start(2), end(2)], result(2, history=[lost(1)]))),
    "unmarked after a lost region": ("every_double_start_is_marked", account(
        "quick", [start(1), start(1, 2), end(1, custody=2)], result(1, 2))),
    "unmarked, both at a time": ("every_double_start_is_marked", account(
        "flaky", [start(1), start(2), end(1, 1), end(2)], result(2, history=[failed(1)]), retries=2)),
    "unmarked, an error that nobody recorded": ("every_double_start_is_marked", account(
        "flaky", [start(1), end(1, 1), start(2), end(2)], result(2, history=[lost(1)]), retries=2)),
    "unmarked, falling fences": ("fences_grow", account(
        "flaky", [start(2), end(2, 1), start(1), end(1)], result(1, history=[failed(2)]), retries=2)),
    "a start that no history has": ("history_tells_of_every_start", account(
        "quick", [start(1), start(2), start(3), end(3)], result(3, marked=True, history=[lost(2)]))),
    "an error that never was": ("history_is_true", account(
        "flaky", [start(2), end(2)], result(2, history=[failed(1)]), retries=2)),
    "an error of another status": ("history_is_true", account(
        "flaky", [start(1), end(1, 1), start(2), end(2)], result(2, history=[failed(1, 5)]), retries=2)),
    "an attempt twice in the history": ("history_is_true", account(
        "quick", [start(2), end(2)], result(2, marked=True, history=[lost(1), lost(1)]))),
    "failed with a retry left": ("retries_are_counted", account(
        "hopeless", [start(1), end(1, 1)], result(**GIVEN_UP), retries=1)),
    "tried once too often": ("retries_are_counted", account(
        "hopeless", [start(1), end(1, 1), start(2), end(2, 1)], result(2, history=[failed(1)], **GIVEN_UP))),
    "started when the end was told": ("an_end_is_the_end", dataclasses.replace(
        GOOD["cancelled while it ran"], told=[Told("client", CANCELLED, 0)])),
    "too early": ("delay_is_kept", account(
        "delayed", [start(1, uptime_s=9.4), end(1)], result(), delay_s=0.5)),
}


SOUND = "import signal; signal.signal(15, lambda *_: exit(0)); print('ready', flush=True); signal.pause()"
ABORTS = "import os; os.abort()"


def start_forged(cluster, name, command=SOUND):
    """Instead of Cluster.start: a node that is a line of Python."""
    node = cluster.nodes[name]
    node.lives += 1
    with open(node.log, "wb") as log:
        node.process = subprocess.Popen([sys.executable, "-c", command], stdout=log, stdin=subprocess.DEVNULL,
                                        preexec_fn=die_with_parent, env={**os.environ, MARK: node.life})
    node.ended_by_us = False


class Judges(unittest.TestCase):
    def test_good_accounts(self):
        for name, task in GOOD.items():
            with self.subTest(name):
                self.assertEqual([], complaints([task]))

    def test_forged_accounts(self):
        for name, (promise, task) in FORGED.items():
            with self.subTest(name):
                broken = {complaint.split(":")[0] for complaint in complaints([task])}
                self.assertIn(promise, broken)
                if "unmarked" not in name:  # these break more than one at a time
                    self.assertEqual({promise}, broken)

    def test_a_gentle_round_loses_no_work(self):
        for name, task in GOOD.items():
            with self.subTest(name):
                lost = task.end is not None and "lost" in name and name != "a worker lost before it began"
                self.assertEqual(lost, bool(complaints([task], gentle=True)))

    def test_too_few_acknowledged(self):
        tasks = [dataclasses.replace(GOOD["once"], acknowledged=number < 1000 * ACKNOWLEDGED_SHARE)
                 for number in range(1000)]
        self.assertEqual([], too_few_acknowledged(tasks))
        tasks[0].acknowledged = False
        self.assertEqual(1, len(too_few_acknowledged(tasks)))

    def test_one_id_for_two_tasks(self):
        self.assertEqual(1, len(complaints([GOOD["once"], dataclasses.replace(GOOD["once"], number=2)])))

    def test_accounts_of_both_clients_are_alike(self):
        python = {"state": "completed", "dup_possible": False, "reason": "", "worker": "eu/w1", "attempt": 1,
                  "fence": bytes.fromhex(fence(1)), "exit": 0, "history": (), "output": b""}
        program = {**python, "fence": fence(1), "history": [], "output": ""}
        self.assertEqual(result(), End.of_map(python))
        self.assertEqual(result(), End.of_map(program))

    def test_a_torn_effect_is_no_effect(self):
        for text in ("start", f"start {ID} 1 {fence(1)}", f"end {ID} x {fence(1)} 1.0 0"):
            with self.subTest(text), self.assertRaises(ValueError):
                Line.of_text(text)


class Rounds(unittest.TestCase):
    """Rounds with forged nodes and answers: what the real ones seldom do is noticed."""

    def setUp(self):
        self.cluster = Cluster(self.addCleanup)
        self.scene = Scene(self.cluster, draw_plan(1, 10))
        self.scene.began = time.monotonic()
        self.faults = Faults(self.scene, {})
        start = mock.patch.object(Cluster, "start", start_forged)
        start.start()
        self.addCleanup(start.stop)
        self.cluster.configure("eu", "region", {}, {})

    def node(self, command):
        start_forged(self.cluster, "eu", command)
        return self.cluster.nodes["eu"].process

    def begin_and_end(self, what):
        fault = Fault(0.0, what, "eu", 0.0)
        self.faults.begin(fault)
        self.faults.began_s[fault.place] = 0.0
        wait_until(lambda: self.faults.end(fault), f"{what} is over")

    def test_faults_of_a_sound_node_are_no_complaint(self):
        for what in ("kill", "stop", "restart"):
            self.node(SOUND)
            wait_until(lambda: "ready" in self.cluster.nodes["eu"].log_text(), "it can be told to end")
            self.begin_and_end(what)
            self.cluster.kill("eu")
        self.assertEqual([], self.scene.complaints)

    def test_no_fault_hides_that_a_node_had_ended(self):
        for number, what in enumerate(("kill", "stop", "restart")):
            self.node(ABORTS).wait(10)
            self.faults.begin(Fault(0.0, what, "eu", 0.0))
            self.assertEqual(number + 1, len(self.scene.complaints))
            self.assertIn("eu had ended by itself, with status -6", self.scene.complaints[-1])
            self.cluster.kill("eu")

    def test_a_node_that_ends_otherwise_than_by_its_fault(self):
        for what in ("kill", "restart"):
            self.node(ABORTS).wait(10)
            fault = Fault(0.0, what, "eu", 0.0)
            self.faults.began_s[fault.place] = 0.0
            self.assertTrue(self.faults.end(fault))
            self.assertIn(f"eu ended with status -6 at a {what}", self.scene.complaints[-1])
            self.cluster.kill("eu")

    def play(self, run_round):
        """Two rounds of one task. What was printed, the exit status, and the scenes."""
        scenes, printed = [], io.StringIO()

        def run(scene):
            scenes.append(scene)
            self.addCleanup(shutil.rmtree, scene.cluster.directory, ignore_errors=True)
            scene.cluster.configure("eu", "region", {}, {})
            run_round(scene)

        words = "chaos.py --seed 2 --rounds 2 --tasks 1".split()
        with mock.patch.object(chaos, "run_round", run), mock.patch.object(sys, "argv", words), \
                contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
            status = chaos.main()
        return printed.getvalue(), status, scenes

    def test_a_node_that_ended_by_itself_fails_its_round_and_no_other(self):
        def run_round(scene):
            start_forged(scene.cluster, "eu", ABORTS if scene.plan.seed == 2 else SOUND)
            if scene.plan.seed == 2:
                scene.cluster.nodes["eu"].process.wait(10)

        printed, status, scenes = self.play(run_round)
        self.assertEqual(1, status)
        self.assertEqual([2, 3], [scene.plan.seed for scene in scenes])
        self.assertIn("eu ended by itself with status -6", printed)
        self.assertIn("seed 2: FAILED, 1 complaints", printed)
        self.assertIn("1 rounds passed, 1 failed 2", printed)
        self.assertEqual([True, False], [scene.cluster.directory.exists() for scene in scenes])

    def test_a_round_that_breaks_off_keeps_its_complaints(self):
        def run_round(scene):
            scene.complaints.append("eu had ended")
            raise AssertionError("no answer")

        printed, status, _ = self.play(run_round)
        self.assertEqual(1, status)
        self.assertIn("seed 3: FAILED, 2 complaints", printed)
        self.assertIn("eu had ended", printed)

    def test_the_program_hands_in_until_it_is_answered(self):
        batch = next(batch for batch in draw_plan(2, 100).batches
                     if batch.client == PROGRAM and not batch.waits)
        scene = Scene(Cluster(self.addCleanup), dataclasses.replace(self.scene.plan, batches=[batch]))
        scene.began = scene.give_up = time.monotonic() - batch.at_s - 60
        scene.give_up += 120
        program, files = Program(scene, batch), []

        def call(arguments, stdin, on_line):
            if arguments[0] == "submit":
                files.append(stdin.split())
                for number in range(batch.count if len(files) == 3 else 0):
                    on_line(f"{number:032x}")
                return 0 if len(files) == 3 else UNAVAILABLE
            for task in program.by_id.values():
                task.told.append("its end")
            return 0

        with mock.patch.object(program, "call", call):
            program.run()
        self.assertEqual([], scene.complaints)
        self.assertTrue(all(task.acknowledged for task in scene.tasks.values()))
        self.assertEqual(2 * batch.count, len(scene.given_up))
        self.assertEqual(3 * batch.count, len(set(sum(files, []))))
        self.assertEqual(sorted(sum(files[:2], [])), sorted(task.file for task in scene.given_up))
        self.assertFalse(any(task.acknowledged or task.id for task in scene.given_up))


class Plans(unittest.TestCase):
    def test_a_seed_is_a_plan(self):
        self.assertEqual(draw_plan(7, 2000), draw_plan(7, 2000))
        self.assertNotEqual(draw_plan(7, 2000), draw_plan(8, 2000))

    def test_every_task_once(self):
        for seed in range(20):
            for tasks in (1, 100, 2000):
                batches = draw_plan(seed, tasks).batches
                numbers = sorted(number for batch in batches for number in batch.numbers)
                self.assertEqual(list(range(tasks)), numbers)
                clients = {PROGRAM, *(f"python {number}" for number in range(PYTHON_CLIENTS))}
                self.assertLessEqual({batch.client for batch in batches}, clients)

    def test_every_kind_and_fault_comes(self):
        plans = [draw_plan(seed, 2000) for seed in range(10)]
        self.assertEqual(set(KINDS), {batch.kind for batch in plans[0].batches})
        faults = [fault for plan in plans for fault in plan.faults]
        self.assertEqual({"kill", "stop", "restart", "cut"}, {fault.what for fault in faults})
        self.assertLessEqual({"broker", *LINKS}, {fault.target for fault in faults})

    def test_gentle_plans_kill_no_worker(self):
        gentle = [plan for plan in (draw_plan(seed, 1) for seed in range(80)) if plan.gentle]
        self.assertEqual(20, len(gentle))
        faults = [fault for plan in gentle for fault in plan.faults]
        self.assertFalse([fault for fault in faults if fault.what == "kill" and fault.target in WORKERS])
        self.assertLess(max(fault.for_s for fault in faults), gentle[0].grace_s / 2)

    def test_one_fault_at_a_time_on_each_node_and_link(self):
        for seed in range(50):
            over = {}
            for fault in draw_plan(seed, 1).faults:
                self.assertGreater(fault.at_s, over.get(fault.place, 0))
                over[fault.place] = fault.at_s + fault.for_s


if __name__ == "__main__":
    unittest.main(verbosity=2)
