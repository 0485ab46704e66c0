"""What script/demo.py and script/bench.py share: where the program is, free ports, children that do not outlive us."""
import ctypes
import os
import signal
import socket

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
MERIDIAN = os.path.join(ROOT, "build/release/meridian")


class Failure(Exception):
    """It did not go as it should; the text says what and where to look."""


def clean_environment(**more):
    """Ours without what somebody set for another cluster."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MERIDIAN_")}
    return {**kept, **more}


def die_with_parent():
    """For a child, before it runs its program: it gets TERM when we end, however we end."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_ports(offsets, first=17700, last=27700, step=100):
    """The first base for which base + every offset is free on loopback."""
    for base in range(first, last, step):
        if all(_is_free(base + offset) for offset in offsets):
            return base
    raise Failure(f"no free block of ports between {first} and {last}")
