"""The clients of a chaos round: Python clients and calls of the C program. They hand in and cancel what the
plan says and note whatever they are told, through every outage."""
from __future__ import annotations

import dataclasses
import json
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Callable, Mapping

from chaos_check import End, Task, Told
from chaos_plan import Batch, Plan
from cluster import BIN, Cluster, die_with_parent, meridian

SCRIPT = Path(__file__).with_name("chaos_task.sh")
WATCH_MS, ANSWER_MS = 300, 500
IDS_PER_CALL = 250
UNAVAILABLE = 5  # exit code of the program: no answer in 3 s


class Scene:
    """What all who take part in a round share. Each task is touched by one client only."""

    def __init__(self, cluster: Cluster, plan: Plan):
        self.cluster, self.plan = cluster, plan
        self.files = cluster.directory / "effects"
        self.files.mkdir()
        self.tasks = {number: Task(number, batch.kind, delay_s=batch.delay_s, retries=batch.retries,
                                   cancel_asked=batch.cancel_at_s is not None)
                      for batch in plan.batches for number in batch.numbers}
        self.given_up: list[Task] = []  # handed in without an answer, then again: each may have run, or not
        self.complaints: list[str] = []
        self.began = self.give_up = 0.0  # time.monotonic()

    def until(self, at_s: float) -> float:
        """Seconds until that time of the plan."""
        return self.began + at_s - time.monotonic()

    def argv(self, batch: Batch, file: str) -> list[str]:
        return ["sh", str(SCRIPT), f"{self.files}/{file}", str(batch.fails), str(batch.run_s)]

    def hand_in(self, batch: Batch) -> None:
        for number in batch.numbers:
            self.tasks[number].handed_in_s = time.clock_gettime(time.CLOCK_BOOTTIME)

    def hand_in_again(self, task: Task) -> None:
        """Nobody answered: this hand-in may have been taken, so the next one is told from it by its file."""
        self.given_up.append(dataclasses.replace(task, told=[], final=[]))
        task.hand_ins += 1

    def told(self, task: Task, by: str, row: Mapping[str, Any]) -> None:
        """A client heard the end of a task; what the task had done by then is noted at once."""
        path = self.files / task.file
        lines = path.read_bytes().count(b"\n") if path.exists() else 0
        task.told.append(Told(by, End.of_map(row), lines))


class PythonClient:
    def __init__(self, scene: Scene, name: str):
        self.scene, self.name = scene, name
        self.client = meridian.Client(scene.cluster.server, answer_ms=ANSWER_MS)
        self.open: dict[bytes, Task] = {}

    def run(self) -> None:
        """Hands in and cancels when it is time, and waits for results in between."""
        mine = [batch for batch in self.scene.plan.batches if batch.client == self.name]
        actions = [(batch.at_s, batch.first, self.submit, batch) for batch in mine]
        actions += [(batch.cancel_at_s, batch.first, self.cancel, batch) for batch in mine
                    if batch.cancel_at_s is not None]
        actions.sort(key=lambda action: action[:2])
        pause = threading.Event()
        while (actions or self.open) and time.monotonic() < self.scene.give_up:
            left_s = min(WATCH_MS / 1000, self.scene.until(actions[0][0]) if actions else WATCH_MS / 1000)
            if left_s <= 0:
                _, _, act, batch = actions.pop(0)
                act(batch)
            elif self.open:
                self.watch(int(left_s * 1000))
            else:
                pause.wait(left_s)
        self.client.close()

    def submit(self, batch: Batch) -> None:
        tasks = [self.scene.tasks[number] for number in batch.numbers]
        ids = {meridian.new_id(): task for task in tasks}
        for id, task in ids.items():
            task.id = id.hex()
        fields = {"priority": batch.priority, "retries": batch.retries}
        if batch.delay_s:
            fields["delay_ms"] = int(batch.delay_s * 1000)
        if batch.timeout_s:
            fields["timeout_ms"] = int(batch.timeout_s * 1000)
        self.scene.hand_in(batch)
        self.client.submit_many(({"id": id, "argv": self.scene.argv(batch, task.file), **fields}
                                 for id, task in ids.items()), submit_timeout_ms=self.left_ms())
        for task in tasks:
            task.acknowledged = True
        self.open.update(ids)

    def cancel(self, batch: Batch) -> None:
        ids = [bytes.fromhex(self.scene.tasks[number].id) for number in batch.numbers]
        self.client.cancel(ids, timeout_ms=self.left_ms())

    def left_ms(self) -> int:
        return max(1000, int((self.scene.give_up - time.monotonic()) * 1000))

    def watch(self, wait_ms: int) -> None:
        asked = list(self.open)[:meridian.TASKS_PER_MESSAGE]
        try:
            results, unknown = self.client.watch(asked, wait_ms=wait_ms)
        except meridian.NoAnswer:
            return
        for id in unknown:
            self.scene.complaints.append(f"task {id.hex()} was acknowledged to {self.name}, and is unknown")
        for result in results:
            self.scene.told(self.open[result.id], self.name, dataclasses.asdict(result))
        for id in [*unknown, *(result.id for result in results)]:
            del self.open[id]
        for id in asked:  # to the end, so that the first 1,024 do not hide the others
            if id in self.open:
                self.open[id] = self.open.pop(id)


