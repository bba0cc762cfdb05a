# SPDX-License-Identifier: Apache-2.0
"""The official `openai` package for Python, asynchronous."""
import asyncio

import openai
import pytest

import sdk
from harness import numbered
from sdk import TIDE, WEATHER, ask, collect_async


@pytest.fixture
async def client(shared):
    async with sdk.async_client(shared) as c:
        yield c


async def stream(client, prompt, **more):
    return await collect_async(await client.chat.completions.create(**ask(prompt, **more), stream=True))


@pytest.mark.smoke
async def test_text(client):
    got = await stream(client, "count apple to 40")
    whole = await client.chat.completions.create(**ask("count apple to 40"))
    assert got.text[0] == whole.choices[0].message.content == numbered("apple", 40)
    assert got.finish == {0: "stop"}


async def test_the_stream_helper(client):
    async with client.chat.completions.stream(**ask("count pear to 20")) as s:
        deltas = [event.delta async for event in s if event.type == "content.delta"]
        final = await s.get_final_completion()
    assert "".join(deltas) == final.choices[0].message.content == numbered("pear", 20)


async def test_parallel_tool_calls(client):
    prompt = "Tell me the weather in Oslo and the tide at Brest"
    whole = await client.chat.completions.create(**ask(prompt, tools=[WEATHER, TIDE]))
    got = await stream(client, prompt, tools=[WEATHER, TIDE])
    assert got.said_calls() == sdk.said_calls(whole.choices[0].message)
    assert len(got.said_calls()) == 2


async def test_usage_and_choices(client):
    got = await stream(client, "tell me a story", n=3, stream_options={"include_usage": True})
    whole = await client.chat.completions.create(**ask("tell me a story", n=3))
    assert got.usage == whole.usage
    assert got.text == {c.index: c.message.content for c in whole.choices}


async def test_many_at_once(client):
    """Streams and whole answers side by side on one connection pool; nobody gets another one's text."""
    async def one(i):
        if i % 3 == 0:
            whole = await client.chat.completions.create(**ask(f"count w{i}x to {i % 17 + 1}"))
            return whole.choices[0].message.content
        return (await stream(client, f"count w{i}x to {i % 17 + 1}")).text[0]

    texts = await asyncio.gather(*(one(i) for i in range(60)))
    assert texts == [numbered(f"w{i}x", i % 17 + 1) for i in range(60)]


async def test_models(client):
    assert {m.id async for m in client.models.list()} == {"mock-*", "fault/*", "gpt-*"}
    assert (await client.models.retrieve("gpt-4o")).id == "gpt-4o"


async def test_raw_response_headers(client):
    raw = await client.chat.completions.with_raw_response.create(**ask("ping"), extra_headers={"x-request-id": "me"})
    assert raw.headers["x-request-id"] == "me" and raw.headers["x-penstock-mock"] == "1"
    assert raw.parse().choices[0].message.content == "pong"


@pytest.mark.parametrize("model, kind, status", [
    ("no-such-model", openai.NotFoundError, 404), ("fault/400", openai.BadRequestError, 400),
    ("fault/429", openai.RateLimitError, 429), ("fault/500", openai.InternalServerError, 500),
    ("fault/401", openai.InternalServerError, 502)])
async def test_error_classes(client, model, kind, status):
    for as_stream in (False, True):
        with pytest.raises(kind) as caught:
            await client.chat.completions.create(**ask("hi", model=model), stream=as_stream)
        assert caught.value.status_code == status


@pytest.mark.parametrize("fault", ["cut", "fin", "error-event"])
async def test_failures_in_mid_stream(client, fault):
    got = sdk.Collected()
    with pytest.raises(openai.APIError) as caught:
        async for chunk in await client.chat.completions.create(
                **ask("count lime to 9", model=f"fault/{fault}"), stream=True):
            got.add(chunk)
    assert got.text[0] == numbered("lime", 3)
    assert not isinstance(caught.value, openai.APIConnectionError)


async def test_timeout_and_cancel(stack):
    async with sdk.async_client(stack, timeout=0.3) as client:
        with pytest.raises(openai.APITimeoutError):
            await client.chat.completions.create(**ask("hi", model="fault/stall"))
        stack.mock.wait_counter("cancelled", 1)
    async with sdk.async_client(stack) as client:
        task = asyncio.create_task(client.chat.completions.create(**ask("hi", model="fault/stall")))
        # What the mock counts tells that the request is on its way: then the caller loses interest.
        await asyncio.to_thread(stack.mock.wait_counter, "started", 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(stack.mock.wait_counter, "cancelled", 2)


async def test_connection_error(world):
    gateway = world.gateway_for(world.mock())
    gateway.stop()
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key="sk-any", max_retries=0) as c:
        with pytest.raises(openai.APIConnectionError):
            await c.chat.completions.create(**ask("hi"))
