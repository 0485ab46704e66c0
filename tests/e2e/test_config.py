"""Configuration and start: each mistake is an error that names file, line and way out."""
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

from cluster import BIN, Cluster, free_port, loopback


def run(*arguments, deadline_s=10):
    return subprocess.run([BIN, *arguments], capture_output=True, timeout=deadline_s, text=True)


class Config(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="meridian-e2e-")
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.path = self.directory / "node.ini"

    def run_node(self, role, text):
        self.path.write_text(text)
        done = run(role, "run", "-c", str(self.path))
        self.assertNotEqual(0, done.returncode, "it ran")
        return done.stderr

    def assert_names(self, said, line, *words):
        self.assertIn(f"{self.path}:{line}", said)
        for word in words:
            self.assertIn(word, said)

    def broker(self, extra):
        return (f"[node]\ndata = {self.directory}/data\n[broker]\nclients = {loopback(free_port())}\n"
                f"regions = {loopback(free_port())}\n{extra}\n")

    def test_unknown_key(self):
        self.assert_names(self.run_node("broker", self.broker("beet = 1s")), 6, "beet")

    def test_unknown_section(self):
        self.assert_names(self.run_node("broker", self.broker("[brooker]\nbeat = 1s")), 6, "brooker")

    def test_wrong_type(self):
        self.assert_names(self.run_node("broker", self.broker("beat = soon")), 6, "beat", "soon")

    def test_out_of_range(self):
        said = self.run_node("broker", self.broker("[store]\nwatermark = 180"))
        self.assert_names(said, 7, "watermark", "180")

    def test_wrong_choice(self):
        text = (f"[node]\ndata = {self.directory}/data\n[worker]\nname = w1\n"
                f"parent = {loopback(free_port())}\ncommands = perhaps\n")
        self.assert_names(self.run_node("worker", text), 6, "commands", "perhaps", "allow")

    def test_config_check(self):
        self.path.write_text(self.broker("beat = 1s"))
        good = run("config", "check", str(self.path))
        self.assertEqual(0, good.returncode, good.stderr)
        self.path.write_text(self.broker("beat = 1 fortnight"))
        bad = run("config", "check", str(self.path))
        self.assertNotEqual(0, bad.returncode)
        self.assert_names(bad.stderr, 6, "beat")

    def test_file_that_is_not_there(self):
        done = run("broker", "run", "-c", "/no/such.ini")
        self.assertNotEqual(0, done.returncode)
        self.assertIn("/no/such.ini", done.stderr)

    def test_port_in_use(self):
        port = free_port()
        with socket.create_server(("127.0.0.1", port)):
            said = self.run_node("broker", f"[node]\ndata = {self.directory}/data\n[broker]\n"
                                 f"clients = {loopback(port)}\nregions = {loopback(free_port())}\n")
        self.assertIn(str(port), said)
        self.assertIn("in use", said)

    def test_listening_beyond_loopback_needs_insecure(self):
        said = self.run_node("broker", f"[node]\ndata = {self.directory}/data\n[broker]\n"
                             f"clients = tcp://0.0.0.0:{free_port()}\nregions = {loopback(free_port())}\n")
        self.assertIn("--insecure", said)

    def test_two_workers_with_one_store(self):
        cluster = Cluster.of_test(self)
        cluster.small("eu/w1")
        said = self.run_node("worker", f"[node]\ndata = {cluster.directory}/eu-w1\n[worker]\nname = w2\n"
                             f"parent = {loopback(cluster.ports['eu'])}\n")
        self.assertIn(f"{cluster.directory}/eu-w1", said)
        self.assertRegex(said, "another process|in use")
        client = cluster.client()
        self.assertEqual("completed", client.result(client.submit(["true"])).state)

    def test_nobody_answers(self):
        done = run("submit", "--server", "tcp://127.0.0.1:9", "--", "true")
        self.assertEqual(5, done.returncode)
        self.assertEqual("meridian: no answer from tcp://127.0.0.1:9 in 3 s. Start one here: meridian dev\n",
                         done.stderr)

    def test_usage_errors(self):
        for arguments in (["submitt"], ["submit"], ["task", "shw"], ["worker", "drain"],
                          ["submit", "--priority", "urgent", "--", "true"],
                          ["submit", "--delay", "soon", "--", "true"]):
            with self.subTest(arguments):
                done = run(*arguments)
                self.assertEqual(2, done.returncode, done.stderr)
                self.assertTrue(done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
