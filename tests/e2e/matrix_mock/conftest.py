# SPDX-License-Identifier: Apache-2.0
"""Remembers how each cell went, and prints the matrix behind the run."""
import pytest

from matrix.cells import ROWS
from matrix_mock.cases import CASES

OUTCOMES = pytest.StashKey()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    result = yield
    cell = getattr(item, "callspec", None) and item.callspec.params.get("cell")
    if cell and cell.case in CASES and (call.when == "call" or call.excinfo):
        outcomes = item.config.stash.setdefault(OUTCOMES, {})
        outcomes.setdefault((cell.row, cell.case.name), []).append(result.get_result().passed)


def mark(outcomes, row, case):
    if not case.speaks(row):
        return " "
    passed = outcomes.get((row, case.name))
    return "." if passed is None else "+" if all(passed) else "F"


def pytest_terminal_summary(terminalreporter, config):
    outcomes = config.stash.get(OUTCOMES, None)
    if not outcomes:
        return
    terminalreporter.section("SDK matrix of the mock")
    width = max(len(row.name) for row in ROWS) + 1
    terminalreporter.write_line(" " * width + " ".join(f"{n:2}" for n in range(1, len(CASES) + 1)))
    for row in ROWS:
        marks = " ".join(f" {mark(outcomes, row, case)}" for case in CASES)
        terminalreporter.write_line(f"{row.name:{width}}{marks}".rstrip())
    terminalreporter.write_line("; ".join(f"{n} {case.title}" for n, case in enumerate(CASES, 1)))
