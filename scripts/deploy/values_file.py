"""values.yaml as documentation: every key with the comment above it and its default."""

import json
import re
from dataclasses import dataclass

import yaml

import chart

FILE = chart.CHART / "values.yaml"
README = chart.CHART / "README.md"
BEGIN, END = "<!-- values: written by scripts/deploy/check-helm-5-values --write -->", "<!-- /values -->"
KEY = re.compile(r"^( *)([A-Za-z_][A-Za-z0-9_]*):(?: |$)")


@dataclass
class Entry:
    """A key of values.yaml."""

    path: tuple
    comment: str


def entries(text=None):
    """Every key in order. A comment belongs to the key right below it; lines indented further are examples and left out."""
    found, comment, parents = [], [], []
    for line in (FILE.read_text() if text is None else text).splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            if not stripped.startswith("#  "):
                comment.append(stripped.removeprefix("#").strip())
            continue
        if match := KEY.match(line):
            depth = len(match[1]) // 2
            parents = parents[:depth] + [match[2]]
            found.append(Entry(tuple(parents), " ".join(comment)))
        comment = []
    return found


def default(path):
    """The default at a path."""
    at = yaml.safe_load(FILE.read_text())
    for key in path:
        at = at[key]
    return at


def leaves(found):
    """Entries that make a row: whatever is explained, and what is no map."""
    rows, free = [], []
    for entry in found:
        if any(entry.path[: len(path)] == path for path in free):
            # within a free map only what explains itself
            if not entry.comment:
                continue
        value = default(entry.path)
        if isinstance(value, dict) and value and not entry.comment:
            continue
        if "a free map" in entry.comment:
            free.append(entry.path)
        rows.append(entry)
    return rows


def table():
    """The rows in Markdown."""
    found = entries()
    lines = ["| Value | Default | Meaning |", "|---|---|---|"]
    for entry in leaves(found):
        value = default(entry.path)
        shown = json.dumps(value, ensure_ascii=False)
        if isinstance(value, dict) and any(other.path[:-1] == entry.path and other.comment for other in found):
            shown = "see below"
        else:
            shown = f"`{shown}`"
        cells = [f"`{'.'.join(entry.path)}`", shown, entry.comment]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)
