# SPDX-License-Identifier: Apache-2.0
"""The official `openai` package for Python, synchronous, with nothing changed but its base URL."""
import json

import openai
import pytest

import sdk
from harness import numbered
from raw import completion_of, stream_of
from sdk import TIDE, WEATHER, ask, collect


@pytest.fixture(scope="module")
def client(shared):
    with sdk.client(shared) as c:
        yield c


def chat(client, prompt, **more):
    return client.chat.completions.create(**ask(prompt, **more))


def chat_stream(client, prompt, **more):
    return collect(client.chat.completions.create(**ask(prompt, stream=True, **more)))


# ---- text ----

@pytest.mark.smoke
def test_text_streamed(client):
    got = chat_stream(client, "count apple to 40")
    assert got.text == {0: numbered("apple", 40)}
    assert got.roles == {0: "assistant"} and got.finish == {0: "stop"}
    assert len(got.ids) == 1 and got.models == {"mock-1"}
    assert got.usage is None, "nobody asked for usage"


@pytest.mark.smoke
def test_text_whole(client):
    answer = chat(client, "count apple to 40")
    assert answer.choices[0].message.content == numbered("apple", 40)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.object == "chat.completion" and answer.id.startswith("chatcmpl-")


@pytest.mark.parametrize("prompt", ["tell me a story about a lighthouse", "explain rivers to me", "ping",
                                    "echo: Grüße, 世界 👩‍👩‍👧 \u2028 \\ \" \t end", "count ü to 300"])
def test_streamed_and_whole_say_the_same(client, prompt):
    whole = chat(client, prompt)
    assert chat_stream(client, prompt).text[0] == whole.choices[0].message.content
    assert whole.choices[0].message.content


def test_a_long_conversation(client):
    """A megabyte of prompt, and what was asked at its end."""
    messages = [{"role": "system", "content": "x" * 1_000_000}]
    messages += [{"role": role, "content": f"{role} {i}"} for i in range(50) for role in ("user", "assistant")]
    messages.append({"role": "user", "content": "echo: still here"})
    stream = client.chat.completions.create(model="mock-1", messages=messages, stream=True)
    assert collect(stream).text[0] == "still here"


def test_the_stream_helper(client):
    with client.chat.completions.stream(**ask("count pear to 20")) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert "".join(deltas) == numbered("pear", 20)
    assert final.choices[0].message.content == numbered("pear", 20)
    assert final.choices[0].finish_reason == "stop"


def test_length_and_stop_sequences(client):
    cut = chat_stream(client, "count fig to 100", max_tokens=5)
    assert cut.finish[0] == "length" and cut.text[0] == numbered("fig", 5)
    stopped = chat_stream(client, "count fig to 100", stop=["fign7"])
    assert stopped.finish[0] == "stop" and stopped.text[0] == numbered("fig", 6) + " "


# ---- tools ----

def test_one_tool_call(client):
    options = {"tools": [WEATHER, TIDE]}
    whole = chat(client, "What is the weather in Lisbon?", **options).choices[0]
    got = chat_stream(client, "What is the weather in Lisbon?", **options)
    assert whole.finish_reason == got.finish[0] == "tool_calls"
    assert got.said_calls() == sdk.said_calls(whole.message)
    [(name, arguments)] = got.said_calls()
    assert name == "get_weather" and json.loads(arguments)["city"] == "Lisbon"


def test_parallel_tool_calls(client):
    options = {"tools": [WEATHER, TIDE], "parallel_tool_calls": True}
    prompt = "Tell me the weather in Oslo and the tide at Brest"
    whole = chat(client, prompt, **options).choices[0]
    got = chat_stream(client, prompt, **options)
    assert got.said_calls() == sdk.said_calls(whole.message)
    assert [name for name, _ in got.said_calls()] == ["get_weather", "get_tide"]
    ids = [call["id"] for call in got.calls[0]]
    assert len(set(ids)) == 2
    assert all(isinstance(json.loads(arguments), dict) for _, arguments in got.said_calls())


def test_the_stream_helper_assembles_tool_calls(client):
    prompt = "Tell me the weather in Oslo and the tide at Brest"
    whole = chat(client, prompt, tools=[WEATHER, TIDE]).choices[0]
    with client.chat.completions.stream(**ask(prompt, tools=[WEATHER, TIDE])) as stream:
        final = stream.get_final_completion().choices[0]
    assert sdk.said_calls(final.message) == sdk.said_calls(whole.message)


