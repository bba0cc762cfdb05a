# SPDX-License-Identifier: Apache-2.0
"""The matrix: which SDKs on which endpoint, which upstreams, which cases; a cell is one of each."""
import dataclasses
import re

UPSTREAMS = ("chat", "responses", "messages")


@dataclasses.dataclass(frozen=True)
class Row:
    """An SDK on one endpoint."""
    name: str
    surface: str            # the endpoint's dialect
    sdk: str                # who runs it: openai-python, anthropic-python, or a driver in node/matrix
    driver: str             # its part of that
    family: str             # whose exceptions it raises: openai, anthropic, ai
    words: str = "openai"   # how it counts: openai's way (cached ones included) or anthropic's
    shows_thinking: bool = True
    has_runner: bool = False        # a tool loop of its own
    wraps_prompts: bool = False     # its completions prompt is more than what it was given

    @property
    def is_python(self):
        return self.sdk.endswith("-python")

    @property
    def id(self):
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


def _official(title, sdk):
    return [Row(f"{title}, chat", "chat", sdk, "chat", "openai", has_runner=sdk == "openai"),
            Row(f"{title}, completions", "completions", sdk, "completions", "openai"),
            Row(f"{title}, responses", "responses", sdk, "responses", "openai")]


ROWS = [
    *_official("openai (Python)", "openai-python"),
    *_official("openai (Node)", "openai"),
    Row("anthropic (Python)", "messages", "anthropic-python", "messages", "anthropic", "anthropic"),
    Row("@anthropic-ai/sdk (Node)", "messages", "anthropic", "messages", "anthropic", "anthropic", has_runner=True),
    Row("ai, @ai-sdk/openai, chat", "chat", "ai", "openai chat", "ai", shows_thinking=False, has_runner=True),
    Row("ai, @ai-sdk/openai, completions", "completions", "ai", "openai completions", "ai", wraps_prompts=True),
    Row("ai, @ai-sdk/openai, responses", "responses", "ai", "openai responses", "ai", has_runner=True),
    Row("ai, @ai-sdk/openai-compatible, chat", "chat", "ai", "compatible chat", "ai", has_runner=True),
    Row("ai, @ai-sdk/openai-compatible, completions", "completions", "ai", "compatible completions", "ai",
        wraps_prompts=True),
    Row("ai, @ai-sdk/anthropic", "messages", "ai", "anthropic messages", "ai", has_runner=True),
    Row("@langchain/openai, chat", "chat", "langchain", "openai chat", "openai"),
    Row("@langchain/openai, completions", "completions", "langchain", "openai completions", "openai"),
    Row("@langchain/openai, responses", "responses", "langchain", "openai responses", "openai"),
    Row("@langchain/anthropic", "messages", "langchain", "anthropic messages", "anthropic"),
]


@dataclasses.dataclass(frozen=True)
class Cell:
    row: Row
    upstream: str
    case: object
    streamed: bool

    @property
    def is_translated(self):
        return self.row.surface != self.upstream

    @property
    def id(self):
        return f"{self.row.id}-to-{self.upstream}-{self.case.name}-{'streamed' if self.streamed else 'whole'}"


def cells(cases):
    return [Cell(row, upstream, case, streamed) for row in ROWS for upstream in UPSTREAMS for case in cases
            if case.speaks(row) for streamed in case.ways]
