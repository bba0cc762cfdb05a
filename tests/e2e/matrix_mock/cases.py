# SPDX-License-Identifier: Apache-2.0
"""The cases of SDKs that talk to the mock itself: the gateway's matrix' own where those fit, with the drivers of
that matrix, and what only a provider has: every status, caps that are honoured to the token, usage that counts.
"""
from matrix import cases as shared
from matrix.cases import CHAT, COMPLETIONS, MESSAGES, RESPONSES, TIDE, WEATHER, Case, assert_no_error

EVERYWHERE = (CHAT, COMPLETIONS, RESPONSES, MESSAGES)


class Prose(Case):
    """What it makes up: the same in pieces and as a whole (test_streamed_is_whole), and not empty."""
    name, title, about = "prose", "prose", "An answer that the mock makes up"
    surfaces = EVERYWHERE

    def ask(self, cell):
        return {"prompt": "Tell me about lighthouses", "max_tokens": 900}

    def check(self, cell, got, stack):
        assert_no_error(got)
        assert len(got["text"].split()) > 10 and got["text"] == got["streamed_text"]
        assert got["finish"] == "end"


class Length(Case):
    name, title, about = "length", "length", "`max_tokens`, to the token"
    surfaces = EVERYWHERE

    def ask(self, cell):
        return {"prompt": "Tell me a long story", "max_tokens": 17}

    def check(self, cell, got, stack):
        assert_no_error(got)
        assert got["finish"] == "length"
        if cell.row.wraps_prompts or (cell.row.sdk == "langchain" and cell.streamed):
            return  # which have no counts here, or add up totals
        assert got["usage"]["output"] == 17


class Usage(Case):
    name, title, about = "usage", "usage", "Usage: in, out and their sum"
    surfaces = EVERYWHERE

    def speaks(self, row):
        return super().speaks(row) and row.sdk != "langchain"  # whose counts the gateway's matrix notes

    def ask(self, cell):
        return {"prompt": "count fig to 25"}

    def check(self, cell, got, stack):
        assert_no_error(got)
        usage = got["usage"]
        assert usage["input"] > 0 and usage["output"] > 0
        if not cell.row.wraps_prompts:
            assert usage["output"] >= 25
        if usage.get("total") is not None:
            assert usage["total"] == usage["input"] + usage["output"]


class ThinkingLoop(Case):
    """A tool loop with thinking: the mock looks at what comes back, and takes only what it gave."""
    name, title = "thinking-loop", "think+loop"
    about = "A tool loop with thinking, whose signature or encrypted content the mock checks when it comes back"
    op = "loop"

    def speaks(self, row):
        return super().speaks(row) and (row.family != "ai" or row.has_runner)

    def ask(self, cell):
        return {"prompt": "What is the weather in Lisbon?", "tools": [WEATHER], "results": shared.RESULTS,
                "effort": "high", "budget": 4096, "max_tokens": 6000, "runner": cell.row.family == "ai"}

    def check(self, cell, got, stack):
        assert_no_error(got)
        assert len(got["steps"]) == 2, "the loop ends"
        assert shared.RESULTS["get_weather"] in got["text"]


class Cancel(Case):
    name, title, about = "cancel", "cancel", "The application leaves"
    surfaces = EVERYWHERE
    ways = (True,)
    op = "cancel"

    def ask(self, cell):
        return {"model": "fault/stall", "prompt": "count kale to 50"}

    def check(self, cell, got, stack):
        assert got == {"left": True}, got


# --- errors -------------------------------------------------------------------------------------

COMMON = {400: "BadRequestError", 401: "AuthenticationError", 403: "PermissionDeniedError", 404: "NotFoundError",
          409: "ConflictError", 422: "UnprocessableEntityError", 429: "RateLimitError"}
OF_ANTHROPIC_PYTHON = {408: "RequestTimeoutError", 413: "ContentTooLargeError", 503: "ServiceUnavailableError", 504: "GatewayTimeoutError",
                       529: "OverloadedError"}
STATUSES = (400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 500, 502, 503, 504, 529)
TYPES = {
    "openai": {400: "invalid_request_error", 401: "invalid_request_error", 404: "invalid_request_error", 500: "server_error"},
    "anthropic": {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
                  413: "request_too_large", 429: "rate_limit_error", 500: "api_error", 503: "overloaded_error",
                  504: "timeout_error", 529: "overloaded_error"},
}


def class_of(row, status):
    """The SDK's own class for an error of this status."""
    if row.family == "ai":
        return {"AI_APICallError"}
    names = {COMMON.get(status)} if status in COMMON else {"InternalServerError"} if status >= 500 else {
        "APIStatusError" if row.is_python else "APIError"}
    if row.family == "anthropic" and status in OF_ANTHROPIC_PYTHON:
        names.add(OF_ANTHROPIC_PYTHON[status])
    return names


class Status(Case):
    surfaces = EVERYWHERE
    ways = (True, False)

    def __init__(self, status):
        self.status = status
        self.name, self.title, self.about = f"status-{status}", str(status), f"Status {status}"

    def ask(self, cell):
        return {"model": f"fault/{self.status}", "prompt": "hi"}

    def check(self, cell, got, stack):
        assert "broken" not in got, got["broken"]
        assert "error" in got, "no exception"
        error, is_messages = got["error"], cell.row.surface == MESSAGES
        assert error["status"] == self.status, error
        assert error["class"] in class_of(cell.row, self.status), error
        kind = TYPES["anthropic" if is_messages else "openai"].get(self.status)
        if kind:
            assert error["type"] == kind, error
        assert error["message"]
        assert cell.row.family == "ai" or error["request_id"], "what one tells a provider's support"
        if self.status == 429:
            assert error["retry_after"], "when to come back"


class MidStream(Case):
    surfaces = EVERYWHERE
    ways = (True,)

    def __init__(self, fault, about):
        self.fault, self.name, self.title, self.about = fault, f"mid-{fault}", fault, about

    def ask(self, cell):
        return {"model": f"fault/{self.fault}", "prompt": "count lime to 9"}

    def check(self, cell, got, stack):
        if self.fault == "cut" and "broken" in got:
            return  # not every SDK has an exception of its own for a connection that goes
        assert "broken" not in got, got["broken"]
        assert "error" in got, "half an answer was taken for a whole one"


class Text(shared.Text):
    def speaks(self, row):
        return super().speaks(row) and not row.wraps_prompts


CASES = [
    Text(), Prose(), shared.Tools(), shared.Parallel(), shared.Loop(), shared.StopTool(), shared.Thinking(),
    ThinkingLoop(), shared.Structured(), shared.Image(), Usage(), Length(), shared.StopSequence(), shared.Choices(),
    shared.Logprobs(), shared.CountTokens(), Cancel(), *[Status(s) for s in STATUSES],
    MidStream("error-event", "An error event behind three tokens"), MidStream("cut", "A connection that is reset"),
]
# What has to be the same in pieces and as a whole, beside what the checks look at.
COMPARED = (Text, Prose, shared.Tools, shared.Parallel, shared.Thinking, shared.Structured, Length, shared.Choices)
