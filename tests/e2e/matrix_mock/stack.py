# SPDX-License-Identifier: Apache-2.0
"""What the matrix runs on: one mock, and one Node process for each SDK."""
import importlib
import json
import traceback

from harness import SECRETS, clean_environment
from matrix.cells import ROWS, Cell
from matrix.stack import PYTHON_DRIVERS, NodeSide
from matrix_mock.cases import CASES


class Direct:
    """Where the gateways of the other matrix would be."""

    def __init__(self, url):
        self.url = url


def cells():
    """Of each SDK on each endpoint with each case; the upstream is the endpoint itself."""
    return [Cell(row, row.surface, case, streamed) for row in ROWS for case in CASES if case.speaks(row)
            for streamed in case.ways]


class Stack:
    def __init__(self, world, chosen):
        self.key = SECRETS.new("client")
        self.mock = world.mock()
        self.gateways = {cell.upstream: Direct(self.mock.url) for cell in chosen}
        self.asks = {cell.id: {"id": cell.id, **cell.case.whole_ask(cell, self)} for cell in chosen}
        self.results, self.node = {}, {}
        env = clean_environment({"PENSTOCK_E2E_KEY": self.key, "PENSTOCK_E2E_CONTROL": self.mock.url,
                                 "HOME": world.folder, "AI_SDK_LOG_WARNINGS": "false"})
        for sdk in sorted({cell.row.sdk for cell in chosen if not cell.row.is_python}):
            asks = [self.asks[cell.id] for cell in chosen if cell.row.sdk == sdk]
            self.node[sdk] = NodeSide(sdk, asks, env)

    def run(self, cell):
        """What became of a cell; it is run once."""
        if cell.id not in self.results:
            self.results[cell.id] = self._run(cell)
        return self.results[cell.id]

    def _run(self, cell):
        if not cell.row.is_python:
            return self.node[cell.row.sdk].result(cell.id)
        try:
            got = importlib.import_module(PYTHON_DRIVERS[cell.row.sdk]).run({**self.asks[cell.id], "key": self.key})
        except Exception:  # like run.mjs: what is none of the SDK's own
            got = {"broken": traceback.format_exc()}
        SECRETS.check(cell.id, json.dumps(got))
        return got

    def stop(self):
        for side in self.node.values():
            side.stop()