def test_a_tool_loop(client):
    """Call, result, answer: as an agent does it."""
    messages = [{"role": "user", "content": "What is the weather in Lisbon?"}]
    first = client.chat.completions.create(model="mock-1", messages=messages, tools=[WEATHER])
    call = first.choices[0].message.tool_calls[0]
    messages += [first.choices[0].message.model_dump(exclude_none=True),
                 {"role": "tool", "tool_call_id": call.id, "content": "21 degrees, light wind"}]
    second = client.chat.completions.create(model="mock-1", messages=messages, tools=[WEATHER])
    assert second.choices[0].finish_reason == "stop"
    assert "21 degrees, light wind" in second.choices[0].message.content


def test_a_forced_tool_and_none(client):
    forced = chat_stream(client, "hello", tools=[WEATHER, TIDE],
                         tool_choice={"type": "function", "function": {"name": "get_tide"}})
    assert [name for name, _ in forced.said_calls()] == ["get_tide"]
    none = chat_stream(client, "the weather?", tools=[WEATHER], tool_choice="none")
    assert not none.calls and none.text[0]


# ---- what comes beside the text ----

def test_usage(client):
    whole = chat(client, "count kiwi to 17").usage
    got = chat_stream(client, "count kiwi to 17", stream_options={"include_usage": True})
    assert got.n_usage == 1
    assert got.usage == whole
    assert whole.completion_tokens == 17
    assert whole.total_tokens == whole.prompt_tokens + 17 and whole.prompt_tokens > 0


def test_three_choices(client):
    got = chat_stream(client, "tell me a story", n=3, stream_options={"include_usage": True})
    whole = chat(client, "tell me a story", n=3)
    assert got.finish == {0: "stop", 1: "stop", 2: "stop"} and set(got.roles) == {0, 1, 2}
    assert got.text == {c.index: c.message.content for c in whole.choices}
    assert len(set(got.text.values())) == 3
    assert got.usage == whole.usage and got.n_usage == 1


def test_logprobs(client):
    options = {"logprobs": True, "top_logprobs": 2}
    got = chat_stream(client, "count plum to 6", **options)
    whole = chat(client, "count plum to 6", **options)
    assert "".join(t.token for t in got.logprobs[0]) == got.text[0] == numbered("plum", 6)
    assert [t.token for t in whole.choices[0].logprobs.content] == [t.token for t in got.logprobs[0]]
    assert all(len(t.top_logprobs) == 2 and t.logprob <= 0 for t in got.logprobs[0])


def test_reasoning(client):
    got = chat_stream(client, "explain tides", reasoning_effort="high", stream_options={"include_usage": True})
    whole = chat(client, "explain tides", reasoning_effort="high")
    assert got.reasoning[0] and got.text[0]
    assert got.reasoning[0] == whole.choices[0].message.reasoning_content
    assert got.text[0] == whole.choices[0].message.content
    assert got.usage.completion_tokens_details.reasoning_tokens > 0


def test_structured_output(client):
    answer = client.chat.completions.parse(**ask("an invoice for 3 lamps"), response_format=sdk.Invoice)
    assert isinstance(answer.choices[0].message.parsed, sdk.Invoice)
    with client.chat.completions.stream(**ask("an invoice for 3 lamps"), response_format=sdk.Invoice) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.parsed == answer.choices[0].message.parsed


def test_unknown_fields_arrive(client):
    """What the gateway has never heard of is the provider's business."""
    answer = chat(client, "hi", extra_body={"top_k": 40, "new_thing": {"a": [1.50, None]},
                                            "metadata": {"fault": "echo-headers"}})
    body = json.loads(answer.choices[0].message.content)["body"]
    assert body["top_k"] == 40 and body["new_thing"] == {"a": [1.5, None]}


# ---- models ----

def test_models(shared, client):
    assert {m.id for m in client.models.list()} == {"mock-*", "fault/*", "gpt-*"}
    assert client.models.retrieve("mock-7").id == "mock-7"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("nothing-like-it")
    assert caught.value.code == "model_not_found"


# ---- headers ----

