"""Runs README.md: every command as printed (all but script/test), in a network namespace of its own, and
compares what is printed (ids, times and counts aside). The default ports are free there.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from cluster import BIN, ROOT, die_with_parent, wait_until
from readme import Block, blocks, comparable, missing

INSIDE = "MERIDIAN_README_INSIDE"
README = ROOT / "README.md"
LEFT_OUT = "script/test"
COMMAND_DEADLINE_S = 180


class Parsing(unittest.TestCase):
    """The parser itself, on a text whose answer is known."""

    TEXT = ("# A\nwords\n\n    $ one\n    out\n\n    more\n    $ two\n\nOther words:\n\n"
            "```\nimport x\nprint(x)\n```\n")

    def test_blocks(self):
        first, second = blocks(self.TEXT)
        self.assertEqual([("one", ["out", "", "more"]), ("two", [])],
                         [(command.text, command.output) for command in first.commands])
        self.assertEqual("import x\nprint(x)\n", second.program)

    def test_comparable(self):
        self.assertEqual(comparable("91d4a07e  ready 4 s  x"), comparable("0123abcd  ready 12 s x"))
        self.assertEqual(comparable("[####      ] 300/600  x"), comparable("[##########] 302/600 x"))
        self.assertEqual(comparable("  ap      4 of 4 slots busy"), comparable("  ap   3 of 4 slots busy"))
        self.assertNotEqual(comparable("x  ready ap/w2"), comparable("x  ready ap/w1"))
        self.assertEqual(comparable("eu  w1   118  0  38 ms"), comparable("eu  w1  7  2  1.2 s"))

    def test_missing(self):
        self.assertEqual([], missing(["a 1", "b"], ["x", "a 2", "y", "b"]))
        self.assertEqual(["b"], missing(["a", "b"], ["b", "a"]))


def isolated() -> list[str]:
    """The command that gives a process a network namespace of its own with lo up; empty if we may not."""
    up = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    if not shutil.which("unshare") or not shutil.which("ip", path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
        return []
    probe = subprocess.run([*up, "true"], capture_output=True)
    return up if probe.returncode == 0 else []


def any_worker(line: str) -> str:
    """Which of two equal workers of a region, or of two regions with room, it is."""
    return re.sub(r"\b(eu|us)/w\d\b", "<near>", re.sub(r"\bap/w\d\b", "<far>", line))


def without_waiting(text: str) -> list[str]:
    """What `dev` said, but that it waits: it says so on a slow machine only."""
    return [line for line in text.splitlines() if not line.startswith("meridian: waiting for")]


class Readme(unittest.TestCase):
    """Each test is one part of the README; they share one shell environment and one `meridian dev`."""

    @classmethod
    def setUpClass(cls):
        if os.environ.get(INSIDE) != "1":
            raise unittest.SkipTest("runs inside the network namespace")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True,
                       env={"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})
        cls.blocks = blocks(README.read_text())
        directory = Path(tempfile.mkdtemp(prefix="meridian-readme-"))
        cls.addClassCleanup(shutil.rmtree, directory, ignore_errors=True)
        # The dev cluster's data goes to the directory it is started in: not into the source tree.
        cls.directory = directory / "tree"
        cls.directory.mkdir()
        (cls.directory / "build").mkdir()
        (cls.directory / "build" / "release").symlink_to(Path(BIN).resolve().parent)
        cls.env = {**os.environ, "XDG_STATE_HOME": str(directory / "state"), "HOME": str(directory)}
        cls.env.pop("MERIDIAN_SERVER", None)
        cls.dev = None
        cls.addClassCleanup(cls.end_dev)

    @classmethod
    def end_dev(cls):
        if cls.dev is not None and cls.dev.poll() is None:
            cls.dev.kill()
            cls.dev.wait(10)

    def block(self, *with_commands: str) -> Block:
        """The block that has a command starting with each of these."""
        for block in self.blocks:
            texts = [command.text for command in block.commands]
            if all(any(text.startswith(start) for text in texts) for start in with_commands):
                return block
        self.fail(f"README.md has no block with {with_commands}")

    def run_shell(self, text: str, directory: Path) -> tuple[int, list[str]]:
        done = subprocess.run(["bash", "-c", text], cwd=directory, env=self.env, timeout=COMMAND_DEADLINE_S,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                              preexec_fn=die_with_parent)
        return done.returncode, re.split(r"[\r\n]+", done.stdout)

    def check(self, command, printed: list[str]) -> None:
        lacking = missing(command.output, printed)
        self.assertEqual([], lacking, f"$ {command.text}\nprinted:\n" + "\n".join(printed))

    def check_exactly(self, command, printed: list[str]) -> None:
        """No line more and no line less."""
        want = [comparable(line) for line in command.output if line.strip()]
        got = [comparable(line) for line in printed if line.strip()]
        self.assertEqual(want, got, f"$ {command.text}\nprinted:\n" + "\n".join(printed))

    def test_1_demo(self):
        for command in self.block("script/demo").commands:
            if command.text == LEFT_OUT:
                continue
            status, printed = self.run_shell(command.text, ROOT)
            self.assertEqual(0, status, "\n".join(printed[-30:]))
            self.check(command, printed)
            results = [line for line in printed if line.startswith("results ")]
            self.assertEqual(["results 600 of 600 equal to a local checksum"],
                             [re.sub(r"\s+", " ", line) for line in results])

    def test_2_dev(self):
        export, dev = self.block("export PATH", "meridian dev").commands
        self.assertTrue(export.text.startswith("export PATH=$PWD/build/release"), export.text)
        type(self).env = {**self.env, "PATH": f"{self.directory}/build/release:{self.env['PATH']}"}
        self.assertEqual("meridian dev", dev.text)
        log = self.directory.parent / "dev.log"
        with open(log, "wb") as output:
            type(self).dev = subprocess.Popen(["bash", "-c", f"exec {dev.text}"], cwd=self.directory,
                                              env=self.env, stdout=output, stderr=output,
                                              preexec_fn=die_with_parent)
        wait_until(lambda: log.read_text().count("\n") >= len(dev.output) or self.dev.poll() is not None,
                   "meridian dev has said what it started", 30)
        self.check_exactly(dev, without_waiting(log.read_text()))
        self.assertIsNone(self.dev.poll(), "meridian dev ended")

    def test_3_commands(self):
        for command in self.block("meridian submit --wait").commands:
            with self.subTest(command.text):
                _, printed = self.run_shell(command.text, self.directory)
                self.check_exactly(command, printed)

    def test_4_from_any_language(self):
        program = next(block.program for block in self.blocks if "import zmq" in block.program
                       or "uuid, zmq" in block.program)
        done = subprocess.run([sys.executable, "-c", program], cwd=self.directory, env=self.env, text=True,
                              capture_output=True, timeout=60)
        self.assertEqual(0, done.returncode, done.stderr)
        accepted, ended = done.stdout.splitlines()
        self.assertIn("'status': 'accepted'", accepted)
        self.assertIn("'state': 'completed'", ended)
        self.assertIn("b'hi\\n'", ended)

    def test_5_ctrl_c_stops_everything_and_the_tasks_stay(self):
        if self.dev is None:
            self.skipTest("meridian dev did not start")
        self.dev.send_signal(signal.SIGINT)
        self.assertEqual(0, self.dev.wait(30))
        listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
        self.assertNotIn(f"{self.directory}/.meridian-dev", listed, "a node is left")
        self.assertTrue((self.directory / ".meridian-dev").is_dir())

    def test_6_a_bad_network(self):
        [dev] = self.block("meridian dev --regions").commands
        type(self).directory = self.directory.parent / "new"
        self.directory.mkdir()
        log = self.directory.parent / "new.log"
        with open(log, "wb") as output:
            type(self).dev = subprocess.Popen(["bash", "-c", f"exec {dev.text}"], cwd=self.directory,
                                              env=self.env, stdout=output, stderr=output,
                                              preexec_fn=die_with_parent)
        wait_until(lambda: log.read_text().count("\n") >= len(dev.output) or self.dev.poll() is not None,
                   "the sandbox has said what it started", 30)
        self.check_exactly(dev, without_waiting(log.read_text()))
        wait_until(lambda: re.search(r"^ap .* ms$", self.run_shell("meridian region list", self.directory)[1][1]),
                   "the round trips are measured: near is known from far", 20)
        for command in self.block("meridian dev partition").commands:
            with self.subTest(command.text):
                _, printed = self.run_shell(command.text, self.directory)
                command.output = [any_worker(line) for line in command.output]
                self.check_exactly(command, [any_worker(line) for line in printed])
        self.dev.send_signal(signal.SIGINT)
        self.assertEqual(0, self.dev.wait(40))

    def test_7_what_to_read_is_there(self):
        for path in re.findall(r"\b(?:docs|proto|conf|script)/[\w.-]+", README.read_text()):
            self.assertTrue((ROOT / path.rstrip(".")).exists(), f"README.md names {path}")


def main() -> None:
    prefix = isolated()
    if not prefix:
        print("no network namespace possible here: the README's commands are not run", file=sys.stderr)
        unittest.main(verbosity=2)
    environment = {**os.environ, INSIDE: "1", "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
    os.execvpe(prefix[0], [*prefix, sys.executable, *sys.argv], environment)


if __name__ == "__main__":
    if os.environ.get(INSIDE) == "1":
        unittest.main(verbosity=2)
    main()
