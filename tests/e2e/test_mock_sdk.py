# SPDX-License-Identifier: Apache-2.0
"""The official Python SDKs straight to the mock: what the matrix has no column for. Lists of models, vectors,
moderations, stored responses, raw access, request ids, retries, tool runners, and many streams at once."""
import asyncio
import base64
import math
import struct

import anthropic
import openai
import pytest
from anthropic import beta_tool

from harness import chat_body, numbered
from sdk import TIDE, WEATHER, collect, collect_async

QUESTION = [{"role": "user", "content": "count plum to 12"}]


@pytest.fixture(scope="module")
def mock(module_world):
    return module_world.mock()


@pytest.fixture(scope="module")
def client(mock):
    return openai.OpenAI(base_url=mock.base_url, api_key="any", max_retries=0, timeout=60)


@pytest.fixture(scope="module")
def claude(mock):
    return anthropic.Anthropic(base_url=mock.url, api_key="any", max_retries=0, timeout=60)


# --- models -------------------------------------------------------------------------------------

def test_models(world):
    mock = world.mock("--model", "gpt-4o", "--model", "claude-sonnet-4-5")
    client = openai.OpenAI(base_url=mock.base_url, api_key="any", max_retries=0)
    claude = anthropic.Anthropic(base_url=mock.url, api_key="any", max_retries=0)
    assert [m.id for m in client.models.list()] == ["gpt-4o", "claude-sonnet-4-5"]
    assert client.models.retrieve("gpt-4o").object == "model"
    with pytest.raises(openai.NotFoundError) as e:
        client.models.retrieve("gpt-none")
    assert e.value.code == "model_not_found"
    listed = claude.models.list()
    assert [m.id for m in listed] == ["gpt-4o", "claude-sonnet-4-5"] and not listed.has_more
    one = claude.models.retrieve("claude-sonnet-4-5")
    assert (one.type, one.id) == ("model", "claude-sonnet-4-5") and one.created_at and one.display_name
    with pytest.raises(anthropic.NotFoundError):
        claude.models.retrieve("claude-none")
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt-none", messages=QUESTION)
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.create(model="claude-none", max_tokens=9, messages=QUESTION)


# --- vectors and moderations --------------------------------------------------------------------

def cosine(a, b):
    return sum(x * y for x, y in zip(a, b))


@pytest.mark.parametrize("encoding", ["float", "base64", None])  # None: the SDK asks for base64, and decodes it
def test_embeddings(client, encoding):
    more = {"encoding_format": encoding} if encoding else {}
    texts = ["the cat sat on the mat", "a cat sat on a mat", "quarterly revenue fell sharply"]
    got = client.embeddings.create(model="text-embedding-3-small", input=texts, dimensions=256, **more)
    vectors = [d.embedding for d in got.data]
    if encoding == "base64":
        vectors = [struct.unpack("<256f", base64.b64decode(v)) for v in vectors]
    assert [d.index for d in got.data] == [0, 1, 2] and {len(v) for v in vectors} == {256}
    assert all(math.isclose(cosine(v, v), 1, rel_tol=1e-4) for v in vectors), "unit vectors"
    assert cosine(vectors[0], vectors[1]) > cosine(vectors[0], vectors[2]), "shared words score closer"
    assert got.usage.prompt_tokens == got.usage.total_tokens > 0
    again = client.embeddings.create(model="text-embedding-3-small", input=texts[1], dimensions=256, encoding_format="float")
    assert all(math.isclose(x, y, abs_tol=1e-6) for x, y in zip(again.data[0].embedding, vectors[1]))


def test_moderations(client):
    good, bad = client.moderations.create(model="omni-moderation-latest", input=["hello there", "I will kill you"]).results
    assert not good.flagged and bad.flagged and bad.categories.violence
    assert bad.category_scores.violence > good.category_scores.violence


# --- chat ---------------------------------------------------------------------------------------

def test_many_streams_at_once(mock):
    async def one(client, n):
        stream = await client.chat.completions.create(model="m", stream=True, messages=[
            {"role": "user", "content": f"count s{n}x to 40"}])
        return (await collect_async(stream)).text[0]

    async def all_of_them():
        async with openai.AsyncOpenAI(base_url=mock.base_url, api_key="any", max_retries=0) as client:
            return await asyncio.gather(*[one(client, n) for n in range(50)])

    assert asyncio.run(all_of_them()) == [numbered(f"s{n}x", 40) for n in range(50)]


