"""The measurements behind script/bench, on a cluster of one broker, one region and one worker with no-op slots; both
tiers sync before they acknowledge.

  throughput   tasks/s and CPU time per task over all processes, at 1, 16 and 128 tasks per message
  latency      p50 and p99 from submit to result, 2,000 tasks/s one by one
  memory       the broker's anonymous memory per queued task
  recovery     from SIGKILL of the broker to the first finished task, with 100,000 and 1,000,000 queued
"""
import argparse
import datetime
import json
import os
import platform
import random
import resource
import shutil
import signal
import subprocess
import sys
import time

import msgpack
import zmq

from local import MERIDIAN, ROOT, Failure, clean_environment, die_with_parent, free_ports

RESULTS = os.path.join(ROOT, "bench/results.md")
SCRATCH = os.path.join(ROOT, "build/bench")  # on the disk of the tree: /tmp may be memory
MEMORY = f"/dev/shm/meridian-bench-{os.getpid()}"  # a disk whose sync costs nothing
SLOTS = 4096
PAYLOAD_BYTES = 256
BATCHES = [1, 16, 128]
RATE = 2000
QUEUED = [100_000, 1_000_000]
WAIT_S = 60
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class Cluster:
    """Three nodes with a configuration for measuring, in a fresh directory."""

    def __init__(self, name, scratch=SCRATCH):
        self.directory = os.path.join(scratch, name)
        shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(self.directory)
        self.port = free_ports([0, 1, 2])
        self.nodes = {}
        self.server = f"tcp://127.0.0.1:{self.port}"
        self.environment = clean_environment(MERIDIAN_SERVER=self.server, XDG_STATE_HOME=self.directory)
        self.write("broker", f"[broker]\nclients = {self.server}\nregions = tcp://127.0.0.1:{self.port + 1}\n")
        self.write("region", f"[region]\nname = bench\nparent = tcp://127.0.0.1:{self.port + 1}\n"
                             f"workers = tcp://127.0.0.1:{self.port + 2}\n")
        self.write("worker", f"[worker]\nname = w1\nparent = tcp://127.0.0.1:{self.port + 2}\nslots = {SLOTS}\n"
                             "[type noop]\nbuiltin = noop\n")

    def write(self, role, text):
        with open(os.path.join(self.directory, role + ".ini"), "w", encoding="utf-8") as file:
            file.write(f"[node]\ndata = {self.directory}/{role}\nlog_level = warn\n"
                       f"[store]\nmax_bytes = 8GiB\n{text}")

    def start(self, *roles):
        for role in roles:
            with open(os.path.join(self.directory, role + ".log"), "a", encoding="utf-8") as log:
                self.nodes[role] = subprocess.Popen(
                    [MERIDIAN, role, "run", "-c", os.path.join(self.directory, role + ".ini")],
                    env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=True, preexec_fn=die_with_parent)

    def kill(self, role):
        node = self.nodes.pop(role)
        node.kill()
        node.wait()

    def stop(self):
        for role in ["worker", "region", "broker"]:
            if role in self.nodes:
                self.kill(role)
        shutil.rmtree(self.directory, ignore_errors=True)

    def ask(self, what, wait_ms=500):
        """Rows of a QUERY; None if no answer came in time."""
        socket = zmq.Context.instance().socket(zmq.REQ)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RECONNECT_IVL, 5)
        socket.connect(self.server)
        try:
            socket.send(msgpack.packb([1, "QUERY", 0, {"what": what}]))
            if not socket.poll(wait_ms):
                return None
            kind, _, body = msgpack.unpackb(socket.recv())[1:]
            if kind != "ROWS":
                raise Failure(f"QUERY {what} was answered {kind} {body}")
            return body["rows"]
        finally:
            socket.close()

    def wait(self, condition, what):
        """Ask until condition(self) holds; returns the seconds it took."""
        start = time.monotonic()
        while not condition(self):
            dead = [role for role, node in self.nodes.items() if node.poll() is not None]
            if dead or time.monotonic() - start > WAIT_S:
                raise Failure(f"{what}: {'ended: ' + ' '.join(dead) if dead else f'not after {WAIT_S} s'}; "
                              f"logs in {self.directory}")
            time.sleep(0.002)
        return time.monotonic() - start

    def wait_worker(self):
        self.wait(lambda cluster: any(row["state"] == "live" for row in cluster.ask("workers") or []), "worker live")

    def bench(self, *options):
        """Run `meridian bench`; returns its JSON object, and the CPU seconds of it and of every node."""
        before = self.cpu_s()
        own = resource.getrusage(resource.RUSAGE_CHILDREN)
        ran = subprocess.run([MERIDIAN, "bench", "--type", "noop", "--payload", str(PAYLOAD_BYTES), "-o", "json",
                              *map(str, options)],
                             env=self.environment, capture_output=True, text=True, timeout=900)
        if ran.returncode != 0:
            raise Failure(f"meridian bench {' '.join(map(str, options))}: status {ran.returncode}: {ran.stderr}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        client_s = after.ru_utime + after.ru_stime - own.ru_utime - own.ru_stime
        return json.loads(ran.stdout), self.cpu_s() - before + client_s

    def cpu_s(self):
        total = 0
        for node in self.nodes.values():
            with open(f"/proc/{node.pid}/stat", encoding="utf-8") as file:
                fields = file.read().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / CLOCK_TICKS

    def anonymous_bytes(self, role):
        with open(f"/proc/{self.nodes[role].pid}/status", encoding="utf-8") as file:
            line = next(line for line in file if line.startswith("RssAnon:"))
        return int(line.split()[1]) * 1024


def throughput(seconds):
    rows = []
    for batch in BATCHES:
        cluster = Cluster("throughput")
        try:
            cluster.start("broker", "region", "worker")
            cluster.wait_worker()
            cluster.bench("--batch", batch, "--duration", "2s")  # the first seconds grow tables and files
            result, cpu_s = cluster.bench("--batch", batch, "--duration", f"{seconds}s")
            check(result)
            rows.append((f"throughput, {batch} per message", f"{result['tasks_per_s']:,.0f} tasks/s"))
            rows.append((f"CPU, {batch} per message", f"{cpu_s * 1e6 / result['completed']:.1f} us/task"))
            latency_us = result["result_us"]
            rows.append((f"latency under that load, {batch} per message",
                         f"p50 {latency_us['p50'] / 1000:.1f} ms, p99 {latency_us['p99'] / 1000:.1f} ms"))
        finally:
            cluster.stop()
    return rows


def latencies(seconds):
    """What the disk alone takes, the latency asked for, then what the programs themselves take of it: fewer tasks,
    and no disk."""
    try:
        return [("the disk alone: four commits, each two flushes, two processes", floor(min(seconds, 5))),
                *latency(seconds, RATE, SCRATCH, ""), *latency(seconds, RATE // 10, SCRATCH, ""),
                *latency(seconds, RATE, MEMORY, ", stores in memory"),
                *latency(seconds, RATE // 10, MEMORY, ", stores in memory")]
    finally:
        shutil.rmtree(MEMORY, ignore_errors=True)


def latency(seconds, rate, scratch, where):
    cluster = Cluster("latency", scratch)
    try:
        cluster.start("broker", "region", "worker")
        cluster.wait_worker()
        cluster.bench("--batch", 1, "--rate", rate, "--duration", "2s")
        result, _ = cluster.bench("--batch", 1, "--rate", rate, "--duration", f"{seconds}s")
        check(result)
        latency_us = result["result_us"]
        return [(f"latency, {rate:,} tasks/s one by one{where}",
                 f"p50 {latency_us['p50'] / 1000:.2f} ms, p99 {latency_us['p99'] / 1000:.2f} ms")]
    finally:
        cluster.stop()


def queue(queued):
    """Memory of the queue, then recovery from SIGKILL with it."""
    cluster = Cluster("queue")
    try:
        cluster.start("broker", "region")
        cluster.wait(lambda it: any(row["state"] == "live" for row in it.ask("regions") or []), "region live")
        before = cluster.anonymous_bytes("broker")
        result, _ = cluster.bench("--batch", 512, "--tasks", queued, "--submit-only")
        accepted = result["accepted"]  # whole messages: a few more than asked for
        per_task = (cluster.anonymous_bytes("broker") - before) / accepted
        ready = cluster.ask("cluster")[0]["tasks"]["ready"]
        if ready != accepted or accepted < queued:
            raise Failure(f"{accepted} tasks of {queued} were accepted, the broker says {ready} ready")
        start = time.monotonic()
        cluster.kill("broker")
        cluster.start("broker", "worker")
        cluster.wait(lambda it: (it.ask("cluster") or [{"tasks": {"ended": 0}}])[0]["tasks"]["ended"] > 0, "first task")
        return [(f"memory, {queued:,} queued", f"{per_task:.0f} bytes/task"),
                (f"SIGKILL of the broker to the first task, {queued:,} queued", f"{time.monotonic() - start:.2f} s")]
    finally:
        cluster.stop()


def check(result):
    for name in ["refused", "failed", "lost", "reported_twice"]:
        if result[name] != 0:
            raise Failure(f"meridian bench reports {result[name]} {name}")


def sync_ms():
    """Median of a 4 KiB append with fdatasync, on the disk that was measured."""
    os.makedirs(SCRATCH, exist_ok=True)
    path = os.path.join(SCRATCH, "sync")
    times = []
    with open(path, "wb", buffering=0) as file:
        for _ in range(200):
            start = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - start)
    os.unlink(path)
    return sorted(times)[len(times) // 2] * 1000


def commits_s(path, seconds):
    """Durations of a task's four commits, as the disk alone makes them: 8 pages in place, flush, one page, flush."""
    pages = 16384
    with open(path, "wb", buffering=0) as file:
        file.write(bytes(4096 * pages))
        os.fsync(file.fileno())
        times = []
        end = time.perf_counter() + seconds
        while (start := time.perf_counter()) < end:
            for _ in range(4):
                for _ in range(8):
                    os.pwrite(file.fileno(), b"x" * 4096, 4096 * random.randrange(pages))
                os.fdatasync(file.fileno())
                os.pwrite(file.fileno(), b"x" * 4096, 0)
                os.fdatasync(file.fileno())
            times.append(time.perf_counter() - start)
    os.unlink(path)
    return times


def floor(seconds):
    """What the disk alone takes for the four commits of a task, while a second process does the same."""
    os.makedirs(SCRATCH, exist_ok=True)
    other = os.fork()
    if other == 0:
        commits_s(os.path.join(SCRATCH, "other"), seconds + 1)
        os._exit(0)
    times = sorted(commits_s(os.path.join(SCRATCH, "own"), seconds))
    os.waitpid(other, 0)
    return f"p50 {times[len(times) // 2] * 1000:.2f} ms"


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown CPU")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (f"{len(os.sched_getaffinity(0))} x {model}, {memory:.0f} GiB, Linux {platform.release()}, "
            f"4 KiB write and fdatasync {sync_ms():.2f} ms")


def report(rows):
    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
    now = datetime.datetime.now(datetime.timezone.utc)
    lines = [f"\n## {now:%Y-%m-%d %H:%M} UTC, {commit.stdout.strip() or 'no commit'}", "", machine(), "",
             "| what | figure |", "|---|---|", *(f"| {what} | {figure} |" for what, figure in rows)]
    with open(RESULTS, "a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=15, help="of each load (15)")
    parser.add_argument("--only", choices=["throughput", "latency", "queue"], action="append",
                        help="only this part; may be repeated")
    parser.add_argument("--no-record", action="store_true", help="do not append to bench/results.md")
    options = parser.parse_args()
    parts = [("throughput", lambda: throughput(options.seconds)), ("latency", lambda: latencies(options.seconds)),
             *(("queue", lambda queued=queued: queue(queued)) for queued in QUEUED)]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    rows = []
    try:
        for name, part in parts:
            if options.only and name not in options.only:
                continue
            for what, figure in part():
                rows.append((what, figure))
                print(f"{what:<62} {figure}", flush=True)
    except Failure as failure:
        print(f"script/bench: {failure}", file=sys.stderr)
        return 1
    if not options.no_record:
        report(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
