"""What happens in a chaos round: tasks in batches, and faults, all drawn from its seed.

The same seed is the same plan. What becomes of it is up to the machine: processes run in their own time.
Every GENTLE_EVERY-th seed is a gentle round: no worker is killed, and no fault lasts as long as a grace. Then
nothing that started may be lost.
"""
from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Sequence, Tuple

REGIONS = ("eu", "us", "ap")
WORKERS = tuple(f"{region}/w{number}" for region in REGIONS for number in (1, 2))
LINKS = REGIONS + WORKERS  # each by its lower end
SUBMIT_S, FAULTS_S = 8.0, 10.0  # tasks are handed in and faults begin until then
FAULTS = (8, 24)
PAIRED = 0.4
PYTHON_CLIENTS = 3
PROGRAM = "program"  # the client of a batch that the C program hands in
PROGRAM_SHARE = 0.3
BATCH_MAX = 60
ALWAYS = 1000  # fails more often than it can be tried
GENTLE_EVERY = 4
GRACE_S, GENTLE_GRACE_S = 1, 15
SHORT_S, LONG_S = (0.1, 0.7), (1.2, 2.2)  # within and past GRACE_S

Range = Tuple[float, float]


@dataclass(frozen=True)
class Kind:
    """What tasks of a kind do, and how they may end. Pairs are ranges that a batch draws from."""

    share: int  # of 100 tasks
    states: Tuple[str, ...] = ("completed",)
    run_s: Range = (0, 0)
    fails: Range = (0, 0)  # so many starts of it fail
    retries: int = 0
    delay_s: Range = (0, 0)
    timeout_s: float = 0
    cancel_s: Range | None = None  # after it was handed in


KINDS = {
    "quick": Kind(46),
    "longer": Kind(10, run_s=(0.2, 1.2)),
    "flaky": Kind(14, fails=(1, 2), retries=2),
    "hopeless": Kind(6, states=("failed",), fails=(ALWAYS, ALWAYS), retries=1),
    "hanging": Kind(2, states=("failed",), run_s=(60, 60), timeout_s=0.3),
    "delayed": Kind(10, delay_s=(0.2, 2)),
    "cancelled": Kind(12, states=("completed", "cancelled"), run_s=(0.3, 0.6), cancel_s=(0, 1.5)),
}
PRIORITIES = {"critical": 1, "high": 2, "normal": 6, "low": 1}


@dataclass(frozen=True)
class Batch:
    """Tasks alike, numbers first to first + count - 1, handed in together."""

    at_s: float
    client: str  # "python 0", ..., or PROGRAM
    first: int
    count: int
    kind: str
    priority: str
    fails: int
    run_s: float
    retries: int
    delay_s: float
    timeout_s: float
    cancel_at_s: float | None
    waits: bool  # the program: submit --wait; else submit, then task result --wait

    @property
    def numbers(self) -> range:
        return range(self.first, self.first + self.count)


@dataclass(frozen=True)
class Fault:
    at_s: float
    what: str  # kill: SIGKILL, then start; stop: SIGSTOP, SIGCONT; restart: SIGTERM, then start; cut: a link
    target: str  # a node, or the lower end of the link
    for_s: float

    @property
    def place(self) -> tuple[bool, str]:
        """A region or worker is two places: itself and its link."""
        return self.what == "cut", self.target

    def __str__(self) -> str:
        return f"{self.at_s:5.2f} s  {self.what} {self.target} for {self.for_s:.2f} s"


@dataclass(frozen=True)
class Plan:
    seed: int
    batches: Sequence[Batch]
    faults: Sequence[Fault]

    @property
    def gentle(self) -> bool:
        return self.seed % GENTLE_EVERY == 0

    @property
    def grace_s(self) -> int:
        return GENTLE_GRACE_S if self.gentle else GRACE_S


def draw_plan(seed: int, tasks: int) -> Plan:
    dice = random.Random(seed)
    return Plan(seed, draw_batches(dice, tasks), draw_faults(dice, seed % GENTLE_EVERY == 0))


def draw_batches(dice: random.Random, tasks: int) -> list[Batch]:
    names = list(KINDS)
    counts = {name: tasks * kind.share // 100 for name, kind in KINDS.items()}
    counts[names[0]] += tasks - sum(counts.values())
    batches, first = [], 0
    for name in names:
        while counts[name] > 0:
            count = min(counts[name], dice.randint(1, BATCH_MAX))
            batches.append(draw_batch(dice, name, first, count))
            first += count
            counts[name] -= count
    return sorted(batches, key=lambda batch: batch.at_s)


def draw_batch(dice: random.Random, name: str, first: int, count: int) -> Batch:
    kind, at_s = KINDS[name], dice.uniform(0, SUBMIT_S)
    client = PROGRAM if dice.random() < PROGRAM_SHARE else f"python {dice.randrange(PYTHON_CLIENTS)}"
    return Batch(
        at_s=at_s, client=client, first=first, count=count, kind=name,
        priority=dice.choices(list(PRIORITIES), list(PRIORITIES.values()))[0],
        fails=dice.randint(*map(int, kind.fails)), run_s=round(dice.uniform(*kind.run_s), 2),
        retries=kind.retries, delay_s=round(dice.uniform(*kind.delay_s), 3), timeout_s=kind.timeout_s,
        cancel_at_s=at_s + dice.uniform(*kind.cancel_s) if kind.cancel_s else None,
        waits=kind.cancel_s is None and dice.random() < 0.5)  # to cancel them, the ids are needed first


def unheard_workers(what: str, target: str) -> list[str]:
    """Those that cannot reach their region during such a fault."""
    if what == "cut":
        return [target] if target in WORKERS else []
    return [worker for worker in WORKERS if worker.split("/")[0] == target]


def draw_faults(dice: random.Random, gentle: bool) -> list[Fault]:
    """At most one at a time on each node and each link; the broker's turn comes as often as all regions'.
    Some come in pairs: a worker ends while nobody can hear what it has done."""
    nodes, links = (("broker",), REGIONS, WORKERS), (REGIONS, WORKERS)
    tiers = {"kill": nodes[:2] if gentle else nodes, "stop": nodes, "restart": nodes, "cut": links}
    busy_until: dict[tuple[bool, str], float] = {}
    faults: list[Fault] = []

    def add(fault: Fault) -> bool:
        free = busy_until.get(fault.place, 0) <= fault.at_s
        if free:
            faults.append(fault)
            busy_until[fault.place] = fault.at_s + fault.for_s + 0.5
        return free

    for at_s in sorted(dice.uniform(0.5, FAULTS_S) for _ in range(dice.randint(*FAULTS))):
        what, lasts = dice.choice(list(tiers)), dice.choice((SHORT_S, LONG_S))
        target = dice.choice(dice.choice(tiers[what]))
        unheard = unheard_workers(what, target)
        if add(Fault(at_s, what, target, dice.uniform(*lasts))) and unheard and dice.random() < PAIRED:
            add(Fault(at_s + 0.05, "restart", dice.choice(unheard), dice.uniform(*SHORT_S)))
    return sorted(faults, key=lambda fault: fault.at_s)
