# SPDX-License-Identifier: Apache-2.0
"""The matrix as it is printed behind a run, and as docs/compatibility.md shows it."""
import json
import os
import re

from matrix.cases import CASES
from matrix.cells import ROWS, UPSTREAMS, cells

E2E = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DOCUMENT = os.path.join(os.path.dirname(os.path.dirname(E2E)), "docs", "compatibility.md")
MARKS = {"passed": "+", "refused": "r", "failed": "F", "none": " ", "not run": "."}


def known_cells():
    """{(row, upstream, case): is there such a cell}"""
    return {(cell.row, cell.upstream, cell.case) for cell in cells(CASES)}


# --- printed ------------------------------------------------------------------------------------

def printed(outcomes):
    """Lines. outcomes: {cell: whether it passed}."""
    known = known_cells()
    width = max(len(row.name) for row in ROWS) + 13
    yield f"{'':{width}}" + " ".join(f"{n:2}" for n in range(1, len(CASES) + 1))
    for row in ROWS:
        for upstream in UPSTREAMS:
            marks = [MARKS[verdict(outcomes, known, row, upstream, case)] for case in CASES]
            yield f"{f'{row.name} -> {upstream}':{width}}" + " ".join(f" {mark}" for mark in marks).rstrip()
    titles = [f"{n} {case.title}" for n, case in enumerate(CASES, 1)]
    yield "+ passed, streamed and not   r refused, by rule   F failed   . not run"
    yield "; ".join(titles)


def verdict(outcomes, known, row, upstream, case):
    if (row, upstream, case) not in known:
        return "none"
    here = [passed for cell, passed in outcomes.items()
            if (cell.row, cell.upstream, cell.case) == (row, upstream, case)]
    if not all(here):
        return "failed"
    if len(here) < len(case.ways):
        return "not run"
    return "refused" if case.rule(row, upstream) else "passed"


# --- the document -------------------------------------------------------------------------------

INTRODUCTION = """# Compatibility

<!-- Made from the table in tests/e2e/matrix by a test: PENSTOCK_MATRIX_UPDATE=1 tests/run e2e --pytest "-k matrix" -->

Which SDKs work, unchanged but for their base URL, with which upstreams. Every mark below is two tests that
run on each change: the SDK's own code through the gateway to an upstream of that dialect, once streamed,
by the SDK's own helper where it has one, and once not.

Each field has three marks, for upstreams that speak `chat`, `responses` and `messages`, in this order:

| mark | |
|---|---|
| ✓ | works |
| ✗ | cannot be carried, by the rule in the note; tested to be refused with status 400 and the field's name before anything is sent upstream |
| – | the API or the SDK has no such thing |

What is mapped, left out and refused is described in [translation.md](translation.md).
"""

SECTIONS = {
    "chat": "Clients of Chat Completions",
    "completions": "Clients of Completions",
    "responses": "Clients of Responses",
    "messages": "Clients of Messages",
}


class Notes:
    """Numbered in the order in which they are met."""

    def __init__(self):
        self.texts = []

    def sign(self, text):
        if text not in self.texts:
            self.texts.append(text)
        return f"<sup>{self.texts.index(text) + 1}</sup>"


def field(known, notes, row, case):
    """Three marks."""
    marks = []
    for upstream in UPSTREAMS:
        rule, note = case.rule(row, upstream), case.note(row, upstream)
        if (row, upstream, case) not in known:
            marks.append("–")
        elif rule:
            marks.append("✗" + notes.sign(rule.why))
        else:
            marks.append("✓" + (notes.sign(note) if note else ""))
    return "–" if set(marks) == {"–"} else " ".join(marks)


def short_name(row):
    """Without the endpoint, which the section says."""
    return re.sub(r", (chat|completions|responses)$", "", row.name)


def section(known, notes, surface):
    rows = [row for row in ROWS if row.surface == surface]
    cases = [case for case in CASES if any((row, up, case) in known for row in rows for up in UPSTREAMS)]
    yield f"\n## {SECTIONS[surface]}\n"
    yield "| | " + " | ".join(short_name(row) for row in rows) + " |"
    yield "|---|" + "---|" * len(rows)
    for case in cases:
        yield f"| {case.about} | " + " | ".join(field(known, notes, row, case) for row in rows) + " |"


def versions():
    """The packages that the tests are pinned to."""
    with open(f"{E2E}/requirements.txt", encoding="utf-8") as f:
        python = dict(line.strip().split("==") for line in f if "==" in line)
    with open(f"{E2E}/node/package.json", encoding="utf-8") as f:
        node = json.load(f)["dependencies"]
    yield "\n## Versions\n"
    yield "| package | version |"
    yield "|---|---|"
    for name in ("openai", "anthropic"):
        yield f"| `{name}` (Python) | {python[name]} |"
    for name in sorted(set(node) - {"zod", "vitest"}):
        yield f"| `{name}` (Node) | {node[name]} |"


def document():
    known, notes = known_cells(), Notes()
    lines = [INTRODUCTION.rstrip("\n")]
    for surface in SECTIONS:
        lines += section(known, notes, surface)
    lines += ["\n## Notes\n"]
    lines += [f"{n}. {text}" for n, text in enumerate(notes.texts, 1)]
    lines += versions()
    return "\n".join(lines) + "\n"
