# SPDX-License-Identifier: Apache-2.0
"""The official Python SDK, pointed at a gateway, with every error body looked through for keys."""
import openai
from pydantic import BaseModel

from harness import SECRETS

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
TIDE = {
    "type": "function",
    "function": {
        "name": "get_tide",
        "parameters": {"type": "object", "properties": {"port": {"type": "string"}}, "required": ["port"]},
    },
}


class Invoice(BaseModel):
    """For structured output."""
    title: str
    amount: int
    is_paid: bool
    lines: list[str]


def _look(response):
    if response.status_code >= 400:
        response.read()
        SECRETS.check("an error answer", response.text)


async def _look_async(response):
    if response.status_code >= 400:
        await response.aread()
        SECRETS.check("an error answer", response.text)


def client(stack, **options):
    http = openai.DefaultHttpxClient(event_hooks={"response": [_look]})
    return openai.OpenAI(base_url=stack.base_url, api_key=stack.key, http_client=http,
                         **{"max_retries": 0, "timeout": 60, **options})


def async_client(stack, **options):
    http = openai.DefaultAsyncHttpxClient(event_hooks={"response": [_look_async]})
    return openai.AsyncOpenAI(base_url=stack.base_url, api_key=stack.key, http_client=http,
                              **{"max_retries": 0, "timeout": 60, **options})


def ask(prompt, model="mock-1", **more):
    return {"model": model, "messages": [{"role": "user", "content": prompt}], **more}


class Collected:
    """A stream put together by hand, so that nothing of the SDK's own putting-together can hide a fault."""

    def __init__(self):
        self.text, self.reasoning, self.finish, self.calls = {}, {}, {}, {}
        self.roles, self.logprobs = {}, {}
        self.usage, self.n_usage = None, 0
        self.ids, self.models = set(), set()

    def add(self, chunk):
        self.ids.add(chunk.id)
        self.models.add(chunk.model)
        if chunk.usage:
            self.usage = chunk.usage
            self.n_usage += 1
        for choice in chunk.choices:
            self._add_choice(choice)
        return self

    def _add_choice(self, choice):
        i, delta = choice.index, choice.delta
        assert i not in self.finish, "something after the finish"
        if delta.role:
            assert i not in self.roles, "the role comes twice"
            self.roles[i] = delta.role
        self.text[i] = self.text.get(i, "") + (delta.content or "")
        reasoning = getattr(delta, "reasoning_content", None)
        if reasoning:
            assert not self.text[i], "thinking comes before speaking"
            self.reasoning[i] = self.reasoning.get(i, "") + reasoning
        for call in delta.tool_calls or ():
            self._add_call(i, call)
        if choice.logprobs and choice.logprobs.content:
            self.logprobs.setdefault(i, []).extend(choice.logprobs.content)
        if choice.finish_reason:
            self.finish[i] = choice.finish_reason

    def _add_call(self, i, call):
        calls = self.calls.setdefault(i, [])
        if call.index == len(calls):
            assert call.id and call.type == "function" and call.function.name
            calls.append({"id": call.id, "name": call.function.name, "arguments": ""})
        else:
            assert call.index == len(calls) - 1, "calls come one after the other"
            assert not call.id and not call.function.name, "id and name come once"
        calls[call.index]["arguments"] += call.function.arguments or ""

    def said_calls(self, i=0):
        return [(call["name"], call["arguments"]) for call in self.calls.get(i, ())]


def collect(chunks):
    result = Collected()
    for chunk in chunks:
        result.add(chunk)
    return result


async def collect_async(chunks):
    result = Collected()
    async for chunk in chunks:
        result.add(chunk)
    return result


def said_calls(message):
    return [(call.function.name, call.function.arguments) for call in message.tool_calls or ()]
