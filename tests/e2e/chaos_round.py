"""One chaos round on real processes: a broker, three regions and six workers, every link through a forwarder
that can cut it. Clients hand in tasks while the faults of the plan happen; then the faults end, everything
drains, and what was seen goes to the judges (chaos_check.py).

Beats are 100 ms. A task is placed and tried again as often as it takes: no loss is an excuse.
"""
from __future__ import annotations

import dataclasses
import heapq
import json
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from chaos_check import End, Line, Told, complaints, too_few_acknowledged
from chaos_clients import IDS_PER_CALL, Program, PythonClient, Scene, call_program
from chaos_plan import PROGRAM, PYTHON_CLIENTS, REGIONS, WORKERS, Fault, Plan
from cluster import MARK, Cluster, free_port, loopback, processes_with, wait_until, worker_name
from forwarder import Forwarder

SLOTS = 4
OFTEN = 100  # lost workers and lost regions that a task survives
STATUS = {"kill": -signal.SIGKILL, "restart": 0}  # with which a node ends at such a fault
PROGRAM_CALLS = 4  # at a time
EXIT_S = 12.0  # for a node that was told to end
DRAIN_S = 90.0  # from the last fault until every client knows everything
RESTORED = re.compile(r"restored (\d+) tasks, (\d+) grants")


class Faults:
    """Makes the faults of the plan and ends them, each at its time; waits for no node. A drain may take
    longer than planned: the next fault on that node comes when it is up again."""

    def __init__(self, scene: Scene, links: dict[str, Forwarder]):
        self.scene, self.links = scene, links
        self.began_s: dict[tuple[bool, str], float] = {}  # those under way, by place

    def run(self) -> None:
        due = [(fault.at_s, number, fault, False) for number, fault in enumerate(self.scene.plan.faults)]
        heapq.heapify(due)
        pause = threading.Event()
        while due:
            at_s, number, fault, begun = heapq.heappop(due)
            pause.wait(max(0.0, self.scene.until(at_s)))
            if not begun and fault.place not in self.began_s:
                self.begin(fault)
                self.began_s[fault.place] = at_s
                heapq.heappush(due, (at_s + fault.for_s, number, fault, True))
            elif begun and self.end(fault):
                del self.began_s[fault.place]
            else:
                heapq.heappush(due, (at_s + 0.1, number, fault, begun))

    def begin(self, fault: Fault) -> None:
        cluster = self.scene.cluster
        if fault.what == "cut":
            self.links[fault.target].pause()
            return
        status = cluster.nodes[fault.target].process.poll()
        if status is not None:  # which the fault must not hide
            self.scene.complaints.append(f"{fault.target} had ended by itself, with status {status}, "
                                         f"before its {fault.what}")
            cluster.start(fault.target)
        if fault.what == "kill":
            cluster.kill(fault.target)
        elif fault.what == "stop":
            cluster.signal(fault.target, signal.SIGSTOP)
        else:
            cluster.nodes[fault.target].ended_by_us = True
            cluster.signal(fault.target, signal.SIGTERM)

    def end(self, fault: Fault) -> bool:
        """False if it cannot be ended yet."""
        cluster = self.scene.cluster
        if fault.what == "cut":
            self.links[fault.target].resume()
        elif fault.what == "stop":
            cluster.signal(fault.target, signal.SIGCONT)
        else:
            return self.start_again(fault)
        return True

    def start_again(self, fault: Fault) -> bool:
        node, complaints = self.scene.cluster.nodes[fault.target], self.scene.complaints
        if node.process.poll() is None:
            if self.scene.until(self.began_s[fault.place] + fault.for_s + EXIT_S) > 0:
                return False
            complaints.append(f"{fault.target} did not end within {EXIT_S} s of SIGTERM")
            self.scene.cluster.kill(fault.target)
        elif (status := node.process.returncode) != STATUS[fault.what]:
            complaints.append(f"{fault.target} ended with status {status} at a {fault.what}, "
                              f"not {STATUS[fault.what]}")
        try:
            wait_until(lambda: not processes_with(MARK, node.life), f"no process of {node.life} is left", 5)
        except AssertionError as left:
            complaints.append(str(left))
        self.scene.cluster.start(fault.target)
        return True


def start_cluster(cluster: Cluster, grace_s: int) -> dict[str, Forwarder]:
    """The links, each by the name of its lower end."""
    grace = f"{grace_s}s"
    links: dict[str, Forwarder] = {}

    def link(name: str, target: int) -> int:
        port = free_port()
        links[name] = Forwarder(port, target)
        cluster.add_cleanup(links[name].close)
        return port

    cluster.broker(broker_rerun_max=OFTEN, broker_region_grace=grace)
    for region in REGIONS:
        cluster.region(region, parent=link(region, cluster.ports["broker"]), region_poison_limit=OFTEN,
                       region_worker_grace=grace)
    for worker in WORKERS:
        parent = loopback(link(worker, cluster.ports[worker.split("/")[0]]))
        cluster.worker(worker, slots=SLOTS, worker_parent=parent)
    cluster.wait_up()
    return links