@pytest.mark.parametrize("stream", [False, True])
def test_raw_response_headers(client, stream):
    raw = client.chat.completions.with_raw_response.create(
        **ask("ping"), stream=stream, extra_headers={"x-request-id": "my-own.id_7:a"})
    assert raw.headers["x-request-id"] == "my-own.id_7:a"
    assert raw.headers["x-upstream-request-id"].startswith("req_")
    assert raw.headers["x-penstock-mock"] == "1"
    assert raw.headers["x-ratelimit-remaining-requests"].isdigit()
    assert raw.headers["content-type"].split(";")[0] == ("text/event-stream" if stream else "application/json")
    parsed = raw.parse()
    assert (collect(parsed).text[0] if stream else parsed.choices[0].message.content) == "pong"


def test_a_request_id_is_minted(client):
    bad = client.chat.completions.with_raw_response.create(**ask("ping"), extra_headers={"x-request-id": "a b;c"})
    assert bad.headers["x-request-id"].startswith("req_") and len(bad.headers["x-request-id"]) > 20
    assert chat(client, "ping")._request_id != chat(client, "ping")._request_id


# ---- errors ----

def test_not_found(client):
    with pytest.raises(openai.NotFoundError) as caught:
        chat(client, "hi", model="no-such-model")
    e = caught.value
    assert (e.status_code, e.code, e.type, e.param) == (404, "model_not_found", "invalid_request_error", "model")
    assert "no-such-model" in e.message and e.request_id


@pytest.mark.parametrize("body, param", [
    ({"messages": None}, "messages"), ({"messages": []}, "messages"), ({"messages": "hello"}, "messages"),
    ({"model": 7}, "model"), ({"n": 0}, "n"), ({"stream": "yes"}, "stream"), ({"max_tokens": 0}, "max_tokens")])
def test_bad_request(client, body, param):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**ask("hi"), extra_body=body)
    assert caught.value.type == "invalid_request_error" and caught.value.param.startswith(param)


def test_the_providers_own_error_comes_through(client):
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, "hi", model="fault/400")
    assert (caught.value.code, caught.value.param) == ("invalid_value", "temperature")
    for status, kind in ((409, openai.ConflictError), (422, openai.UnprocessableEntityError),
                         (413, openai.APIStatusError)):
        with pytest.raises(kind) as caught:
            chat(client, "hi", model=f"fault/{status}", stream=True)
        assert caught.value.status_code == status


@pytest.mark.parametrize("status", [401, 403])
def test_the_gateways_own_key_refused_is_no_authentication_error(client, status):
    """The user's key is not the one that was refused."""
    with pytest.raises(openai.InternalServerError) as caught:
        chat(client, "hi", model=f"fault/{status}")
    assert (caught.value.status_code, caught.value.code) == (502, "upstream_auth")


def counted_stack(world, upstream, script):
    """A gateway in front of a script, that tells the provider which try of the SDK this is."""
    up = upstream(script)
    gateway = world.gateway_for(up.base_url, provider={"forward_headers": ["x-stainless-retry-count"]})
    stack = type("Stack", (), {"base_url": gateway.base_url, "key": "sk-any"})
    return stack, up


def failing(times, status, headers=("retry-after-ms: 1", "retry-after: 1")):
    """A provider that fails so many times and then answers."""
    def script(connection):
        while request := connection.read_request():
            if len(connection.upstream.requests) <= times:
                error = {"message": "Slow down.", "type": "requests", "param": None, "code": "rate_limit_exceeded"}
                connection.send_json({"error": error}, status, headers)
            elif request.json().get("stream"):
                connection.send_stream(stream_of("at ", "last"))
            else:
                connection.send_json(completion_of("at last"))
    return script


def tries(up):
    return [request.header("x-stainless-retry-count") for request in up.requests]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_retries_that_the_sdk_does_by_itself(world, upstream, status, stream):
    stack, up = counted_stack(world, upstream, failing(2, status))
    with sdk.client(stack, max_retries=2) as client:
        answer = client.chat.completions.create(**ask("hi"), stream=stream)
        text = collect(answer).text[0] if stream else answer.choices[0].message.content
    assert text == "at last"
    assert tries(up) == ["0", "1", "2"], "each request of the SDK is one request upstream"


