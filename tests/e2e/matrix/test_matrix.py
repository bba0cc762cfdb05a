# SPDX-License-Identifier: Apache-2.0
"""Every SDK on every endpoint that it speaks, to every kind of upstream: one test a cell."""
import os

import pytest

from matrix import report
from matrix.cases import CASES
from matrix.cells import Cell, cells
from matrix.stack import Stack

ALL = cells(CASES)


@pytest.fixture(scope="module")
def stack(module_world, request):
    """All that runs, with the cells of the tests that have been selected."""
    params = [item.callspec.params for item in request.session.items
              if item.module is request.module and hasattr(item, "callspec")]
    chosen = [p["cell"] for p in params if isinstance(p.get("cell"), Cell)]
    s = Stack(module_world, chosen)
    yield s
    s.stop()


def assert_refused(cell, got, rule, stack):
    """It fails before anything is sent upstream, and says which field it is about."""
    assert not stack.scripted.requests(cell.id)
    error = got.get("error")
    assert error, "no exception"
    assert (error["class"], error["status"]) == ("BadRequestError", 400), error
    assert error["param"] == rule.field and rule.field in error["message"] and rule.word in error["message"], error


def marks(cell):
    is_representative = cell.row.is_python and cell.streamed and cell.case.name in ("text", "loop")
    return [pytest.mark.smoke] if is_representative else []


@pytest.mark.parametrize("cell", [pytest.param(cell, id=cell.id, marks=marks(cell)) for cell in ALL])
def test_cell(stack, cell):
    got = stack.run(cell)
    rule = cell.case.rule(cell.row, cell.upstream)
    if rule:
        assert_refused(cell, got, rule, stack)
    else:
        cell.case.check(cell, got, stack)


def test_document():
    """docs/compatibility.md says what is tested here; PENSTOCK_MATRIX_UPDATE=1 writes it."""
    made = report.document()
    if os.environ.get("PENSTOCK_MATRIX_UPDATE"):
        with open(report.DOCUMENT, "w", encoding="utf-8") as page:
            page.write(made)
    with open(report.DOCUMENT, encoding="utf-8") as page:
        assert page.read() == made, 'renew it: PENSTOCK_MATRIX_UPDATE=1 tests/run e2e --pytest "-k matrix"'
