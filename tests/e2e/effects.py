"""Side effects that can be counted: every start of a task appends "id fence" to one file."""
from __future__ import annotations

import unittest
from collections import defaultdict
from pathlib import Path
from typing import Any, Mapping

from cluster import meridian


# One write of less than PIPE_BUF to a file opened for appending is not torn.
START = 'echo "$MERIDIAN_TASK $MERIDIAN_FENCE" >> "$0"; '


class Effects:
    def __init__(self, directory: Path):
        self.path = directory / "effects"
        self.path.touch()

    def task(self, then: str = "", **fields: Any) -> dict[str, Any]:
        """A task that says that it started, then runs `then` in the same shell."""
        return {"id": meridian.new_id(), "argv": ["sh", "-c", START + then, str(self.path)], **fields}

    def count(self) -> int:
        return self.path.read_bytes().count(b"\n")

    def starts(self) -> dict[str, list[str]]:
        """Task id in hex -> the fences it started with, in order."""
        starts: dict[str, list[str]] = defaultdict(list)
        for line in self.path.read_text().splitlines():
            id, fence = line.split()
            starts[id].append(fence)
        return starts

    def check(self, test: unittest.TestCase, results: Mapping[bytes, meridian.Result]) -> int:
        """Each task of `results` completed and ran, and none ran twice unmarked. Counts the doubles."""
        starts, doubles = self.starts(), 0
        for id, result in results.items():
            fences = starts.get(id.hex(), [])
            test.assertEqual("completed", result.state, f"{id.hex()}: {result}")
            test.assertGreaterEqual(len(fences), 1, f"{id.hex()} is completed but never ran")
            test.assertEqual(len(fences), len(set(fences)), f"{id.hex()} ran twice with one fence: {fences}")
            if len(fences) > 1:
                doubles += 1
                test.assertTrue(result.dup_possible, f"{id.hex()} ran more than once, unmarked: {fences}")
        test.assertLessEqual(set(starts), {id.hex() for id in results}, "ran, but was never submitted")
        return doubles
