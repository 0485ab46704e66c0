"""Judges a chaos round by three accounts of it: what the tasks did to their files, the histories in their
results, and what clients were told. It asks no node and knows no fault.

A promise is a function that yields a complaint for each way in which a task breaks it. A fence is told by its
24 hex digits, which compare as fences do; its first 8 are the custody.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Iterator, Mapping, Sequence, Tuple

from chaos_plan import KINDS

CUSTODY_HEX = 8
ACKNOWLEDGED_SHARE = 0.95  # at least; clients hand in again until they are heard
CLOCK_S = 0.02  # /proc/uptime counts hundredths
REASONS = {"completed": ("",), "failed": ("exit_status", "timeout"),
           "cancelled": ("cancelled", "may_still_run")}


@dataclass(frozen=True)
class Line:
    """A side effect (chaos_task.sh)."""

    word: str  # start, end
    task: str
    attempt: int
    fence: str
    uptime_s: float
    status: int | None = None

    @classmethod
    def of_text(cls, text: str) -> Line:
        word, task, attempt, fence, uptime_s, *status = text.split()
        return cls(word, task, int(attempt), fence, float(uptime_s), int(status[0]) if status else None)


Past = Tuple[int, str, str, str, Any]  # attempt, worker, end, reason, exit


@dataclass(frozen=True)
class End:
    """A result, from whichever client."""

    state: str
    dup_possible: bool
    reason: str
    worker: str
    attempt: int
    fence: str
    exit: int | None
    history: Tuple[Past, ...] = ()

    @classmethod
    def of_map(cls, row: Mapping[str, Any]) -> End:
        """Of the fields of meridian.Result, or what the program prints: they differ in the fence."""
        fence = row["fence"].hex() if isinstance(row["fence"], bytes) else row["fence"]
        past = tuple((entry["attempt"], entry["worker"], entry["end"], entry["reason"], entry["exit"])
                     for entry in row["history"])
        return cls(row["state"], row["dup_possible"], row["reason"], row["worker"], row["attempt"], fence,
                   row["exit"], past)

    @property
    def is_brokers(self) -> bool:
        """The broker ended it without a region's outcome: it names a custody, and knows of no attempt."""
        return int(self.fence[CUSTODY_HEX:] or "0", 16) == 0

    @property
    def custody(self) -> str:
        return self.fence[:CUSTODY_HEX]


@dataclass(frozen=True)
class Told:
    by: str
    end: End
    lines: int  # in the task's file when the client had heard it


@dataclass
class Task:
    number: int
    kind: str
    id: str = ""  # "": no client ever knew one
    handed_in_s: float = 0.0  # uptime before the request left
    delay_s: float = 0.0
    retries: int = 0
    acknowledged: bool = False
    cancel_asked: bool = False
    hand_ins: int = 1  # until one was answered; each has another file
    lines: Sequence[Line] = ()
    told: list[Told] = field(default_factory=list)
    final: list[Told] = field(default_factory=list)  # asked for when everything was over

    @property
    def file(self) -> str:
        return f"{self.number}.{self.hand_ins}"

    @property
    def end(self) -> End | None:
        return self.final[0].end if self.final else None

    @property
    def starts(self) -> list[Line]:
        return [line for line in self.lines if line.word == "start"]

    def ended(self, start: Line) -> Line | None:
        """How that start ended by itself."""
        return next((line for line in self.lines if line.word == "end" and line.fence == start.fence), None)


# ---- promises ----

def nothing_acknowledged_is_lost(task: Task) -> Iterator[str]:
    if task.acknowledged and not task.told:
        yield "was acknowledged, and its client never heard of its end"
    if task.acknowledged and task.end is None:
        yield "was acknowledged, and has no result"


def everybody_is_told_the_same(task: Task) -> Iterator[str]:
    for told in task.told + task.final:
        if task.end is not None and told.end != task.end:
            yield f"{told.by} was told {told.end}, {task.final[0].by} {task.end}"


def effects_are_its_own(task: Task) -> Iterator[str]:
    for other in sorted({line.task for line in task.lines} - {task.id}):
        if task.id:
            yield f"its file has effects of task {other}"


def ends_as_its_kind_may(task: Task) -> Iterator[str]:
    end = task.end
    if end is None:
        return
    if end.state not in KINDS[task.kind].states or end.reason not in REASONS.get(end.state, ()):
        yield f"a {task.kind} task ended {end.state} ({end.reason})"
    if end.state == "cancelled" and not task.cancel_asked:
        yield "cancelled, and nobody asked for that"
    if end.reason == "may_still_run" and not end.dup_possible:
        yield "may still run, but is not marked"


def result_has_its_effect(task: Task) -> Iterator[str]:
    end = task.end
    if end is None or end.reason not in ("", "exit_status"):
        return
    effects = [line for line in task.lines if line.fence == end.fence and line.attempt == end.attempt]
    if [line.word for line in effects] != ["start", "end"]:
        yield f"{end.state} with fence {end.fence}, attempt {end.attempt}; its effects {effects}"
    elif effects[1].status != end.exit:
        yield f"exit status {end.exit} was reported, {effects[1].status} is what it was"


def no_fence_starts_twice(task: Task) -> Iterator[str]:
    fences = [line.fence for line in task.starts]
    for fence in sorted({fence for fence in fences if fences.count(fence) > 1}):
        yield f"started {fences.count(fence)} times with fence {fence}"


def fences_grow(task: Task) -> Iterator[str]:
    if task.end is None or task.end.dup_possible:
        return
    fences = [line.fence for line in task.starts]
    if fences != sorted(fences):
        yield f"unmarked, and its starts have falling fences {fences}"


