# SPDX-License-Identifier: Apache-2.0
"""Remembers how each cell went, and prints the matrix behind the run."""
import pytest

from matrix import report

OUTCOMES = pytest.StashKey()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    result = yield
    cell = getattr(item, "callspec", None) and item.callspec.params.get("cell")
    if cell and (call.when == "call" or call.excinfo):
        outcomes = item.config.stash.setdefault(OUTCOMES, {})
        outcomes[cell] = outcomes.get(cell, True) and result.get_result().passed


def pytest_terminal_summary(terminalreporter, config):
    outcomes = config.stash.get(OUTCOMES, None)
    if outcomes:
        terminalreporter.section("SDK matrix")
        for line in report.printed(outcomes):
            terminalreporter.write_line(line)
