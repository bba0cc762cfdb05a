# SPDX-License-Identifier: Apache-2.0
"""Every SDK on every endpoint that it speaks, straight to the mock: one test a cell."""
import pytest

from matrix.cells import Cell
from matrix_mock.cases import COMPARED
from matrix_mock.stack import Stack, cells

ALL = cells()
PAIRS = [(whole, streamed) for whole in ALL for streamed in ALL if not whole.streamed and streamed.streamed
         and (whole.row, whole.case) == (streamed.row, streamed.case) and isinstance(whole.case, COMPARED)]
SAME = ("text", "thinking", "finish", "object", "logprobs", "stop_sequence")


@pytest.fixture(scope="module")
def stack(module_world, request):
    """All that runs, with the cells of the tests that have been selected."""
    chosen = {}
    for item in request.session.items:
        if item.module is request.module and hasattr(item, "callspec"):
            chosen |= {cell.id: cell for cell in item.callspec.params.values() if isinstance(cell, Cell)}
    s = Stack(module_world, list(chosen.values()))
    yield s
    s.stop()


def marks(cell):
    is_representative = cell.row.is_python and cell.streamed and cell.case.name in ("text", "loop")
    return [pytest.mark.smoke] if is_representative else []


@pytest.mark.parametrize("cell", [pytest.param(cell, id=cell.id, marks=marks(cell)) for cell in ALL])
def test_mock(stack, cell):
    cell.case.check(cell, stack.run(cell), stack)


def said(got):
    """Without ids, which are each request's own."""
    return {name: got.get(name) for name in SAME} | {"calls": [(c["name"], c["args"]) for c in got.get("calls", ())],
                                                     "choices": [text or "" for text in got.get("choices") or ()]}


@pytest.mark.parametrize("whole, streamed", [pytest.param(*pair, id=pair[0].id.removesuffix("-whole")) for pair in PAIRS])
def test_streamed_is_whole(stack, whole, streamed):
    assert said(stack.run(streamed)) == said(stack.run(whole))
