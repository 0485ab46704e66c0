"""Peers that send what they should not: refused by name, at no cost to the others."""
import random
import re
import struct
import time
import unittest

import msgpack
import zmq
from cluster import Cluster, loopback, meridian, wait_until

SEED = 20261121
FRAMES = 4000
MEBIBYTE = 1024 * 1024


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster.of_class(cls)
        cls.cluster.small("eu/w1", slots=2)
        cls.client = cls.cluster.client()
        cls.regions = loopback(cls.cluster.ports["broker"])
        cls.workers = loopback(cls.cluster.ports["eu"])

    def dealer(self, endpoint):
        dealer = zmq.Context.instance().socket(zmq.DEALER)
        self.addCleanup(dealer.close)
        for option, value in ((zmq.LINGER, 0), (zmq.RCVTIMEO, 5000), (zmq.SNDTIMEO, 5000)):
            dealer.setsockopt(option, value)
        dealer.connect(endpoint)
        return dealer

    def answer(self, endpoint, *frames):
        dealer = self.dealer(endpoint)
        dealer.send_multipart(list(frames))
        return msgpack.unpackb(dealer.recv_multipart()[-1])

    def error(self, endpoint, frame):
        version, kind, _, body = self.answer(endpoint, frame)
        self.assertEqual((1, "ERROR"), (version, kind), body)
        return body["code"], body["reason"]

    def assert_alive(self):
        for name, node in self.cluster.nodes.items():
            self.assertIsNone(node.process.poll(), f"{name} ended")
        id = self.client.submit(["echo", "fine"])
        self.assertEqual(b"fine\n", self.client.result(id).output)

    def refused(self, code, *naming, **body):
        """The one task of a SUBMIT is refused, alone or with its message, with `code` and a reason that has
        every word of `naming`."""
        try:
            [answer] = self.client.ask("SUBMIT", {"tasks": [body]})[1]["tasks"]
            refusal = meridian.Refused(answer.get("code"), answer.get("reason"))
            self.assertEqual("refused", answer["status"], answer)
        except meridian.Refused as whole:
            refusal = whole
        self.assertEqual(code, refusal.code)
        for word in naming:
            self.assertIn(word, refusal.reason)

    def test_random_frames(self):
        noise = random.Random(SEED)
        valid = [msgpack.packb([1, kind, 1, body]) for kind, body in (
            ("SUBMIT", {"tasks": [{"argv": ["true"], "id": bytes(16), "env": {"A": "b"}, "retries": 2}]}),
            ("WATCH", {"ids": [bytes(16)], "wait_ms": 0}), ("QUERY", {"what": "tasks", "limit": 5}),
            ("CANCEL", {"ids": [bytes(16)]}), ("RECEIVED", {"ids": [bytes(16)]}),
            ("DRAIN", {"node": "eu/zz", "deadline_ms": 1}),
            ("HELLO", ["x", bytes(16), 1, 1, 1, "worker", [[["t"], [], 2]], 0]), ("END", []), ("BYE", []),
            ("INVENTORY", [[[bytes(16), bytes(12), 1, 5]]]),
            ("OUTCOME", [[[bytes(16), bytes(12), 0, 2, {}]]]),
            ("TAKEN", [[[bytes(16), bytes(12), True, 1]]]), ("HEARTBEAT", [1, 0, 0, 0, None, 0]),
            ("SETTLED", [[[bytes(16), bytes(12), 0]]]), ("ANSWER", [1, {"rows": []}]))]

        def frame():
            kind = noise.randrange(5)
            if kind == 0:
                return noise.randbytes(noise.randrange(200))
            data = bytearray(noise.choice(valid))
            if kind == 1:
                return bytes(data[:noise.randrange(len(data))])
            if kind == 2:
                for _ in range(noise.randrange(1, 4)):
                    data[noise.randrange(len(data))] = noise.randrange(256)
            if kind == 3:
                return bytes(data) + noise.randbytes(noise.randrange(8))
            return bytes(data)

        for endpoint in (self.cluster.server, self.regions, self.workers):
            dealer = self.dealer(endpoint)
            for number in range(FRAMES):
                if number % 500 == 0:
                    dealer = self.dealer(endpoint)
                dealer.send_multipart([frame() for _ in range(noise.choice((1, 1, 1, 2, 5)))])
                while dealer.poll(0):
                    dealer.recv_multipart()
            wait_until(lambda: self.is_quiet(dealer), f"{endpoint} has dealt with it all")
        self.assert_alive()

    @staticmethod
    def is_quiet(dealer, for_s=0.2):
        """Takes all there is; then nothing but heartbeats comes for so long. (Some of the noise may be a
        good HELLO.)"""
        while dealer.poll(0):
            dealer.recv_multipart()
        until = time.monotonic() + for_s
        while (left := until - time.monotonic()) > 0:
            if dealer.poll(left * 1000) and msgpack.unpackb(dealer.recv_multipart()[-1])[1] != "HEARTBEAT":
                return False
        return True

    def test_frames_built_to_hurt(self):
        deep = b"\x94\x01\xa6SUBMIT\x00" + b"\x91" * 5000 + b"\xc0"
        hostile = {
            "empty": b"", "nil": b"\xc0", "deep": deep,
            "array of 4 billion": b"\xdd\xff\xff\xff\xff", "map of 4 billion": b"\xdf\xff\xff\xff\xff",
            "body of 4 GiB": b"\x94\x01\xa6SUBMIT\x00\xc6\xff\xff\xff\xff",
            "tasks of 4 billion": b"\x94\x01\xa6SUBMIT\x00\x81\xa5tasks\xdd\xff\xff\xff\xff",
            "a float": b"\x94\x01\xa6SUBMIT\x00\xcb" + struct.pack(">d", 1.5)}
        for name, frame in hostile.items():
            with self.subTest(name):
                code, reason = self.error(self.cluster.server, frame)
                self.assertEqual("malformed", code)
                self.assertTrue(reason)
        self.assert_alive()

    def test_unknown_kind_and_version(self):
        code, reason = self.error(self.cluster.server, msgpack.packb([1, "SUBMITT", 7, {}]))
        self.assertEqual("unknown_kind", code)
        self.assertIn("SUBMITT", reason)
        code, reason = self.error(self.cluster.server, msgpack.packb([9, "SUBMIT", 7, {"tasks": []}]))
        self.assertEqual("unknown_version", code)
        self.assertIn("1", reason, "it does not say what is spoken here")

    def test_the_sequence_is_echoed(self):
        for kind, body in (("QUERY", {"what": "cluster"}), ("NOPE", {}), ("WATCH", {"ids": 3})):
            self.assertEqual(4711, self.answer(self.cluster.server, msgpack.packb([1, kind, 4711, body]))[2])

    def test_wrong_port(self):
        hello = msgpack.packb([1, "HELLO", 1, ["w9", bytes(16), 1, 1, 1, "worker", [], 0]])
        code, reason = self.error(self.cluster.server, hello)
        self.assertEqual("wrong_port", code)
        self.assertTrue(reason)
        submit = msgpack.packb([1, "SUBMIT", 1, {"tasks": [{"argv": ["true"]}]}])
        for endpoint in (self.regions, self.workers):
            self.assertEqual("wrong_port", self.error(endpoint, submit)[0])

    def test_worker_at_the_brokers_port_and_region_at_a_regions(self):
        worker = [1, "HELLO", 1, ["w9", bytes(16), 1, 1, 1, "worker", [[["command"], [], 2]], 0]]
        region = [1, "HELLO", 1, ["zz", bytes(16), 1, 1, 1, "region", [[["command"], [], 2]], 0]]
        self.assertEqual("wrong_port", self.error(self.regions, msgpack.packb(worker))[0])
        self.assertEqual("wrong_port", self.error(self.workers, msgpack.packb(region))[0])

    def test_no_common_version(self):
        hello = [1, "HELLO", 1, ["w9", bytes(16), 1, 7, 9, "worker", [[["command"], [], 2]], 0]]
        self.assertEqual("unknown_version", self.error(self.workers, msgpack.packb(hello))[0])

    def test_second_worker_under_a_live_name(self):
        hello = [1, "HELLO", 1, ["w1", b"another instance", 1, 1, 1, "worker", [[["command"], [], 2]], 0]]
        code, reason = self.error(self.workers, msgpack.packb(hello))
        self.assertEqual("name_in_use", code)
        self.assertIn("name", reason)
        self.cluster.configure("eu/w1b", "worker", {
            "name": "w1", "parent": self.workers, "slots": 2, "commands": "allow"}, {})
        self.cluster.start("eu/w1b")
        self.addCleanup(self.cluster.kill, "eu/w1b")
        wait_until(lambda: re.search("name_in_use|refused", self.cluster.nodes["eu/w1b"].log_text()),
                   "the second one says what is wrong")
        self.assert_alive()

    def test_oversized_payload_is_refused_early(self):
        payload = bytes(MEBIBYTE + 1)
        with self.assertRaises(meridian.Refused) as caught:  # by the library
            self.client.submit(["true"], payload=payload)
        self.assertEqual("too_large", caught.exception.code)
        self.refused("too_large", "payload", argv=["true"], payload=payload)  # by the node
        path = self.cluster.directory / "payload"
        path.write_bytes(payload)
        started = time.monotonic()
        done = self.cluster.cli("submit", "--payload", str(path), "--", "true")  # by the program
        self.assertNotEqual(0, done.returncode)
        self.assertRegex(done.stderr, r"payload.*1048577.*1048576|payload.*1(\.0+)? ?MiB")
        self.assertLess(time.monotonic() - started, 2, "it was tried again")

    def test_frame_beyond_the_limit(self):
        dealer = self.dealer(self.cluster.server)
        dealer.send(bytes(3 * MEBIBYTE))  # cut by MAXMSGSIZE: the connection goes, the node stays
        self.assert_alive()

    def test_unknown_and_bad_fields_are_named(self):
        self.refused("invalid_field", "priority", argv=["true"], priority="urgent")
        self.refused("invalid_field", "retries", argv=["true"], retries=5000)
        self.refused("invalid_field", "delay_ms", argv=["true"], delay_ms=-1)
        self.refused("invalid_field", "argv", argv=[])
        self.refused("invalid_field", "argv", argv=["true"], type="both")
        self.refused("invalid_field", "cwd", argv=["true"], cwd="relative")
        colourful = [{"argv": ["true"]}, {"argv": ["true"], "colour": 1}]
        for kind, body, naming in (("SUBMIT", {"tasks": colourful}, "tasks[1].colour"),
                                   ("SUBMIT", {"tasks": [{"argv": ["true"]}], "extra": 1}, "extra"),
                                   ("WATCH", {"ids": [bytes(16)], "wait_ms": 30001}, "wait_ms"),
                                   ("QUERY", {"what": "everything"}, "what"),
                                   ("CANCEL", {"ids": ["text"]}, "ids")):
            with self.subTest(kind), self.assertRaises(meridian.Refused) as caught:
                self.client.ask(kind, body)
            self.assertIn(naming, caught.exception.reason)

    def test_structural_error_refuses_all_with_its_index(self):
        good = {"id": meridian.new_id(), "argv": ["true"]}
        with self.assertRaises(meridian.Refused) as caught:
            self.client.ask("SUBMIT", {"tasks": [good, 7]})
        self.assertIn("1", caught.exception.reason)
        _, unknown = self.client.watch([good["id"]])
        self.assertEqual([good["id"]], unknown, "a task of a refused SUBMIT counted")

    def test_same_id(self):
        id = meridian.new_id()
        body = {"id": id, "argv": ["echo", "first"]}
        submit = lambda task: self.client.ask("SUBMIT", {"tasks": [task]})[1]["tasks"][0]  # noqa: E731
        self.assertEqual("accepted", submit(body)["status"])
        self.assertEqual("duplicate", submit(body)["status"])
        again = submit({"id": id, "argv": ["echo", "second"]})
        self.assertEqual(("refused", "conflict"), (again["status"], again["code"]))
        self.assertEqual(b"first\n", self.client.result(id).output)
        after = submit(body)
        self.assertEqual(("duplicate", "completed"), (after["status"], after["state"]))
        with self.assertRaises(meridian.Refused) as caught:
            self.client.submit(["echo", "third"], id=id)
        self.assertEqual("conflict", caught.exception.code)


if __name__ == "__main__":
    unittest.main(verbosity=2)
