# SPDX-License-Identifier: Apache-2.0
"""What the mock saw: its journal, expectations of it, and the rules that requests broke."""
import json
import re
import threading

import anthropic
import openai
import pytest

from harness import DEADLINE_S, chat_body, numbered

QUESTION = [{"role": "user", "content": "count plum to 3"}]


@pytest.fixture
def mock(world):
    return world.mock()


@pytest.fixture
def client(mock):
    return openai.OpenAI(base_url=mock.base_url, api_key="sk-journal-0123456789abcdef", max_retries=0)


def read(mock, query=""):
    return json.loads(mock.get("/penstock/journal" + query).body)["entries"]


def expect(mock, status=200, **body):
    r = mock.request("POST", "/penstock/expect", json.dumps(body).encode(), timeout=DEADLINE_S + 10)
    assert r.status == status, r.body
    return json.loads(r.body)


# --- the journal --------------------------------------------------------------------------------

def test_every_api_is_seen(mock, client):
    claude = anthropic.Anthropic(base_url=mock.url, api_key="any", max_retries=0)
    client.chat.completions.create(model="gpt-4o", messages=QUESTION)
    for _ in client.chat.completions.create(model="gpt-4o", messages=QUESTION, stream=True):
        pass
    client.responses.create(model="o3", input="hi", max_output_tokens=16)
    claude.messages.create(model="claude-x", max_tokens=2, messages=QUESTION)
    client.embeddings.create(model="text-embedding-3-small", input="a")
    client.models.list()
    expect(mock, where={"end": "completed"}, count=6, within_ms=DEADLINE_S * 1000)
    entries = read(mock)
    assert [e["path"] for e in entries] == ["/v1/chat/completions", "/v1/chat/completions", "/v1/responses", "/v1/messages",
                                            "/v1/embeddings", "/v1/models"]
    assert [e["dialect"] for e in entries[:4]] == ["chat", "chat", "responses", "messages"]
    assert [e["stream"] for e in entries[:2]] == [False, True]
    assert [e["finish_reason"] for e in entries[:4]] == ["stop", "stop", "max_output_tokens", "max_tokens"]
    assert all(e["status"] == 200 and e["end"] == "completed" for e in entries)
    assert entries[0]["first_token_ms"] is None and entries[1]["first_token_ms"] is not None
    assert entries[0]["tokens_out"] == entries[1]["tokens_out"] > 0
    assert entries[3]["tokens_out"] == 2
    assert entries[0]["body"]["messages"] == QUESTION
    assert not any(e["violations"] for e in entries)
    one = json.loads(mock.get(f"/penstock/journal/{entries[2]['seq']}").body)
    assert one["model"] == "o3"
    assert mock.get("/penstock/journal/999").status == 404


def test_filters(mock, client):
    for model in ("gpt-4o", "gpt-4o-mini", "fault/429"):
        try:
            client.chat.completions.create(model=model, messages=QUESTION, extra_headers={"x-penstock-session": model[:3]})
        except openai.RateLimitError:
            pass
    models = lambda query: [e["model"] for e in read(mock, query)]
    assert models("?model=gpt-4o*") == ["gpt-4o", "gpt-4o-mini"]
    assert models("?status=4xx") == models("?fault=429") == ["fault/429"]
    assert models("?session=gpt&limit=1") == ["gpt-4o-mini"]
    assert models("?since=1&limit=1") == ["gpt-4o-mini"]
    assert models("?contains=plum+to&dialect=chat") == ["gpt-4o", "gpt-4o-mini", "fault/429"]
    assert models("?contains=nothing") == []
    assert "body" not in read(mock, "?body=0")[0]
    assert mock.get("/penstock/journal?what=ever").status == 400
    assert mock.request("DELETE", "/penstock/journal").status == 200
    assert read(mock) == []


def test_found_by_the_ids_that_an_sdk_has(mock, client):
    claude = anthropic.Anthropic(base_url=mock.url, api_key="any", max_retries=0)
    chat = client.chat.completions.create(model="gpt-4o", messages=QUESTION)
    with client.responses.stream(model="gpt-4o", input="hi") as stream:
        response = stream.get_final_response()
    message = claude.messages.create(model="claude-x", max_tokens=5, messages=QUESTION)
    assert [e["seq"] for e in read(mock, f"?request_id={chat._request_id}")] == [1]
    assert [e["seq"] for e in read(mock, f"?request_id={message._request_id}")] == [3]
    for seq, one in enumerate((chat, response, message), 1):
        assert [e["seq"] for e in read(mock, f"?response_id={one.id}")] == [seq]
    with pytest.raises(openai.RateLimitError) as limited:
        client.chat.completions.create(model="fault/429", messages=QUESTION)
    with pytest.raises(anthropic.APIStatusError) as overloaded:
        claude.messages.create(model="fault/529", max_tokens=5, messages=QUESTION)
    for seq, e in ((4, limited.value), (5, overloaded.value)):
        found = expect(mock, where={"request_id": e.request_id, "status": e.status_code}, count=1)
        assert found["matched"] == [seq]
        assert read(mock, f"?request_id={e.request_id}")[0]["response_id"] is None


def test_the_session_that_scenarios_count_for(mock, client):
    mock.request("POST", "/penstock/scenarios", b'{"script": ["first", "second"], "times": "forever"}')
    say = lambda user: client.chat.completions.create(model="m", messages=QUESTION, user=user).choices[0].message.content
    assert [say("ann"), say("bob"), say("ann")] == ["first", "first", "second"]
    assert [e["seq"] for e in read(mock, "?session=ann")] == [1, 3]


