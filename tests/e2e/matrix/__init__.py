# SPDX-License-Identifier: Apache-2.0
import pytest

pytest.register_assert_rewrite("matrix.cases", "proofs")  # so that a failure shows both sides
