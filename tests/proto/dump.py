#!/usr/bin/python3
"""Annotated dumps of the golden frames, for proto/PROTOCOL.md.

    dump.py NAME            print the dump of tests/proto/golden/NAME.hex
    dump.py --check         exit 1 unless PROTOCOL.md shows every golden frame, with this annotation
    dump.py --write         put the dumps into the blocks of PROTOCOL.md that start with ```hex NAME

A line is hex, '#', what it means. The hex of a block alone is the frame, byte for byte.
"""
import pathlib
import re
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
PROTOCOL = HERE.parent.parent / "proto" / "PROTOCOL.md"
BYTES_PER_LINE = 12

# Link bodies are arrays: the names of their fields. A list inside is an array of such entries.
ID_FENCE = ["id", "fence"]
FIELDS = {
    "HELLO": ["name", "instance", "boot", "version_min", "version_max", "role", "profiles", "epoch_seen"],
    "WELCOME": ["version", "epoch", "beat_ms", "grace_ms", "wall_ms"],
    "HEARTBEAT": ["clock_us", "echo_us", "echo_held_us", "commit_age_ms", "profiles", "flags", "children",
                  "late"],
    "INVENTORY": [ID_FENCE + ["status", "running_ms"]],
    "ASSIGN": [ID_FENCE + ["age_ms", "flags", "attempt", "attempts_max", "envelope"]],
    "TAKEN": [ID_FENCE + ["started", "running_ms"]],
    "REFUSED": [ID_FENCE + ["code"]],
    "STOP": [ID_FENCE + ["mode"]],
    "OUTCOME": [ID_FENCE + ["end", "flags", "outcome"]],
    "SETTLED": [ID_FENCE + ["status"]],
    "ASK": ["request", "question", "body"],
    "ANSWER": ["request", "body"],
}
PROFILE = ["types", "capabilities", "slots"]
LATE = ID_FENCE + ["end", "worker"]
MEANINGS = {
    ("HEARTBEAT", "end"): ["completed", "failed", "cancelled", "expired", "returned", "not_held"],
    ("INVENTORY", "status"): ["waiting", "running", "ended"],
    ("STOP", "mode"): ["cancel", "recall"],
    ("OUTCOME", "end"): ["completed", "failed", "cancelled", "expired", "returned", "not_held"],
    ("SETTLED", "status"): ["recorded", "stale", "unknown"],
}


def head(data, at):
    """(type, length of the head, number or size or count) of the value at `at`."""
    tag = data[at]
    if tag < 0x80:
        return "uint", 1, tag
    if tag < 0x90:
        return "map", 1, tag & 15
    if tag < 0xA0:
        return "array", 1, tag & 15
    if tag < 0xC0:
        return "str", 1, tag & 31
    if tag >= 0xE0:
        return "int", 1, tag - 256
    kind, form = {
        0xC0: ("nil", ""), 0xC2: ("false", ""), 0xC3: ("true", ""),
        0xC4: ("bin", "B"), 0xC5: ("bin", ">H"), 0xC6: ("bin", ">I"),
        0xCC: ("uint", "B"), 0xCD: ("uint", ">H"), 0xCE: ("uint", ">I"), 0xCF: ("uint", ">Q"),
        0xD0: ("int", "b"), 0xD1: ("int", ">h"), 0xD2: ("int", ">i"), 0xD3: ("int", ">q"),
        0xD9: ("str", "B"), 0xDA: ("str", ">H"), 0xDB: ("str", ">I"),
        0xDC: ("array", ">H"), 0xDD: ("array", ">I"), 0xDE: ("map", ">H"), 0xDF: ("map", ">I"),
    }[tag]
    size = struct.calcsize(form)
    return kind, 1 + size, struct.unpack_from(form, data, at + 1)[0] if form else None


class Dump:
    def __init__(self, data):
        self.data, self.at, self.lines, self.kind = data, 0, [], ""

    def line(self, size, depth, text):
        for start in range(0, size, BYTES_PER_LINE):
            run = self.data[self.at + start : self.at + min(size, start + BYTES_PER_LINE)].hex(" ")
            self.lines.append(f"{run:<36}# {'  ' * depth}{text}" if start == 0 else run)
        self.at += size

    def text_at(self, at):
        """(its size in bytes, what a reader should see) of the value at `at`."""
        kind, size, number = head(self.data, at)
        if kind in ("array", "map"):
            return size, f"{kind} of {number}"
        if kind in ("str", "bin"):
            content = bytes(self.data[at + size : at + size + number])
            printable = content.isascii() and content.replace(b"\n", b"").decode().isprintable()
            text = ascii(content.decode()).replace("'", '"') if printable else f"{number} bytes"
            return size + number, text if kind == "str" else "bin " + text
        return size, str(number) if number is not None else kind

    def value(self, depth, name="", fields=None, key_size=0):
        """One value, behind a key of `key_size` bytes that goes on the same line. `fields` names an array's
        elements; a list in a list names those of each element."""
        at = self.at + key_size
        kind, _, number = head(self.data, at)
        size, text = self.text_at(at)
        meanings = MEANINGS.get((self.kind, name))
        if meanings and kind == "uint":
            text += f" ({meanings[number]})"
        self.line(key_size + size, depth, f"{name} {text}" if name else text)
        if kind == "array":
            for i in range(number):
                self.element(depth + 1, i, fields)
        elif kind == "map":
            for _ in range(number):
                key_bytes, key = self.text_at(self.at)
                self.value(depth + 1, key + ":", None, key_bytes)

    def element(self, depth, i, fields):
        if not fields:
            self.value(depth)
        elif isinstance(fields[0], list):
            self.value(depth, "", fields[0])
        elif fields[i] == "profiles":
            self.value(depth, "profiles", [PROFILE])
        elif fields[i] == "late":
            self.value(depth, "late", [LATE])
        else:
            self.value(depth, fields[i])

    def frame(self):
        self.line(1, 0, "array of 4")
        self.value(1, "version")
        self.kind = self.text_at(self.at)[1].strip('"')
        self.value(1, "kind")
        self.value(1, "sequence")
        fields = FIELDS.get(self.kind)
        entries = fields and isinstance(fields[0], list)
        self.value(1, "body", [fields] if entries else fields)
        assert self.at == len(self.data), "bytes behind the frame"
        return self.lines


def golden(name):
    """(title, frame) of a golden file."""
    text = (HERE / "golden" / f"{name}.hex").read_text()
    title = text.splitlines()[0].lstrip("# ")
    return title, bytes.fromhex(re.sub(r"#.*", "", text))


def dump(name):
    title, frame = golden(name)
    return "\n".join([f"# {title}"] + Dump(frame).frame()) + "\n"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if not sys.argv[1].startswith("--"):
        print(dump(sys.argv[1]), end="")
        return
    text = PROTOCOL.read_text()
    names = sorted(path.stem for path in (HERE / "golden").glob("*.hex"))
    shown = re.findall(r"^```hex (\S+)$", text, re.M)
    wrong = [f"{name}: PROTOCOL.md has {shown.count(name)} dumps of it" for name in names if shown.count(name) != 1]
    wrong += [f"{name}: no such golden file" for name in shown if name not in names]
    fresh = re.sub(
        r"^```hex (\S+)\n.*?^```$", lambda found: f"```hex {found[1]}\n{dump(found[1])}```", text, flags=re.M | re.S
    ) if not wrong else text
    if sys.argv[1] == "--write" and not wrong:
        PROTOCOL.write_text(fresh)
    elif fresh != text:
        wrong.append("a dump in PROTOCOL.md differs from the golden bytes: run tests/proto/dump.py --write")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
