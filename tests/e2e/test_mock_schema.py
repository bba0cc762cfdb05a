# SPDX-License-Identifier: Apache-2.0
"""Structured output and arguments of tools from the mock, judged by an independent validator: some hundred schemas,
several seeds, every API that takes a schema."""
import http.client
import json

import jsonschema
import pytest

import schemas

SEEDS = 4
RANDOM = 120
Validator = jsonschema.Draft202012Validator

CASES = schemas.WRITTEN + schemas.made(RANDOM)


@pytest.fixture(scope="module")
def mock(module_world):
    return module_world.mock("--ttft", "0", "--itl", "0")


@pytest.fixture(scope="module")
def post(mock):
    connection = http.client.HTTPConnection(mock.url.removeprefix("http://"), timeout=60)

    def send(path, body):
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
        assert response.status == 200, answer
        return answer
    yield send
    connection.close()


def chat(post, schema, seed):
    answer = post("/v1/chat/completions", {
        "model": "gpt-4o", "seed": seed, "messages": [{"role": "user", "content": "Three in Lisbon, please"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}})
    return answer["choices"][0]["message"]["content"]


def responses(post, schema, seed):
    answer = post("/v1/responses", {
        "model": "gpt-4o", "input": f"number {seed}",
        "text": {"format": {"type": "json_schema", "name": "x", "strict": True, "schema": schema}}})
    return answer["output"][0]["content"][0]["text"]


def arguments(post, schema, seed):
    answer = post("/v1/chat/completions", {
        "model": "gpt-4o", "seed": seed, "messages": [{"role": "user", "content": f"use it {seed}"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}], "tool_choice": "required"})
    return answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]


def tool_input(post, schema, seed):
    answer = post("/v1/messages", {
        "model": "claude-sonnet-4-5", "max_tokens": 100000, "messages": [{"role": "user", "content": f"use it {seed}"}],
        "tools": [{"name": "f", "input_schema": schema}], "tool_choice": {"type": "any"}})
    return json.dumps(next(b["input"] for b in answer["content"] if b["type"] == "tool_use"))


WAYS = [chat, responses, arguments, tool_input]


@pytest.mark.parametrize("way", WAYS, ids=[w.__name__ for w in WAYS])
def test_answers_satisfy_their_schema(post, way):
    wrong = []
    for schema in CASES:
        validator = Validator(schema, format_checker=Validator.FORMAT_CHECKER)
        for seed in range(SEEDS):
            text = way(post, schema, seed)
            error = next(validator.iter_errors(json.loads(text)), None)
            if error:
                wrong.append(f"{json.dumps(schema)[:400]}\n  gave {text[:200]}\n  {error.message[:200]}")
    assert not wrong, f"{len(wrong)} of {len(CASES) * SEEDS}:\n" + "\n".join(wrong[:10])


def test_the_same_seed_gives_the_same_and_others_differ(post):
    schema = schemas.obj({"name": {"type": "string"}, "list": {"type": "array", "items": {"type": "integer"}}})
    texts = [chat(post, schema, seed) for seed in range(12)]
    assert texts == [chat(post, schema, seed) for seed in range(12)]
    assert len(set(texts)) > 8
