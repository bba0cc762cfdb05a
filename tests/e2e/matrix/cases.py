# SPDX-License-Identifier: Apache-2.0
"""The cases: what each asks, what must come of it, and what cannot be carried by which rule.

An ask says what an application wants in no SDK's words; the drivers put it into theirs. A check looks at
what the SDK gave back, the same for all SDKs, and at what reached the upstream where that matters.
"""
import dataclasses
import json

import proofs
from harness import numbered
from scripted import HANG, Answer, has_result

WEATHER = {"name": "get_weather", "description": "Weather of a city", "schema": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
    "additionalProperties": False}}
TIDE = {"name": "get_tide", "description": "Tide at a port", "schema": {
    "type": "object", "properties": {"port": {"type": "string"}}, "required": ["port"],
    "additionalProperties": False}}
RESULTS = {"get_weather": "21 degrees and windy", "get_tide": "low at 4"}
UNICODE = "Grüße, 世界 👩‍👩‍👧 \u2028 \"quoted\" \\ end"
PIXEL = ("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
SOUND = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="
COUNTED = {"input": 20, "cache_read": 75, "cache_write": 5, "output": 12, "reasoning": 5}

CHAT, COMPLETIONS, RESPONSES, MESSAGES = "chat", "completions", "responses", "messages"
MODERN = (CHAT, RESPONSES, MESSAGES)


# --- what the scripted upstream answers ---------------------------------------------------------

def think_and_call(thought):
    def answer(dialect, body, key):
        if has_result(dialect, body):
            return Answer(("text", "It is windy."))
        return Answer(thought, ("call", proofs.call_id(key), "get_weather", '{"city":"Lisbon"}'))
    return answer


SCENARIOS = {
    "say": lambda dialect, body, key: Answer(("text", UNICODE)),
    "usage": lambda dialect, body, key: Answer(("text", "counted"), usage=COUNTED),
    "think": think_and_call(proofs.THINKING),
    "hide": think_and_call(proofs.HIDDEN),
    "hang": lambda dialect, body, key: HANG,
}


# --- cases --------------------------------------------------------------------------------------

@dataclasses.dataclass(frozen=True)
class Rule:
    field: str      # that is refused
    why: str        # for the document
    word: str = ""  # that the message has to have besides, where the field holds many things


class Case:
    """One column. `title` is for the printed matrix, `about` for the document."""
    name = title = about = None
    surfaces = MODERN
    ways = (True, False)     # streamed, and not
    op = "turn"

    def speaks(self, row):
        return row.surface in self.surfaces

    def rule(self, row, upstream):
        """The Rule by which this cannot be carried; None when it can."""
        return None

    def note(self, row, upstream):
        """What is different and allowed to be, for the document."""
        return None

    def ask(self, cell):
        return {}

    def check(self, cell, got, stack):
        raise NotImplementedError

    def whole_ask(self, cell, stack):
        ask = {"op": self.op, "streamed": cell.streamed, "driver": cell.row.driver, "surface": cell.row.surface,
               "model": "mock-1", "max_tokens": 200, "mark": cell.id, "base": stack.gateways[cell.upstream].url}
        ask.update(self.ask(cell))
        if self.rule(cell.row, cell.upstream):
            ask["model"] = scripted_model("say", cell)  # which remembers whether it was asked
        return ask


def scripted_model(scenario, cell):
    return f"scripted/{scenario}/{cell.id}"


def assert_no_error(got):
    assert "error" not in got, got["error"]
    assert "broken" not in got, got["broken"]


def assert_said(got, text):
    assert_no_error(got)
    assert got["text"] == text
    assert got["streamed_text"] == text, "the pieces are not the whole"


def named(calls):
    return [(call["name"], call["args"]) for call in calls]


class Text(Case):
    name, title, about = "text", "text", "Text in many scripts, exactly, in pieces and as a whole"
    surfaces = (CHAT, COMPLETIONS, RESPONSES, MESSAGES)

    def ask(self, cell):
        if cell.row.wraps_prompts:
            return {"model": scripted_model("say", cell), "prompt": "say it"}
        return {"prompt": f"echo: {UNICODE}"}

    def check(self, cell, got, stack):
        assert_said(got, UNICODE)
        assert got["finish"] == "end"
        assert not got["calls"] and not got["thinking"]
        if cell.streamed:
            assert got["deltas"] > 1, "it came in one piece"


class Tools(Case):
    name, title, about = "tools", "tool", "A tool call with its arguments"

    def ask(self, cell):
        return {"prompt": "What is the weather in Lisbon?", "tools": [WEATHER, TIDE]}

    def check(self, cell, got, stack):
        assert_no_error(got)
        assert named(got["calls"]) == [("get_weather", {"city": "Lisbon"})]
        assert got["calls"][0]["id"]
        assert got["finish"] == "tool"
        assert not got["text"]


BOTH = "Tell me the weather in Oslo and the tide at Brest"


class Parallel(Case):
    name, title, about = "parallel", "parallel", "Two tool calls in one answer"

    def ask(self, cell):
        return {"prompt": BOTH, "tools": [WEATHER, TIDE]}

    def check(self, cell, got, stack):
        assert_no_error(got)
        assert [name for name, _ in named(got["calls"])] == ["get_weather", "get_tide"]
        assert got["calls"][0]["args"] == {"city": "Oslo"} and list(got["calls"][1]["args"]) == ["port"]
        assert got["calls"][0]["id"] != got["calls"][1]["id"]
        assert got["finish"] == "tool"


class Loop(Case):
    name, title, about = "loop", "loop", "A tool loop over several requests, parallel calls and their results included"
    op = "loop"

    def ask(self, cell):
        return {"prompt": BOTH, "tools": [WEATHER, TIDE], "results": RESULTS, "runner": cell.row.has_runner}

    def check(self, cell, got, stack):
        assert_no_error(got)
        assert len(got["steps"]) == 2, "the loop ends"
        assert [name for name, _ in named(got["steps"][0]["calls"])] == ["get_weather", "get_tide"]
        assert RESULTS["get_tide"] in got["text"], "the last result is answered with"


class Thinking(Case):
    name, title, about = "thinking", "thinking", "Thinking that is asked for and shown beside the answer"

    def ask(self, cell):
        return {"prompt": "think: count tide to 12", "effort": "high", "budget": 4096, "max_tokens": 6000}

    def note(self, row, upstream):
        if not row.shows_thinking:
            return "The SDK does not show it; the answer is whole."
        return None

    def check(self, cell, got, stack):
        assert_said(got, numbered("tide", 12))
        assert got["finish"] == "end"
        if cell.row.shows_thinking:
            assert len(got["thinking"]) > 20
        else:
            assert not got["thinking"], "the SDK has learnt to show it: shows_thinking is wrong"


class Proof(Case):
    """Over a tool loop."""
    op = "loop"

    def __init__(self, name, scenario, about, assert_came_back):
        self.name, self.title, self.scenario, self.about = name, name, scenario, about
        self.assert_came_back = assert_came_back

    def ask(self, cell):
        return {"model": scripted_model(self.scenario, cell), "prompt": "Is it windy?", "tools": [WEATHER],
                "results": RESULTS, "effort": "high", "budget": 4096, "max_tokens": 6000,
                "runner": cell.row.family == "ai"}  # which has no other way

    def note(self, row, upstream):
        if row.surface == upstream == CHAT:
            return "The same dialect: what the SDK sends back is what arrives."
        return None

    def check(self, cell, got, stack):
        assert_no_error(got)
        assert got["text"] == "It is windy."
        first, second = stack.scripted.requests(cell.id)
        assert not has_result(cell.upstream, first[1]) and has_result(cell.upstream, second[1])
        if not (cell.row.surface == cell.upstream == CHAT):
            self.assert_came_back(cell.upstream, second[1], cell.id)


class Structured(Case):
    name, title = "structured", "structured"
    about = "Structured output by the SDK's own helper, checked against its schema"

    def ask(self, cell):
        return {"prompt": "an invoice for 3 lamps", "is_object": True}

    def check(self, cell, got, stack):
        assert_no_error(got)
        invoice = got["object"]
        assert {name: type(value) for name, value in invoice.items()} == {
            "title": str, "amount": int, "is_paid": bool, "lines": list}
        assert json.loads(got["text"]) == invoice
        assert got["finish"] == "end", "no tool call, whatever stood in for it"


class Image(Case):
    name, title, about = "image", "image", "An image in the question"

    def ask(self, cell):
        return {"model": "fault/echo-headers", "prompt": "What is this?", "image": PIXEL, "max_tokens": 4000}

    def check(self, cell, got, stack):
        assert_no_error(got)
        body = json.loads(got["text"])["body"]
        if cell.upstream == RESPONSES:
            parts = body["input"][-1]["content"]
        else:
            parts = body["messages"][-1]["content"]
        [image] = [part for part in parts if "text" not in part["type"]]
        url = f"data:image/png;base64,{PIXEL}"
        if cell.upstream == CHAT:
            assert image["image_url"]["url"] == url
        elif cell.upstream == RESPONSES:
            assert image["image_url"] == url
        else:
            assert image["source"] == {"type": "base64", "media_type": "image/png", "data": PIXEL}
        [text] = [part["text"] for part in parts if "text" in part["type"]]
        assert text == "What is this?"


# --- errors -------------------------------------------------------------------------------------

OPENAI_CLASSES = {400: "BadRequestError", 401: "AuthenticationError", 404: "NotFoundError", 429: "RateLimitError"}


def class_of(row, status):
    """The SDK's own class for an error of this status."""
    if row.family == "ai":
        return "AI_APICallError"
    if row.family == "anthropic" and status == 529 and row.sdk != "langchain":  # which has an older one inside
        return "OverloadedError"
    return OPENAI_CLASSES.get(status, "InternalServerError")


class Error(Case):
    """fault: the mock's. expected: {family of words: (status, type, code)}; code None is not looked at."""
    surfaces = (CHAT, COMPLETIONS, RESPONSES, MESSAGES)

    def __init__(self, fault, title, about, openai, anthropic, model=None, same=None):
        self.name, self.title, self.about = f"error-{fault}", title, about
        self.model = model or f"fault/{fault}"
        self.expected = {"openai": openai, "anthropic": anthropic}
        self.same = same or {}  # {dialect: what its own clients see, where it is passed on}

    def ask(self, cell):
        return {"model": self.model, "prompt": "hi"}

    def check(self, cell, got, stack):
        assert "broken" not in got, got["broken"]
        assert "error" in got, "no exception"
        error, is_messages = got["error"], cell.row.surface == MESSAGES
        status, kind, code = self.expected["anthropic" if is_messages else "openai"]
        if not cell.is_translated:
            status, kind, code = self.same.get(cell.upstream, (status, kind, code))
        assert (error["class"], error["status"]) == (class_of(cell.row, status), status), error
        assert error["type"] == kind, error
        if code and not is_messages:
            assert error["code"] == code, error
        if status == 400 and MESSAGES not in (cell.row.surface, cell.upstream):
            assert error["param"] == "temperature", "the provider's word on what is wrong"
        assert error["message"]
        assert cell.row.family == "ai" or error["request_id"], "what one tells a provider's support"
        if status == 429:
            assert error["retry_after"] == "1", "the provider's word on when to come back"


class MidStream(Case):
    """An error behind three tokens."""
    surfaces = (CHAT, COMPLETIONS, RESPONSES, MESSAGES)

    def __init__(self, fault, title, about, whole_status):
        self.fault, self.name, self.title, self.about = fault, f"mid-{fault}", title, about
        self.whole_status = whole_status  # {openai: , anthropic: }: what an answer in one piece is

    def ask(self, cell):
        return {"model": f"fault/{self.fault}", "prompt": "count lime to 9"}

    def check(self, cell, got, stack):
        assert "broken" not in got, got["broken"]
        assert "error" in got, "no exception"
        error = got["error"]
        if not cell.streamed:
            status = self.whole_status["anthropic" if cell.row.surface == MESSAGES else "openai"]
            assert (error["class"], error["status"]) == (class_of(cell.row, status), status), error
            return
        if not cell.row.wraps_prompts:
            assert got["text"] == numbered("lime", 3), "what came before it is kept"
        assert error["class"] in MID_CLASSES[cell.row.family], error
        assert error["type"] == ("api_error" if cell.row.surface == MESSAGES else "server_error"), error


MID_CLASSES = {"openai": ("APIError",), "anthropic": ("APIError", "APIStatusError", "InternalServerError"),
               "ai": ("AI_StreamProviderError", "error part")}


# --- usage and ends -----------------------------------------------------------------------------

class Usage(Case):
    name, title, about = "usage", "usage", "Token counts: all, cached, written, in the client's own convention"
    surfaces = (CHAT, COMPLETIONS, RESPONSES, MESSAGES)

    def ask(self, cell):
        return {"model": scripted_model("usage", cell), "prompt": "hi"}

    def note(self, row, upstream):
        if row.sdk == "langchain" and row.surface == COMPLETIONS:
            return "Streamed, the SDK gives no counts."
        if row.surface == COMPLETIONS and row.family == "ai":
            return "The SDK does not show cached tokens on this endpoint."
        if row.sdk == "langchain" and row.surface == MESSAGES:
            return ("Streamed, the SDK takes input counts from the stream's first event, where they are an estimate "
                    "when the upstream tells them at its end, and adds up output counts that are totals.")
        return None

    @staticmethod
    def expected(cell):
        """What an application sees; None: nothing."""
        row, written = cell.row, 0 if cell.upstream == CHAT else 5  # chat has no such count
        if row.words == "anthropic":
            return {"input": 25 - written, "cached": 75, "written": written, "output": 12}
        seen = {"input": 100, "cached": 75, "output": 12, "total": 112}
        if row.surface == COMPLETIONS and row.sdk in ("ai", "langchain"):
            del seen["cached"]
            return None if row.sdk == "langchain" and cell.streamed else seen
        if row.sdk == "langchain" and row.surface == MESSAGES and cell.streamed:
            return {"output": 12} if cell.is_translated else {"input": 100, "cached": 75, "output": 13}
        return seen

    def check(self, cell, got, stack):
        assert_said(got, "counted")
        usage, expected = got.get("usage"), self.expected(cell)
        if expected is None:
            assert usage is None, "the SDK has learnt to count: the note is wrong"
            return
        assert {name: usage[name] for name in expected} == expected
        assert usage["input"] > 0
        if usage.get("reasoning") is not None:
            assert usage["reasoning"] == 5


class StopLength(Case):
    name, title, about = "stop-length", "length", "The answer reaches its cap"
    surfaces = (CHAT, COMPLETIONS, RESPONSES, MESSAGES)

    def ask(self, cell):
        return {"prompt": "count kiwi to 40", "max_tokens": 20}

    def check(self, cell, got, stack):
        assert_no_error(got)
        assert got["finish"] == "length"
        if not cell.row.wraps_prompts:
            assert_said(got, numbered("kiwi", 20))


class StopSequence(Case):
    name, title, about = "stop-sequence", "stop", "The answer reaches a stop sequence"
    surfaces = (CHAT, COMPLETIONS, MESSAGES)  # responses has no such parameter

    def speaks(self, row):
        return super().speaks(row) and not row.wraps_prompts

    def ask(self, cell):
        return {"prompt": "count kiwi to 40", "stop": ["kiwin7"]}

    def note(self, row, upstream):
        if row.surface == MESSAGES and upstream == CHAT and row.family != "ai":
            return "OpenAI's chat does not say which stop it was: a natural end."
        return None

    def check(self, cell, got, stack):
        assert_no_error(got)
        assert got["text"].rstrip() == numbered("kiwi", 6)
        if cell.row.surface != MESSAGES or cell.row.family == "ai":
            assert got["finish"] == "end"
        elif cell.upstream == CHAT and got["finish"] == "end":
            assert got["stop_sequence"] is None
        else:
            assert (got["finish"], got["stop_sequence"]) == ("stop", "kiwin7")


class StopTool(Case):
    name, title, about = "stop-tool", "forced", "A tool that is forced by its name"

    def ask(self, cell):
        return {"prompt": "Good morning", "tools": [WEATHER, TIDE], "choice": "get_tide"}

    def check(self, cell, got, stack):
        assert_no_error(got)
        assert [call["name"] for call in got["calls"]] == ["get_tide"]
        assert got["finish"] == "tool"


class Cancel(Case):
    name, title, about = "cancel", "cancel", "The application leaves: the upstream's connection is closed"
    surfaces = (CHAT, COMPLETIONS, RESPONSES, MESSAGES)
    op = "cancel"

    def ask(self, cell):
        return {"model": scripted_model("hang", cell), "prompt": "hi"}

    def check(self, cell, got, stack):
        assert got == {"left": True}, got
        assert stack.scripted.wait("closed", cell.id), "the upstream goes on for nobody"


# --- what not every upstream has ----------------------------------------------------------------

OFFICIAL_OPENAI = ("openai-python", "openai")


class Choices(Case):
    name, title, about = "choices", "n = 2", "Two choices"
    surfaces = (CHAT, COMPLETIONS)

    def speaks(self, row):
        return super().speaks(row) and row.sdk in OFFICIAL_OPENAI

    def rule(self, row, upstream):
        if upstream != CHAT:
            return Rule("n", "An answer of responses and messages is one answer: `n` above 1 is refused.")
        return None

    def ask(self, cell):
        return {"prompt": "count pear to 6", "n": 2}

    def check(self, cell, got, stack):
        assert_no_error(got)
        assert got["choices"] == [numbered("pear", 6)] * 2


class Audio(Case):
    name, title, about = "audio", "audio", "Audio in the question"
    surfaces = (CHAT,)

    def speaks(self, row):
        return super().speaks(row) and row.sdk in OFFICIAL_OPENAI

    def rule(self, row, upstream):
        if upstream != CHAT:
            return Rule("messages", "Responses and messages take no audio: `input_audio` is refused.", word="audio")
        return None

    def ask(self, cell):
        return {"model": "fault/echo-headers", "prompt": "Who speaks?", "audio": SOUND, "max_tokens": 4000}

    def check(self, cell, got, stack):
        assert_no_error(got)
        body = json.loads(got["text"])["body"]
        [audio] = [part for part in body["messages"][-1]["content"] if part["type"] != "text"]
        assert audio == {"type": "input_audio", "input_audio": {"data": SOUND, "format": "wav"}}


class Logprobs(Case):
    name, title, about = "logprobs", "logprobs", "Log probabilities of tokens"
    surfaces = (CHAT, COMPLETIONS, RESPONSES)

    def speaks(self, row):
        return super().speaks(row) and row.sdk in OFFICIAL_OPENAI

    def rule(self, row, upstream):
        if row.surface == COMPLETIONS:
            return Rule("logprobs", "Completions' form of log probabilities is no other dialect's: `logprobs` is refused.")
        if upstream == MESSAGES:
            field = "logprobs" if row.surface == CHAT else "top_logprobs"
            return Rule(field, "Messages has no log probabilities: `logprobs` and `top_logprobs` are refused.")
        return None

    def ask(self, cell):
        return {"prompt": "count plum to 6", "logprobs": True}

    def check(self, cell, got, stack):
        assert_said(got, numbered("plum", 6))
        assert "".join(got["logprobs"]) == got["text"]


class Previous(Case):
    name, title, about = "previous", "previous", "A turn that names the one before by `previous_response_id`"
    surfaces = (RESPONSES,)

    def ask(self, cell):
        return {"model": "fault/echo-headers", "before": ["Remember the word pomegranate"], "prompt": "Which word?",
                "max_tokens": 4000}

    def check(self, cell, got, stack):
        assert_no_error(got)
        sent = json.dumps(json.loads(got["text"])["body"])
        assert sent.count("pomegranate") >= 1, "the turn before is there"
        assert "Which word?" in sent and "previous_response_id" not in sent


class CountTokens(Case):
    name, title, about = "count-tokens", "count", "`count_tokens`, tools included"
    surfaces = (MESSAGES,)
    ways = (False,)
    op = "count"

    def speaks(self, row):
        return super().speaks(row) and row.sdk in ("anthropic-python", "anthropic")

    def ask(self, cell):
        return {"prompt": "What is the weather in Lisbon?", "tools": [WEATHER, TIDE]}

    def check(self, cell, got, stack):
        assert 20 < got["count"] < 500, got


CASES = [
    Text(), Tools(), Parallel(), Loop(), Thinking(),
    Proof("signature", "think", "Thinking with its signature or encrypted content, back upstream in the next turn of a "
          "tool loop", proofs.assert_came_back),
    Proof("hidden", "hide", "Thinking that is not shown (redacted, encrypted only), back upstream likewise",
          proofs.assert_hidden_came_back),
    Structured(), Image(),
    Error("400", "400", "Status 400 before the stream", (400, "invalid_request_error", None),
          (400, "invalid_request_error", None)),
    Error("401", "401", "Status 401 to a client's own key that is passed on",
          (401, "invalid_request_error", "invalid_api_key"), (401, "authentication_error", None), model="own-key"),
    Error("key", "own key", "Status 401 to the gateway's key, which is no fault of the client's",
          (502, "server_error", None), (500, "api_error", None), model="fault/401"),
    Error("404", "404", "Status 404, an unknown model", (404, "invalid_request_error", "model_not_found"),
          (404, "not_found_error", None)),
    Error("429", "429", "Status 429, with the provider's `retry-after`", (429, "requests", "rate_limit_exceeded"),
          (429, "rate_limit_error", None)),
    Error("500", "500", "Status 500", (500, "server_error", None), (500, "api_error", None)),
    Error("529", "529", "Status 529, overloaded", (503, "server_error", "server_overloaded"),
          (529, "overloaded_error", None)),
    MidStream("error-event", "mid error", "An error event behind three tokens", {"openai": 500, "anthropic": 500}),
    MidStream("fin", "cut", "A stream that ends without its finish", {"openai": 502, "anthropic": 500}),
    Usage(), StopLength(), StopSequence(), StopTool(), Cancel(), Choices(), Audio(),
    Logprobs(), Previous(), CountTokens(),
]