class Program:
    """A batch handed in by the C program: `submit --wait`, or `submit`, `task cancel`, `task result`."""

    def __init__(self, scene: Scene, batch: Batch):
        self.scene, self.batch = scene, batch
        self.by_id: dict[str, Task] = {}
        self.unnamed = [scene.tasks[number] for number in batch.numbers]

    def run(self) -> None:
        batch, scene = self.batch, self.scene
        options = ["--priority", batch.priority, "--retries", str(batch.retries), "--each-line", "-",
                   "--delay", f"{int(batch.delay_s * 1000)}ms"]
        if batch.timeout_s:
            options += ["--timeout", f"{int(batch.timeout_s * 1000)}ms"]
        threading.Event().wait(max(0.0, scene.until(batch.at_s)))
        code = self.submit(options)
        while code == UNAVAILABLE and not self.by_id and time.monotonic() < scene.give_up:
            for task in self.unnamed:
                scene.hand_in_again(task)
            code = self.submit(options)
        if self.unnamed:
            scene.complaints.append(f"submit of tasks {batch.numbers} ended with status {code} and left out "
                                    f"{len(self.unnamed)}; see program.err")
        if batch.cancel_at_s is not None:
            threading.Event().wait(max(0.0, scene.until(batch.cancel_at_s)))
            self.call_until_answered(["task", "cancel", *self.by_id])
        while missing := [id for id, task in self.by_id.items() if not task.told]:
            if time.monotonic() > scene.give_up:
                return
            self.call(["task", "result", "--wait", "-o", "jsonl", *missing[:IDS_PER_CALL]], "", self.hear)

    def submit(self, options: list[str]) -> int:
        batch, scene = self.batch, self.scene
        output, on_line = (["--wait", "-o", "jsonl"], self.hear) if batch.waits else (["-o", "id"], self.name)
        files = "".join(f"{task.file}\n" for task in self.unnamed)
        scene.hand_in(batch)
        return self.call(["submit", *output, *options, "--", *scene.argv(batch, "{}")], files, on_line)

    def name(self, id: str) -> None:
        """Ids are printed in the order of the lines; they are an acknowledgement."""
        task = self.unnamed.pop(0)
        self.by_id[id] = task
        task.id, task.acknowledged = id, True

    def hear(self, line: str) -> None:
        row = json.loads(line)
        if row["id"] not in self.by_id:
            self.find(row["id"])
        self.scene.told(self.by_id[row["id"]], "the program", row)

    def find(self, id: str) -> None:
        """Of `submit --wait` only the tasks' files tell which line got which id."""
        def has_run(task: Task) -> bool:
            path = self.scene.files / task.file
            return path.exists() and id in path.read_text()

        task = next(filter(has_run, self.unnamed), self.unnamed[0])
        self.unnamed.remove(task)
        self.by_id[id] = task
        task.id, task.acknowledged = id, True

    def call_until_answered(self, arguments: list[str]) -> None:
        while self.call(arguments, "", lambda line: None) == UNAVAILABLE:
            if time.monotonic() > self.scene.give_up:
                return

    def call(self, arguments: list[str], stdin: str, on_line: Callable[[str], None]) -> int:
        return call_program(self.scene, arguments, stdin, on_line)


def call_program(scene: Scene, arguments: list[str], stdin: str, on_line: Callable[[str], None]) -> int:
    """Runs the program, looks at each line as it is printed; its exit code."""
    environment = {"PATH": "/usr/bin:/bin", "MERIDIAN_SERVER": scene.cluster.server,
                   "XDG_STATE_HOME": str(scene.cluster.directory)}
    with open(scene.cluster.directory / "program.err", "ab") as errors:
        process = subprocess.Popen([BIN, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=errors, cwd=scene.cluster.directory, env=environment,
                                   preexec_fn=die_with_parent)
    watchdog = threading.Timer(max(1.0, scene.give_up - time.monotonic()), process.kill)
    watchdog.start()
    process.stdin.write(stdin.encode())
    process.stdin.close()
    for line in process.stdout:
        on_line(line.decode().rstrip("\n"))
    process.stdout.close()
    watchdog.cancel()
    return process.wait()