def test_async_messages(mock):
    async def both():
        async with anthropic.AsyncAnthropic(base_url=mock.url, api_key="any", max_retries=0) as claude:
            whole = await claude.messages.create(model="m", max_tokens=99, messages=QUESTION)
            async with claude.messages.stream(model="m", max_tokens=99, messages=QUESTION) as stream:
                pieces = [text async for text in stream.text_stream]
                return whole, pieces, await stream.get_final_message()

    whole, pieces, final = asyncio.run(both())
    assert whole.content[0].text == "".join(pieces) == final.content[0].text == numbered("plum", 12)
    assert whole.usage.output_tokens == final.usage.output_tokens


def test_async_responses(mock):
    async def both():
        async with openai.AsyncOpenAI(base_url=mock.base_url, api_key="any", max_retries=0) as client:
            whole = await client.responses.create(model="m", input="count plum to 12")
            stream = await client.responses.create(model="m", input="count plum to 12", stream=True)
            return whole, [event async for event in stream]

    whole, events = asyncio.run(both())
    assert whole.output_text == "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert [e.sequence_number for e in events] == list(range(len(events)))
    assert events[0].type == "response.created" and events[-1].type == "response.completed"
    assert {e.response.id for e in events if hasattr(e, "response")} == {events[0].response.id}


def test_ids(client):
    """Unique, and one and the same within a response."""
    seen = set()
    for _ in range(20):
        got = collect(client.chat.completions.create(model="m", messages=QUESTION, stream=True))
        assert len(got.ids) == 1 and not got.ids & seen
        seen |= got.ids
    whole = client.chat.completions.create(model="m", messages=QUESTION)
    assert whole.id not in seen


def test_request_ids(client, claude):
    raw = client.chat.completions.with_raw_response.create(model="m", messages=QUESTION)
    assert raw.headers["x-request-id"] and raw.parse()._request_id == raw.headers["x-request-id"]
    message = claude.messages.create(model="m", max_tokens=9, messages=QUESTION)
    assert message._request_id
    assert message._request_id != raw.headers["x-request-id"]
    with pytest.raises(anthropic.OverloadedError) as e:
        claude.messages.create(model="fault/529", max_tokens=9, messages=QUESTION)
    assert e.value.request_id and e.value.request_id == e.value.response.headers["request-id"]


def test_streaming_response(client):
    with client.chat.completions.with_streaming_response.create(model="m", messages=QUESTION, stream=True) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]" and all(line.startswith("data: ") for line in lines)


def test_usage_in_the_last_chunk(client):
    whole = client.chat.completions.create(model="m", messages=QUESTION)
    got = collect(client.chat.completions.create(model="m", messages=QUESTION, stream=True,
                                                 stream_options={"include_usage": True}))
    assert got.usage == whole.usage and got.n_usage == 1
    assert collect(client.chat.completions.create(model="m", messages=QUESTION, stream=True)).usage is None


def test_several_choices_with_tools_and_stop(client):
    got = collect(client.chat.completions.create(model="m", messages=QUESTION, n=3, stop="plumn5", stream=True))
    assert {i: text.rstrip() for i, text in got.text.items()} == {i: numbered("plum", 4) for i in range(3)}
    calls = collect(client.chat.completions.create(model="m", stream=True, tools=[WEATHER, TIDE], messages=[
        {"role": "user", "content": "Tell me the weather in Oslo and the tide at Brest"}]))
    assert [name for name, _ in calls.said_calls()] == ["get_weather", "get_tide"] and calls.finish[0] == "tool_calls"
    none = client.chat.completions.create(model="m", tools=[WEATHER], tool_choice="none", messages=[
        {"role": "user", "content": "Weather in Oslo?"}])
    assert not none.choices[0].message.tool_calls and none.choices[0].message.content


# --- messages -----------------------------------------------------------------------------------

def test_tool_runner(claude):
    asked = []

    @beta_tool
    def get_weather(city: str) -> str:
        """Weather of a city"""
        asked.append(city)
        return f"{city}: 21 degrees and windy"

    runner = claude.beta.messages.tool_runner(model="m", max_tokens=500, tools=[get_weather], max_iterations=5,
                                              messages=[{"role": "user", "content": "What is the weather in Lisbon?"}])
    final = runner.until_done()
    assert asked == ["Lisbon"] and final.stop_reason == "end_turn"
    assert "21 degrees and windy" in final.content[0].text


def test_streamed_tool_runner(claude):
    @beta_tool
    def get_weather(city: str) -> str:
        """Weather of a city"""
        return f"{city}: 21 degrees and windy"

    runner = claude.beta.messages.tool_runner(model="m", max_tokens=500, tools=[get_weather], max_iterations=5, stream=True,
                                              messages=[{"role": "user", "content": "What is the weather in Lisbon?"}])
    reasons = [stream.get_final_message().stop_reason for stream in runner]
    assert reasons == ["tool_use", "end_turn"], "the loop ends"


