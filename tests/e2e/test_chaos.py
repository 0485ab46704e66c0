"""The judges of chaos rounds are judged, by forged accounts of tasks, each with one broken promise."""
import dataclasses
import unittest

from chaos_check import End, Line, Task, Told, complaints
from chaos_plan import KINDS, LINKS, PROGRAM, PYTHON_CLIENTS, WORKERS, draw_plan

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
                lost = "lost" in name and name != "a worker lost before it began"
                self.assertEqual(lost, bool(complaints([task], gentle=True)))

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
