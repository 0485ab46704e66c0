#!/usr/bin/env python3
"""Chaos rounds: 2,000 tasks on a cluster of real processes that are killed, stopped, cut off and restarted.

    tests/e2e/chaos.py --seed 7 --rounds 4     rounds 7, 8, 9, 10; without --seed the seed is drawn
    tests/e2e/chaos.py --seed 7 --plan         what round 7 would do

A seed is the plan of a round: the same tasks, clients and faults at the same times. Exit status 1 if a round
broke a promise; its directory with every log and account stays, and is printed.
"""
from __future__ import annotations

import argparse
import contextlib
import secrets
import sys
import time
import traceback

from chaos_check import tally
from chaos_clients import Scene
from chaos_plan import Plan, draw_plan
from chaos_round import run_round
from cluster import Cluster

SHOWN = 20  # complaints of a round


def print_plan(plan: Plan) -> None:
    for batch in plan.batches:
        print(f"{batch.at_s:5.2f} s  {batch.client}: tasks {batch.first} to {batch.first + batch.count - 1}, "
              f"{batch.kind}, {batch.priority}")
    for fault in plan.faults:
        print(fault)


def play(plan: Plan) -> bool:
    """True if every promise was kept."""
    print(f"seed {plan.seed}: {len(plan.batches)} batches, {len(plan.faults)} faults"
          f"{', gentle' if plan.gentle else ''}", flush=True)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        scene = Scene(Cluster(stack.callback), plan)
        complaints = scene.complaints
        try:
            run_round(scene)
        except Exception:  # whatever went wrong, it is this seed's
            complaints.append(traceback.format_exc())
        scene.cluster.keep |= bool(complaints or scene.cluster.died())
        try:
            stack.close()
        except Exception as error:  # a node ended by itself
            complaints.append(str(error))
    if complaints:
        print(*plan.faults, *complaints[:SHOWN], sep="\n")
        print(f"seed {plan.seed}: FAILED, {len(complaints)} complaints; see {scene.cluster.directory}")
    tasks = list(scene.tasks.values())
    print(f"seed {plan.seed}: {tally(tasks)}; {time.monotonic() - began:.0f} s", flush=True)
    return not complaints


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, help="of the first round")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--plan", action="store_true", help="print it and do nothing")
    options = parser.parse_args()
    first = options.seed if options.seed is not None else secrets.randbelow(10**6)
    plans = [draw_plan(seed, options.tasks) for seed in range(first, first + options.rounds)]
    if options.plan:
        for plan in plans:
            print_plan(plan)
        return 0
    failed = [plan.seed for plan in plans if not play(plan)]
    print(f"{len(plans) - len(failed)} rounds passed, {len(failed)} failed", *failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
