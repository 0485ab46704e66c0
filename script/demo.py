"""The demonstration behind script/demo: 600 headers, gzip -9 | sha256sum of each as a task; one worker is killed
with SIGKILL when half are done; all results are compared with a computation on the spot.

Exit status 0 only if every result is right and nothing was lost. Everything it starts ends with it.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from local import MERIDIAN, Failure, clean_environment, die_with_parent, free_ports

TASKS = 600
HEADERS = "/usr/include"
REGIONS = ["eu", "us", "ap"]
WORKERS = 2
VICTIM = "us/w2"
VICTIM_OPEN = 2         # tasks it has open when it is killed: one in each of its slots
BAR_CELLS = 20
UP_WAIT_S = 40
RUN_WAIT_S = 300
STOP_WAIT_S = 40
POLL_S = 0.02

TASK = 'sum=$(gzip -9 <"$1" | sha256sum) && echo "$1 $sum"'


def first_headers():
    """The first headers under /usr/include in C-locale order."""
    found = []
    for directory, _, names in os.walk(HEADERS):
        found += [os.path.join(directory, name) for name in names if name.endswith(".h")]
    found = sorted((path for path in found if os.path.isfile(path) and not os.path.islink(path)), key=os.fsencode)
    if len(found) < TASKS:
        raise Failure(f"only {len(found)} headers under {HEADERS}, {TASKS} are wanted")
    return found[:TASKS]


def local_checksums(headers):
    """What each task should print, by the same two programs without Meridian."""
    loop = 'for file; do set -- "$file"; ' + TASK + "; done"
    printed = subprocess.run(["sh", "-c", loop, "sh", *headers], check=True, capture_output=True, text=True).stdout
    return dict(line.split(" ", 1) for line in printed.splitlines())


class Cluster:
    """`meridian dev` in a directory of its own."""

    def __init__(self, directory):
        self.directory = os.path.join(directory, "cluster")
        port = free_ports([0, 1, *range(11, 11 + len(REGIONS))])  # those of `meridian dev --port`
        self.environment = clean_environment(MERIDIAN_SERVER=f"tcp://127.0.0.1:{port}", XDG_STATE_HOME=directory)
        self.errors = os.path.join(directory, "dev.errors")
        with open(self.errors, "w", encoding="utf-8") as errors:
            self.supervisor = subprocess.Popen(
                [MERIDIAN, "dev", "--regions", ",".join(REGIONS), "--workers", str(WORKERS), "--slots", "2",
                 "--dir", self.directory, "--port", str(port)],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True,
                start_new_session=True, preexec_fn=die_with_parent)

    def wait_up(self):
        """`dev` prints its lines once every worker is live, or ends."""
        timer = time.monotonic() + UP_WAIT_S
        line = self.supervisor.stdout.readline()
        if not line or time.monotonic() > timer:
            with open(self.errors, encoding="utf-8") as errors:
                raise Failure("the cluster did not start:\n" + errors.read())

    def run(self, *words):
        return subprocess.run([MERIDIAN, *words], env=self.environment, check=True, capture_output=True, text=True,
                              timeout=30).stdout

    def workers(self):
        """Rows of `meridian worker list`, by name (us/w2)."""
        rows = json.loads(self.run("worker", "list", "-o", "json"))
        return {f"{row['region']}/{row['name']}": row for row in rows}

    def stop(self):
        if self.supervisor.poll() is None:
            self.supervisor.send_signal(signal.SIGINT)
            try:
                self.supervisor.wait(STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                self.supervisor.kill()  # its nodes die with it
                self.supervisor.wait()


class Bar:
    """A progress bar on a terminal; elsewhere only its finished lines."""

    def __init__(self):
        self.live = sys.stdout.isatty()

    def show(self, done, text="", end=False):
        if not self.live and not end:
            return
        cells = "#" * (done * BAR_CELLS // TASKS)
        line = f"[{cells:<{BAR_CELLS}}] {done}/{TASKS}  {text}".rstrip()
        sys.stdout.write(("\r\x1b[K" if self.live else "") + line + ("\n" if end else ""))
        sys.stdout.flush()


def submit(cluster, directory, headers):
    """Start the submission of all; its results go to a file, one JSON object a line."""
    names = os.path.join(directory, "headers")
    with open(names, "w", encoding="utf-8") as file:
        file.writelines(header + "\n" for header in headers)
    with open(os.path.join(directory, "results"), "w", encoding="utf-8") as results:
        return subprocess.Popen(
            [MERIDIAN, "submit", "--each-line", names, "--wait", "-o", "jsonl", "--", "sh", "-c", TASK, "sh", "{}"],
            env=cluster.environment, stdin=subprocess.DEVNULL, stdout=results, stderr=subprocess.PIPE, text=True)


def run_and_kill(cluster, submission):
    """Watch the work; kill the victim when half is done and it has its slots full. Returns the seconds taken."""
    bar = Bar()
    start = time.monotonic()
    killed = False
    while submission.poll() is None:
        if time.monotonic() - start > RUN_WAIT_S:
            raise Failure(f"not done after {RUN_WAIT_S} s")
        workers = cluster.workers()
        done = sum(row["done"] for row in workers.values())
        if not killed and done >= TASKS // 2 and workers[VICTIM]["busy"] == VICTIM_OPEN:
            cluster.run("dev", "kill", VICTIM, "--dir", cluster.directory)
            killed = True
            bar.show(done, f"SIGKILL {VICTIM}", end=True)
        else:
            bar.show(done)
        time.sleep(POLL_S)
    elapsed = time.monotonic() - start
    if submission.returncode != 0:
        raise Failure("submit ended with status %d:\n%s" % (submission.returncode, submission.stderr.read()))
    bar.show(sum(row["done"] for row in cluster.workers().values()), f"{elapsed:.1f} s", end=True)
    if not killed:
        raise Failure(f"all was done before {VICTIM} could be killed")


def duration(microseconds):
    if microseconds is None:
        return "-"
    return f"{microseconds / 1e6:.1f} s" if microseconds >= 999_500 else f"{microseconds / 1e3:.0f} ms"


def print_table(workers):
    print("REGION  WORKER  DONE  LOST      P50      P99")
    for region in REGIONS:
        for number in range(1, WORKERS + 1):
            row = workers.get(f"{region}/w{number}")
            if row is None:
                raise Failure(f"`worker list` does not know {region}/w{number}")
            print(f"{region:<8}{row['name']:<6}{row['done']:>6}{row['lost']:>6}"
                  f"{duration(row['p50_us']):>9}{duration(row['p99_us']):>9}")


def check(directory, headers, workers):
    """Compare every result; say what was recovered. Raises Failure unless nothing was lost."""
    with open(os.path.join(directory, "results"), encoding="utf-8") as file:
        results = [json.loads(line) for line in file]
    expected = local_checksums(headers)
    printed = {}
    for result in results:
        name, _, checksum = result["output"].rstrip("\n").partition(" ")
        if name in printed:
            raise Failure(f"two results for {name}")
        printed[name] = checksum
    equal = sum(printed.get(name) == checksum for name, checksum in expected.items())
    print(f"results   {equal} of {TASKS} equal to a local checksum")

    lost = workers[VICTIM]["lost"]
    recovered = [result for result in results
                 if result["state"] == "completed" and any(attempt["worker"] == VICTIM and attempt["end"] == "lost"
                                                           for attempt in result["history"])]
    marked = sum(result["dup_possible"] for result in results)
    print(f"recovered {len(recovered)} tasks of {VICTIM}; {marked} marked dup_possible")
    if equal != TASKS or len(results) != TASKS:
        raise Failure("not every result is right")
    if len(recovered) != lost or not all(result["dup_possible"] for result in recovered):
        raise Failure(f"{VICTIM} lost {lost} tasks, {len(recovered)} were recovered, {marked} marked")


def main():
    directory = tempfile.mkdtemp(prefix="meridian-demo-")
    keep = True
    cluster = None
    submission = None
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        headers = first_headers()
        cluster = Cluster(directory)
        cluster.wait_up()
        print(f"{TASKS} tasks: gzip -9 | sha256sum over {HEADERS}; regions {' '.join(REGIONS)}, "
              f"{WORKERS} workers each", flush=True)
        submission = submit(cluster, directory, headers)
        run_and_kill(cluster, submission)
        workers = cluster.workers()
        print_table(workers)
        check(directory, headers, workers)
        keep = False
    except Failure as failure:
        print(f"script/demo: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        keep = False
        return 130
    finally:
        if submission is not None and submission.poll() is None:
            submission.kill()
            submission.wait()
        if cluster is not None:
            cluster.stop()
        if keep:
            print(f"script/demo: data and logs stay in {directory}", file=sys.stderr)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