def every_double_start_is_marked(task: Task) -> Iterator[str]:
    """Unmarked, a start that is not the result's must have had an end that its region recorded: an error of
    its own that is in the history (a region that gave the task back took that along), or a time limit."""
    end = task.end
    if end is None or end.dup_possible:
        return
    failed = {past[0] for past in end.history if past[2] == "failed"}
    for at, start in enumerate(task.starts):
        if start.fence == end.fence or KINDS[task.kind].timeout_s:
            continue
        own_end = task.ended(start)
        following = task.starts[at + 1] if at + 1 < len(task.starts) else None
        if own_end is None or own_end.status == 0:
            yield f"unmarked, and a start with no recorded end: {start}; the result's fence is {end.fence}"
        elif following is not None and task.lines.index(own_end) > task.lines.index(following):
            yield f"unmarked, and {start} had not ended when {following}"
        elif start.fence[:CUSTODY_HEX] == end.custody and start.attempt not in failed:
            yield f"unmarked, and the failure of {start} is not in the history {end.history}"


def history_tells_of_every_start(task: Task) -> Iterator[str]:
    """Of those under the last custody; an earlier region's story ends with it."""
    end = task.end
    if end is None or end.is_brokers or KINDS[task.kind].timeout_s:  # STOP for time is forgotten at a restart
        return
    known = {past[0] for past in end.history} | {end.attempt}
    for start in task.starts:
        if start.fence[:CUSTODY_HEX] == end.custody and start.attempt not in known:
            yield f"{start} is not in the history {end.history}"


def history_is_true(task: Task) -> Iterator[str]:
    if task.end is None:
        return
    attempts = [past[0] for past in task.end.history] + [task.end.attempt]
    if task.end.history and attempts != sorted(set(attempts)):
        yield f"attempts in the history do not grow: {attempts}"
    ends = {(line.attempt, line.status) for line in task.lines if line.word == "end"}
    for attempt, _, how, reason, exit_status in task.end.history:
        if how == "failed" and reason == "exit_status" and (attempt, exit_status) not in ends:
            yield f"attempt {attempt} is said to have exited with {exit_status}, which it did not"


def retries_are_counted(task: Task) -> Iterator[str]:
    end = task.end
    if end is None or end.custody == "":
        return
    failures = sum(past[2] == "failed" for past in end.history) + (end.state == "failed")
    if failures > task.retries + 1 or (end.state == "failed" and failures <= task.retries):
        yield f"{failures} failures with {task.retries} retries, and ended {end.state}"


def an_end_is_the_end(task: Task) -> Iterator[str]:
    for told in task.told:
        late = list(task.lines)[told.lines:]
        if late and not told.end.dup_possible:
            yield f"unmarked, and when {told.by} had been told {told.end.state} came {late}"


def delay_is_kept(task: Task) -> Iterator[str]:
    for start in task.starts:
        if start.uptime_s + CLOCK_S < task.handed_in_s + task.delay_s:
            waited_s = start.uptime_s - task.handed_in_s
            yield f"to be delayed by {task.delay_s} s, started after {waited_s:.2f} s"


PROMISES: Sequence[Callable[[Task], Iterator[str]]] = (
    nothing_acknowledged_is_lost, everybody_is_told_the_same, effects_are_its_own, ends_as_its_kind_may,
    result_has_its_effect, no_fence_starts_twice, fences_grow, every_double_start_is_marked,
    history_tells_of_every_start, history_is_true, retries_are_counted, an_end_is_the_end, delay_is_kept)


def no_work_is_lost_without_a_cause(task: Task) -> Iterator[str]:
    """Of a gentle round. What was on its way to a worker that ended may count as lost, and is marked."""
    end = task.end
    if end is None or not end.dup_possible:
        return
    lost = {past[0] for past in end.history if past[2] == "lost"}
    if end.reason == "may_still_run":
        lost.add(end.attempt)
    if end.is_brokers or not lost:
        yield f"nothing was away for long, and it is marked: {end}"
    for start in task.starts:
        if start.attempt in lost:
            yield f"nothing was away for long, and {start} counts as lost: {end}"


def complaints(tasks: Sequence[Task], gentle: bool = False) -> list[str]:
    """Empty if every promise was kept to every task. gentle: of a gentle round (chaos_plan.py)."""
    promises = [*PROMISES, no_work_is_lost_without_a_cause] if gentle else PROMISES
    found = [f"{promise.__name__}: task {task.number} {task.id}: {text}"
             for task in tasks for promise in promises for text in promise(task)]
    ids = [task.id for task in tasks if task.id]
    found += [f"id {id} stands for {ids.count(id)} tasks" for id in sorted(set(ids)) if ids.count(id) > 1]
    return found


def too_few_acknowledged(tasks: Sequence[Task]) -> list[str]:
    """Of tasks that no node took nothing is promised, and nothing is tested."""
    count = sum(task.acknowledged for task in tasks)
    few = count < ACKNOWLEDGED_SHARE * len(tasks)
    return [f"only {count} of {len(tasks)} tasks were acknowledged"] if few else []


def tally(tasks: Sequence[Task]) -> str:
    ends = [task.end for task in tasks if task.end is not None]
    again = sum(len(task.starts) > 1 + sum(past[2] == "failed" for past in task.end.history)
                for task in tasks if task.end is not None)
    late = sum(len(task.lines) > told.lines for task in tasks for told in task.told)
    states = [f"{sum(end.state == state for end in ends)} {state}" for state in REASONS]
    return (f"{sum(task.acknowledged for task in tasks)} acknowledged, {', '.join(states)}; "
            f"{sum(len(task.starts) for task in tasks)} starts, "
            f"{sum(end.dup_possible for end in ends)} marked, {again} started again without a recorded end, "
            f"{late} with effects after their end")
