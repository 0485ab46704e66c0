"""What README.md promises, as data: its blocks, their commands, and lines with what may differ taken out.

A block is a run of indented or fenced lines. `$ command` starts a command, the lines up to the next one are
what it prints. A block without `$` is a program in Python.
"""
from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass
class Command:
    text: str
    output: list[str] = field(default_factory=list)


@dataclass
class Block:
    heading: str
    lines: list[str]

    @property
    def commands(self) -> list[Command]:
        commands: list[Command] = []
        for line in self.lines:
            if line.startswith("$ "):
                commands.append(Command(line[2:]))
            elif commands:
                commands[-1].output.append(line)
        for command in commands:
            while command.output and not command.output[-1].strip():
                command.output.pop()
        return commands

    @property
    def program(self) -> str:
        return "" if self.commands else "\n".join(self.lines) + "\n"


def blocks(text: str) -> list[Block]:
    """The code blocks of a Markdown text, in order, each with the heading it stands under."""
    found: list[Block] = []
    heading, fenced, current = "", False, None
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
            current = Block(heading, []) if fenced else None
            if fenced:
                found.append(current)
        elif fenced:
            current.lines.append(line)
        elif line.startswith("    "):
            if current is None:
                current = Block(heading, [])
                found.append(current)
            current.lines.append(line[4:])
        elif line.strip():
            current = None
            if line.startswith("#"):
                heading = line.lstrip("# ")
        elif current is not None:
            current.lines.append("")
    for block in found:
        while block.lines and not block.lines[-1].strip():
            block.lines.pop()
    return [block for block in found if block.lines]


# Ids, times and counts aside; and which of several equal workers did it.
_ASIDE = (
    (r"\[[#= ]{10,}\]", "<bar>"),
    (r"\b\d+/\d+\b", "<n>/<n>"),
    (r"\b[0-9a-f]{8}\b", "<id>"),
    (r"\b\d+(\.\d+)? (ms|us|s|m|h)\b", "<time>"),
    (r"(?<= on )(eu|us|ap)/w\d", "<worker>"),
    (r"(?<![\w./:-])\d+(\.\d+)?(?![\w./:])", "<n>"),
    (r"\s+", " "),
)


def comparable(line: str) -> str:
    """The line without what may differ from run to run."""
    for pattern, instead in _ASIDE:
        line = re.sub(pattern, instead, line)
    return line.strip()


def missing(expected: list[str], printed: list[str]) -> list[str]:
    """Lines of `expected` that do not come, in this order, in `printed` (which may have more)."""
    rest = iter([comparable(line) for line in printed])
    return [line for line in expected if line.strip() and comparable(line) not in rest]
