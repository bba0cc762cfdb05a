# SPDX-License-Identifier: Apache-2.0
"""Something to test: a program that asks models. It knows nothing of mocks."""
import json

from anthropic import Anthropic
from openai import OpenAI

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}


def answer(question, look_up):
    """An agent: asks, looks up what the model wants to know, and asks again."""
    client, messages = OpenAI(), [{"role": "user", "content": question}]
    while True:
        reply = client.chat.completions.create(model="gpt-4o", messages=messages, tools=[WEATHER]).choices[0].message
        if not reply.tool_calls:
            return reply.content
        messages.append(reply.model_dump(exclude_none=True))
        for call in reply.tool_calls:
            found = look_up(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": found})


def headline(text):
    """Streams a headline, word by word."""
    with Anthropic().messages.stream(model="claude-sonnet-4-5", max_tokens=100, messages=[
            {"role": "user", "content": f"Headline for: {text}"}]) as stream:
        yield from stream.text_stream