def run_round(scene: Scene) -> None:
    """Then the scene has the tasks with all that is known of them, and complaints: none if all was well."""
    cluster, plan = scene.cluster, scene.plan
    faults = Faults(scene, start_cluster(cluster, plan.grace_s))
    scene.began = time.monotonic()
    last_fault_s = max((fault.at_s + fault.for_s for fault in plan.faults), default=0)
    scene.give_up = scene.began + last_fault_s + DRAIN_S
    with ThreadPoolExecutor(PYTHON_CLIENTS + PROGRAM_CALLS) as pool:
        clients = [PythonClient(scene, f"python {number}") for number in range(PYTHON_CLIENTS)]
        clients += [Program(scene, batch) for batch in plan.batches if batch.client == PROGRAM]
        taking_part = [pool.submit(client.run) for client in clients]
        faults.run()
        for part in taking_part:
            part.result()
    cluster.wait_up(60)
    scene.complaints += is_empty(cluster)
    read_effects(scene)
    ask_again(scene)
    scene.complaints += restores_nothing(cluster)
    write_account(scene)
    scene.complaints += complaints(scene.given_up, plan.gentle)
    scene.complaints += complaints(list(scene.tasks.values()), plan.gentle)
    scene.complaints += too_few_acknowledged(list(scene.tasks.values()))


def is_empty(cluster: Cluster) -> list[str]:
    """Nothing is open, granted, held or running any more."""
    client = cluster.client(answer_ms=500)

    def left() -> list[str]:
        counts = client.query("cluster")[0]["tasks"]
        found = [f"{counts[state]} {state}" for state in ("delayed", "ready", "granted") if counts[state]]
        found += [f"open: {row}" for row in client.query("tasks", open=True)]
        found += [f"{row['name']} holds {row['held']}" for row in client.query("regions") if row["held"]]
        found += [f"{worker_name(row)} has {row['busy']} slots busy" for row in client.query("workers")
                  if row["busy"]]
        return found + [f"{len(pids)} processes of {node.life}, not only agent and launcher"
                        for node in cluster.nodes.values() if node.role == "worker"
                        and len(pids := processes_with(MARK, node.life)) != 2]

    try:
        wait_until(lambda: not left(), "nothing is left", 30)
    except AssertionError:
        return left()
    return []


def read_effects(scene: Scene) -> None:
    for task in [*scene.tasks.values(), *scene.given_up]:
        path = scene.files / task.file
        task.lines = [Line.of_text(line) for line in path.read_text().splitlines()] if path.exists() else []


def ask_again(scene: Scene) -> None:
    """The results as they are now, through the program and through the Python client."""
    by_id = {task.id: task for task in scene.tasks.values() if task.acknowledged}
    client = scene.cluster.client()

    def hear(line: str) -> None:
        row = json.loads(line)
        by_id[row["id"]].final.append(Told("the program, at the end", End.of_map(row), 0))

    for at in range(0, len(by_id), IDS_PER_CALL):
        ids = list(by_id)[at:at + IDS_PER_CALL]
        call_program(scene, ["task", "result", "-o", "jsonl", *ids], "", hear)
        open_ids = {bytes.fromhex(id) for id in ids}
        while open_ids:
            results, unknown = client.watch(list(open_ids))
            for result in results:
                by_id[result.id.hex()].final.append(
                    Told("python, at the end", End.of_map(dataclasses.asdict(result)), 0))
            if not results:
                scene.complaints.append(f"no result of {len(open_ids)} tasks, {len(unknown)} are unknown")
                break
            open_ids -= {result.id for result in results}


def restores_nothing(cluster: Cluster) -> list[str]:
    """Stores, grants and spools are empty: what each node finds when it starts again."""
    complaints = []
    for name in reversed(list(cluster.nodes)):
        if (status := cluster.terminate(name)) != 0:
            complaints.append(f"{name} ended with status {status}")
    for name, node in cluster.nodes.items():
        earlier = len(RESTORED.findall(node.log_text()))
        cluster.start(name)
        [found] = wait_until(lambda: RESTORED.findall(node.log_text())[earlier:], f"{name} is restored")
        if found != ("0", "0"):
            complaints.append(f"{name} restored {found[0]} tasks and {found[1]} grants when all was over")
    return complaints


def write_account(scene: Scene) -> None:
    """For whoever looks into a failed round: each task with all that is known of it, a line each."""
    with open(scene.cluster.directory / "tasks.jsonl", "w") as file:
        for task in [*scene.tasks.values(), *scene.given_up]:
            file.write(json.dumps(dataclasses.asdict(task)) + "\n")