def test_rate_limit_error_after_all_retries(world, upstream):
    stack, up = counted_stack(world, upstream, failing(99, 429))
    with sdk.client(stack, max_retries=2) as client, pytest.raises(openai.RateLimitError) as caught:
        chat(client, "hi")
    assert tries(up) == ["0", "1", "2"]
    assert caught.value.response.headers["retry-after"] == "1"
    assert caught.value.code == "rate_limit_exceeded"


def test_the_provider_says_that_a_retry_is_useless(world, upstream):
    stack, up = counted_stack(world, upstream, failing(99, 429, ["x-should-retry: false"]))
    with sdk.client(stack, max_retries=2) as client, pytest.raises(openai.RateLimitError):
        chat(client, "hi")
    assert tries(up) == ["0"]


@pytest.mark.parametrize("status", [500, 503])
def test_server_errors_of_the_mock(client, status):
    with pytest.raises(openai.InternalServerError) as caught:
        chat(client, "hi", model=f"fault/{status}")
    assert caught.value.status_code == status and caught.value.type == "server_error"


def test_connection_error(world):
    """The gateway is gone."""
    mock = world.mock()
    gateway = world.gateway_for(mock)
    base_url = gateway.base_url
    gateway.stop()
    with openai.OpenAI(base_url=base_url, api_key="sk-any", max_retries=0) as c:
        with pytest.raises(openai.APIConnectionError) as caught:
            chat(c, "hi")
        assert not isinstance(caught.value, openai.APITimeoutError)


def test_the_provider_is_gone(world):
    mock = world.mock()
    gateway = world.gateway_for(mock)
    mock.stop()
    with openai.OpenAI(base_url=gateway.base_url, api_key="sk-any", max_retries=0) as c:
        for stream in (False, True):
            with pytest.raises(openai.InternalServerError) as caught:
                chat(c, "hi", stream=stream)
            assert (caught.value.status_code, caught.value.code) == (502, "bad_gateway")


def test_timeout_of_a_whole_answer(stack):
    with sdk.client(stack, timeout=0.3) as client, pytest.raises(openai.APITimeoutError):
        chat(client, "hi", model="fault/stall")
    stack.mock.wait_counter("cancelled", 1)  # the gateway has let go of the provider, too


def test_timeout_in_mid_stream(stack):
    with sdk.client(stack, timeout=0.5) as client:
        stream = client.chat.completions.create(**ask("count lime to 9", model="fault/stall"), stream=True)
        got = sdk.Collected()
        with pytest.raises(Exception) as caught:
            for chunk in stream:
                got.add(chunk)
    assert "Timeout" in type(caught.value).__name__
    assert got.text[0] == numbered("lime", 3)
    stack.mock.wait_counter("cancelled", 1)


def fails_in_mid_stream(client, model):
    got = sdk.Collected()
    with pytest.raises(openai.APIError) as caught:
        for chunk in client.chat.completions.create(**ask("count lime to 9", model=model), stream=True):
            got.add(chunk)
    assert got.text[0] == numbered("lime", 3), "what had come before is not lost"
    assert not isinstance(caught.value, openai.APIConnectionError), "an error event, not a broken connection"
    assert not got.finish
    return caught.value


def test_error_event_in_mid_stream(client):
    error = fails_in_mid_stream(client, "fault/error-event")
    assert error.code == "upstream_error" and "middle of its answer" in error.message


@pytest.mark.parametrize("fault", ["cut", "fin"])
def test_a_cut_stream_is_an_error_event(client, fault):
    error = fails_in_mid_stream(client, f"fault/{fault}")
    assert error.type == "server_error" and error.code == "bad_gateway"


def test_a_cut_whole_answer_is_no_success(client):
    for fault in ("cut", "fin", "malformed"):
        with pytest.raises(openai.InternalServerError) as caught:
            chat(client, "hi", model=f"fault/{fault}")
        assert caught.value.status_code == 502, fault


def test_a_missing_end_mark_is_put_in(client):
    got = chat_stream(client, "count lime to 9", model="fault/no-done")
    assert got.text[0] == numbered("lime", 9) and got.finish[0] == "stop"


def test_leaving_early_cancels_the_provider(stack):
    with sdk.client(stack) as client:
        stream = client.chat.completions.create(**ask("count on to 1000000000"), stream=True)
        for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                break
        stream.close()
    stack.mock.wait_counter("cancelled", 1)
    assert stack.gateway.wait_metric("penstock_requests_total", 1, end="client_gone").ends() == {"client_gone": 1}
