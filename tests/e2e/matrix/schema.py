# SPDX-License-Identifier: Apache-2.0
"""The form of structured output that every SDK is asked for; node/matrix/run.mjs has the same."""
from pydantic import BaseModel


class Invoice(BaseModel):
    title: str
    amount: int
    is_paid: bool
    lines: list[str]