def test_a_client_without_a_key_breaks_no_rule(world, mock):
    body, headers = json.dumps(chat_body("hi", stream=False)).encode(), [("content-type", "application/json")]
    r = mock.request("POST", "/v1/chat/completions", body, headers)
    assert r.status == 200 and "x-penstock-violations" not in r.headers
    keyed = world.mock("--key", "sk-a-key")
    r = keyed.request("POST", "/v1/chat/completions", body, headers)
    assert r.status == 401 and "You didn't provide an API key" in r.body.decode()


def test_secrets_are_masked(mock, client):
    key = "sk-other-0123456789abcdefghij"
    client.responses.create(model="m", input=f"my key is {key}", tools=[
        {"type": "mcp", "server_label": "s", "server_url": "https://mcp.example", "authorization": "my-own-token"}])
    text = mock.get("/penstock/journal").body.decode()
    assert key not in text and "my-own-token" not in text and "journal-0123456789" not in text
    [entry] = read(mock)
    assert re.fullmatch(r"my key is sk-o\*\*\* sha256:[0-9a-f]{16}", entry["body"]["input"])
    assert re.fullmatch(r"Bearer sk-j\*\*\* sha256:[0-9a-f]{16}", entry["headers"]["authorization"])


def test_bounded(world):
    mock = world.mock("--journal", "5")
    for i in range(12):
        mock.request("POST", "/v1/chat/completions", chat_body(f"count plum to {i + 1}"))
    assert [e["seq"] for e in read(mock)] == [8, 9, 10, 11, 12]
    mock = world.mock("--journal", "0")
    mock.request("POST", "/v1/chat/completions", chat_body("hi"))
    assert read(mock) == []


def test_a_client_that_leaves(mock):
    with mock.connect() as c:
        c.send_request("POST", "/v1/chat/completions", chat_body("count plum to 9", stream=True, metadata={"step": "k"}))
        c.read_response()
        mock.step("k", 2)
    expect(mock, where={"end": "cancelled"}, count=1, within_ms=DEADLINE_S * 1000)
    [entry] = read(mock)
    assert entry["finish_reason"] is None and entry["tokens_out"] == 2


# --- expectations -------------------------------------------------------------------------------

def test_expect(mock, client):
    for text in ("the tide", "the moon", "the tide again"):
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": text}])
    assert expect(mock, match={"user": "tide"}, count=2)["matched"] == [1, 3]
    assert expect(mock, order=[{"user": "tide"}, {"user": "moon"}])["matched"] == [1, 2]
    assert expect(mock, match={"user": "tide"}, since=1)["matched"] == [3]
    expect(mock, match={"user": "sun"}, count=0)
    failed = expect(mock, 417, match={"user": "moon", "model": "claude-*"})
    assert failed["wanted"] == "at least 1" and failed["matched"] == []
    assert failed["nearest"][0]["seq"] == 2
    [why] = failed["nearest"][0]["why_not"]
    assert "model" in why and "gpt-4o" in why
    r = mock.request("POST", "/penstock/expect", b'{"match": {"usr": "x"}}')
    assert r.status == 400 and b"did you mean" in r.body


def test_expect_waits_for_what_comes(mock, client):
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(
        expect(mock, match={"user": "plum"}, where={"end": "completed"}, count=2, within_ms=DEADLINE_S * 1000)))
    waiting.start()
    for _ in range(2):
        client.chat.completions.create(model="m", messages=QUESTION)
    waiting.join(DEADLINE_S)
    assert answers and answers[0]["matched"] == [1, 2]


# --- rules --------------------------------------------------------------------------------------

def test_violations_are_noted(mock, client):
    raw = client.chat.completions.with_raw_response.create(model="o3-mini", messages=QUESTION, max_tokens=50, temperature=0.5)
    assert raw.headers["x-penstock-violations"] == "2"
    assert raw.parse().choices[0].message.content == numbered("plum", 3)
    [entry] = read(mock)
    assert [(v["rule"], v["severity"], v["path"]) for v in entry["violations"]] == [
        ("reasoning-max-tokens", "error", "max_tokens"), ("reasoning-sampling", "error", "temperature")]
    clean = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=QUESTION)
    assert "x-penstock-violations" not in clean.headers
    metrics = mock.get("/metrics").body.decode()
    assert 'penstock_mock_violations_total{rule="reasoning-max-tokens"} 1\n' in metrics


def test_strict_answers_as_the_provider_does(world):
    mock = world.mock("--strict")
    client = openai.OpenAI(base_url=mock.base_url, api_key="any", max_retries=0)
    claude = anthropic.Anthropic(base_url=mock.url, api_key="any", max_retries=0)
    with pytest.raises(openai.BadRequestError) as e:
        client.chat.completions.create(model="o3-mini", messages=QUESTION, max_tokens=50)
    assert (e.value.code, e.value.param, e.value.type) == ("unsupported_parameter", "max_tokens", "invalid_request_error")
    assert "Use 'max_completion_tokens' instead." in str(e.value)
    with pytest.raises(openai.BadRequestError) as e:
        client.responses.create(model="m", input=[{"role": "assistant", "content": [{"type": "input_text", "text": "t"}]}])
    assert (e.value.code, e.value.param) == ("invalid_value", "input[0].content[0].type")
    with pytest.raises(anthropic.BadRequestError) as e:
        claude.messages.create(model="m", max_tokens=9, messages=QUESTION, tools=[{"name": "get it", "input_schema": {"type": "object"}}])
    assert "tools.0.name: String should match pattern" in str(e.value)
    # what is in order is answered, and what is only strange
    assert client.chat.completions.create(model="gpt-4o", messages=QUESTION, max_tokens=50, temperature=2)
    assert client.chat.completions.create(model="gpt-4o", messages=QUESTION, extra_body={"top_k": 5})
    assert claude.messages.create(model="m", max_tokens=9, messages=QUESTION)