def test_count_tokens_is_what_is_counted(claude):
    asks = {"model": "m", "messages": QUESTION, "system": "Be brief.",
            "tools": [{"name": "get_tide", "description": "Tide", "input_schema": TIDE["function"]["parameters"]}]}
    counted = claude.messages.count_tokens(**asks).input_tokens
    usage = claude.messages.create(**asks, max_tokens=9).usage
    assert counted == usage.input_tokens + (usage.cache_read_input_tokens or 0)


def test_thinking_blocks(claude):
    with claude.messages.stream(model="m", max_tokens=6000, thinking={"type": "enabled", "budget_tokens": 2048},
                                messages=[{"role": "user", "content": "think: count plum to 12"}]) as stream:
        kinds = [event.type for event in stream]
        thinking, text = stream.get_final_message().content
    assert (thinking.type, text.type) == ("thinking", "text") and thinking.thinking and thinking.signature
    assert kinds.index("thinking") < kinds.index("signature") < kinds.index("text")


def test_what_there_is_not(claude, client):
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.batches.list()
    with pytest.raises(openai.NotFoundError):
        client.files.list()


# --- responses that are kept --------------------------------------------------------------------

def test_stored_response(client):
    first = client.responses.create(model="m", input="Remember the word pomegranate", store=True)
    got = client.responses.retrieve(first.id)
    assert (got.id, got.output_text, got.status) == (first.id, first.output_text, "completed")
    [item] = client.responses.input_items.list(first.id)
    assert item.content[0].text == "Remember the word pomegranate"
    second = client.responses.create(model="m", input="Which word?", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    texts = [part.text for item in client.responses.input_items.list(second.id, order="asc") for part in item.content]
    assert texts[0] == "Remember the word pomegranate" and texts[-1] == "Which word?"
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)
    with pytest.raises(openai.BadRequestError) as e:
        client.responses.create(model="m", input="hi", previous_response_id=first.id)
    assert e.value.code == "previous_response_not_found"


def test_streamed_response_is_stored(client):
    with client.responses.stream(model="m", input="count plum to 12") as stream:
        final = stream.get_final_response()
    assert client.responses.retrieve(final.id).output_text == final.output_text == numbered("plum", 12)
    unkept = client.responses.create(model="m", input="hi", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(unkept.id)


def test_background_response_is_cancelled(world):
    mock = world.mock(ttft="30s")
    client = openai.OpenAI(base_url=mock.base_url, api_key="any", max_retries=0)
    begun = client.responses.create(model="m", input="hi", background=True)
    assert begun.status in ("queued", "in_progress")
    assert client.responses.cancel(begun.id).status == "cancelled"
    assert client.responses.retrieve(begun.id).status == "cancelled"


# --- retries ------------------------------------------------------------------------------------

@pytest.mark.parametrize("fault", ["429:retry=0s", "500", "503:retry=0s", "529", "reset", "close"])
def test_retries_get_through(world, fault):
    """Two failures, then an answer: the SDKs try three times."""
    spec = f"{fault}{',' if ':' in fault else ':'}count=2"
    mock = world.mock("--fault", spec)
    client = openai.OpenAI(base_url=mock.base_url, api_key="any", max_retries=2)
    assert client.chat.completions.create(model="m", messages=QUESTION).choices[0].message.content == numbered("plum", 12)
    assert len(mock.journal()) == 3
    mock = world.mock("--fault", spec)
    claude = anthropic.Anthropic(base_url=mock.url, api_key="any", max_retries=2)
    assert claude.messages.create(model="m", max_tokens=99, messages=QUESTION).content[0].text == numbered("plum", 12)


def test_no_retry_of_what_is_wrong(world):
    mock = world.mock()
    client = openai.OpenAI(base_url=mock.base_url, api_key="any", max_retries=2)
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="fault/400", messages=QUESTION)
    with pytest.raises(openai.RateLimitError) as e:
        client.chat.completions.create(model="fault/quota", messages=QUESTION)
    assert e.value.code == "insufficient_quota"
    assert len(mock.journal()) == 2


def test_what_it_saw(mock, client):
    """The journal has the SDK's request as it came."""
    client.chat.completions.create(**{**chat_body("a question for the journal", stream=False), "temperature": 0.25})
    entry = mock.journal()[-1]
    assert (entry["path"], entry["status"], entry["end"]) == ("/v1/chat/completions", 200, "completed")
    assert entry["body"]["temperature"] == 0.25
    assert entry["body"]["messages"] == [{"role": "user", "content": "a question for the journal"}]
    assert entry["violations"] == []
