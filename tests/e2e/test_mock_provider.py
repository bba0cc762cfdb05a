# SPDX-License-Identifier: Apache-2.0
"""Who may ask a mock for what: keys, limits, models, browsers; several providers in one process; settings
of a running one."""
import json

import anthropic
import openai
import pytest

import harness

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"


def chat(text="hi", model="m", **more):
    return json.dumps({"model": model, "messages": [{"role": "user", "content": text}], **more}).encode()


def messages(text="hi", **more):
    return json.dumps({"model": "m", "max_tokens": 50,
                       "messages": [{"role": "user", "content": text}], **more}).encode()


def bearer(key):
    return [("authorization", f"Bearer {key}")]


# ---- keys ----

def test_a_key_is_asked_for(world):
    mock = world.mock("--key", "sk-right-one-here")
    for headers in ([], bearer("sk-wrong-key-there")):
        r = mock.request("POST", CHAT, chat(), headers)
        assert r.status == 401
        assert r.json()["error"]["type"] == "invalid_request_error"
    assert r.json()["error"]["code"] == "invalid_api_key"
    assert "sk-w****here" in r.json()["error"]["message"]
    assert "sk-wrong-key-there" not in r.body.decode()
    r = mock.request("POST", MESSAGES, messages(), [("x-api-key", "nonsense")])
    assert (r.status, r.json()["error"]["type"]) == (401, "authentication_error")
    assert mock.request("GET", "/v1/models").status == 401
    assert mock.get("/health").status == 200
    assert mock.request("POST", CHAT, chat(), bearer("sk-right-one-here")).status == 200
    assert mock.request("POST", MESSAGES, messages(), [("x-api-key", "sk-right-one-here")]).status == 200


def test_sdks_know_a_wrong_key(world):
    mock = world.mock("--key", "sk-right")
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=mock.base_url, api_key="sk-wrong").models.list()
    with pytest.raises(anthropic.AuthenticationError):
        anthropic.Anthropic(base_url=mock.url, api_key="sk-wrong").messages.create(
            model="m", max_tokens=5, messages=[{"role": "user", "content": "hi"}])


# ---- limits ----

def test_requests_a_minute(world):
    mock = world.mock("--rpm", "2", "--clock", "manual")
    for left in ("1", "0"):
        r = mock.request("POST", CHAT, chat(), bearer("k1"))
        assert r.status == 200
        assert r.header("x-ratelimit-limit-requests") == "2"
        assert r.header("x-ratelimit-remaining-requests") == left
    r = mock.request("POST", CHAT, chat(), bearer("k1"))
    assert r.status == 429
    assert r.json()["error"]["code"] == "rate_limit_exceeded"
    assert "Limit 2, Used 2, Requested 1" in r.json()["error"]["message"]
    assert r.header("retry-after") == "30"
    assert r.header("x-ratelimit-reset-requests") == "1m0s"
    assert mock.request("POST", CHAT, chat(), bearer("k2")).status == 200, "limits are by key"
    assert mock.request("POST", "/penstock/clock?advance=31s").status == 200
    assert mock.request("POST", CHAT, chat(), bearer("k1")).status == 200


def test_tokens_a_minute(world):
    mock = world.mock("--tpm", "200", "--tokens", "150", "--clock", "manual")
    r = mock.request("POST", MESSAGES, messages(max_tokens=200), [("x-api-key", "k")])
    assert r.status == 200
    assert r.header("anthropic-ratelimit-tokens-limit") == "200"
    r = mock.request("POST", MESSAGES, messages("word " * 60), [("x-api-key", "k")])
    assert (r.status, r.json()["error"]["type"]) == (429, "rate_limit_error")
    assert int(r.header("retry-after")) > 0


def test_a_key_has_limits_of_its_own(world):
    mock = world.mock("--key", "k1,rpm=1", "--key", "k2,tier=tier2", "--clock", "manual")
    assert mock.request("POST", CHAT, chat(), bearer("k1")).status == 200
    assert mock.request("POST", CHAT, chat(), bearer("k1")).status == 429
    r = mock.request("POST", CHAT, chat(), bearer("k2"))
    assert (r.status, r.header("x-ratelimit-limit-requests")) == (200, "5000")
    assert r.header("x-ratelimit-limit-tokens") == "450000"


def test_sdks_know_a_limit_and_retry(world):
    mock = world.mock("--rpm", "1", "--clock", "manual")
    client = openai.OpenAI(base_url=mock.base_url, api_key="k", max_retries=0)
    ask = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    client.chat.completions.create(**ask)
    with pytest.raises(openai.RateLimitError) as e:
        client.chat.completions.create(**ask)
    assert e.value.code == "rate_limit_exceeded"


# ---- models ----

@pytest.mark.parametrize("args, known, unknown", [
    ((), 200, 200),
    (("--model", "m"), 200, 404),
    (("--model", "m", "--models", "open"), 200, 200),
    (("--models", "closed"), 404, 404),
])
def test_models(world, args, known, unknown):
    mock = world.mock(*args)
    assert mock.request("POST", CHAT, chat()).status == known
    r = mock.request("POST", CHAT, chat(model="other"))
    assert r.status == unknown
    if unknown == 404:
        assert r.json()["error"]["code"] == "model_not_found"
        with pytest.raises(openai.NotFoundError):
            openai.OpenAI(base_url=mock.base_url, api_key="k").models.retrieve("other")
        with pytest.raises(anthropic.NotFoundError):
            anthropic.Anthropic(base_url=mock.url, api_key="k").models.retrieve("other")


# ---- browsers ----

def test_browsers(world):
    mock = world.mock()
    r = mock.request("OPTIONS", CHAT, headers=[("origin", "https://app.example"),
                                               ("access-control-request-method", "POST"),
                                               ("access-control-request-headers", "authorization,x-stainless-os")])
    assert r.status == 204
    assert r.header("access-control-allow-origin") == "*"
    assert "POST" in r.header("access-control-allow-methods")
    assert r.header("access-control-allow-headers") == "authorization,x-stainless-os"
    for body in (chat(), chat(stream=True), b"{"):
        assert mock.request("POST", CHAT, body).header("access-control-allow-origin") == "*"
    # control requests are not for pages of others
    r = mock.request("OPTIONS", "/penstock/journal")
    assert r.status == 405 and r.header("allow") == "GET, HEAD, DELETE"
    assert not mock.get("/penstock/journal").has_header("access-control-allow-origin")
    mock = world.mock("--cors", "https://app.example")
    assert mock.request("POST", CHAT, chat()).header("access-control-allow-origin") == "https://app.example"
    mock = world.mock("--cors", "off")
    assert not mock.request("POST", CHAT, chat()).has_header("access-control-allow-origin")
    r = mock.request("OPTIONS", CHAT)
    assert r.status == 405 and r.header("allow") == "POST"
    for path, allow in (("/v1/responses/r", "GET, HEAD, DELETE"), ("/v1/responses/r/cancel", "POST"),
                        ("/v1/conversations/c/items", "GET, HEAD, POST"), ("/v1/conversations/c/items/i", "GET, HEAD, DELETE")):
        r = mock.request("DELETE" if allow.endswith("POST") else "POST", path)
        assert r.status == 405 and r.header("allow") == allow, path


# ---- errors of the server's own, in the client's words ----

@pytest.mark.parametrize("path, headers, is_anthropic", [
    ("/v1/messages", [], True), ("/v1/messages/batches", [], True), ("/v1/chat/completions", [], False),
    ("/nope", [("anthropic-version", "2023-06-01")], True), ("/nope", [("x-api-key", "k")], True),
    ("/nope", [("x-api-key", "k"), ("authorization", "Bearer k")], False), ("/v1/models", [("x-api-key", "k")], False)])
def test_errors_in_the_clients_words(world, path, headers, is_anthropic):
    mock = world.mock()
    for extra in ([], [("content-length", "99999999999")]):
        r = mock.request("PATCH", path, headers=headers + extra)
        assert r.status in (404, 405, 413)
        assert (r.json().get("type") == "error") == is_anthropic, (path, r.status, r.body)


# ---- several providers ----

def test_several_providers(world):
    ready = world.path("ready.json")
    mock = world.mock("--text", "one", "--ready-file", ready, "--listen", "127.0.0.1:0", "--name", "two",
                      "--text", "two", "--key", "k2", "--listen", "127.0.0.1:0", "--seed", "7")
    told = json.load(open(ready))
    assert told["pid"] == mock.pid
    assert [p["name"] for p in told["providers"]] == [None, "two", None]
    answers = []
    for p in told["providers"]:
        client = openai.OpenAI(base_url=p["base_url"], api_key="k2")
        done = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "echo: hello"}])
        answers.append(done.choices[0].message.content)
    assert answers[:2] == ["one", "two"]
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=told["providers"][1]["base_url"], api_key="k1").models.list()


def test_a_file_of_providers(world):
    ready = world.path("ready.json")
    file = world.write("mock.yaml", """
itl: 0
ttft: 0
providers:
  fast: {listen: 127.0.0.1:0, text: fast}
  slow: {listen: 127.0.0.1:0, text: slow, model: [m]}
""")
    mock = harness.Mock(["--config", file, "--ready-file", ready], world.folder)
    world.running.append(mock)
    providers = json.load(open(ready))["providers"]
    assert [p["name"] for p in providers] == ["fast", "slow"]
    for p in providers:
        client = openai.OpenAI(base_url=p["base_url"], api_key="k")
        done = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        assert done.choices[0].message.content == p["name"]


@pytest.mark.parametrize("text, said", [
    ("itll: 5ms\n", "mock.yaml:1:1: itll: unknown setting; did you mean itl?"),
    ("providers: {a: {itl: x}}\n", "mock.yaml:1:22: itl: 'x' is not a time"),
    ("a: [\n", "mock.yaml:2"),
])
def test_a_wrong_file_is_told(world, text, said):
    world.write("mock.yaml", text)
    done = world.run("mock", "--config", "mock.yaml")
    assert done.returncode == 3
    assert said in done.stderr


@pytest.mark.parametrize("args, said", [
    (["--itl", "soon"], "--itl: 'soon' is not a time"),
    (["--burst", "4ms"], "--burst: '4ms' is no number of tokens"),
    (["--tokens", "-1"], "--tokens: expected a whole number"),
    (["--clock", "cuckoo"], "--clock: expected one of real|virtual|manual"),
    (["--key", "k,rpm=x"], "--key: expected KEY"),
    (["--config", "nowhere.yaml"], "--config: nowhere.yaml cannot be read"),
    (["--listen", "nonsense"], "nonsense"),
    (["--itll", "3"], "did you mean --itl?"),
    (["--tls-cert", "nowhere.pem", "--tls-key", "nowhere.key"], "cannot load the certificate 'nowhere.pem'"),
])
def test_a_wrong_flag_is_told(world, args, said):
    done = world.run("mock", *args)
    assert done.returncode == 2
    assert said in done.stderr


# ---- bursts ----

def pieces(mock, headers=()):
    answer = mock.request("POST", CHAT, chat("tell me a story", stream=True), headers).body.decode()
    events = [json.loads(line[6:]) for line in answer.splitlines() if line.startswith("data: {")]
    return [e["choices"][0]["delta"].get("content") for e in events if e["choices"]]


def test_bursts_are_drawn_and_the_same_again(world):
    args = "--itl", "0", "--tokens", "300", "--burst", "1-4"
    first, second = world.mock(*args), world.mock(*args)
    drawn = pieces(first)
    assert drawn == pieces(second)
    assert 100 < len(drawn) < 150
    whole = first.request("POST", CHAT, chat("tell me a story")).json()
    assert "".join(p for p in drawn if p) == whole["choices"][0]["message"]["content"]
    assert len(pieces(first, [("x-penstock-burst", "1")])) >= 300
    assert len(pieces(first, [("x-penstock-burst", "speculative(4, 70%)")])) < len(drawn)
    r = first.request("POST", CHAT, chat(), [("x-penstock-burst", "0")])
    assert (r.status, "x-penstock-burst: '0'" in r.json()["error"]["message"]) == (400, True)


# ---- embeddings ----

def test_a_misspelt_knob_is_told(world):
    mock = world.mock()
    for name, hint in (("x-penstock-tftt", "; did you mean x-penstock-ttft?"), ("X-Penstock-Weather", "")):
        r = mock.request("POST", CHAT, chat(), [(name, "1s")])
        said = f"{name.lower()}: no such knob{hint}"
        assert (r.status, said in r.json()["error"]["message"].lower()) == (400, True), r.body


def embeddings(inputs, model="text-embedding-3-large", **more):
    return json.dumps({"model": model, "input": inputs, **more}).encode()


def test_the_largest_request_of_embeddings_does_not_hold_up_others(world):
    """A second client is answered while the vectors are on their way."""
    mock = world.mock()
    client = openai.OpenAI(base_url=mock.base_url, api_key="k")
    with mock.connect() as big:
        big.send_request("POST", "/v1/embeddings", embeddings([f"n{i}" for i in range(2048)]), [])
        assert big.read_response().status == 200, "and most of its body is still to be made"
        assert mock.request("POST", CHAT, chat("echo: quick")).status == 200
        asked, _ = mock.journal()
        assert (asked["path"], asked["end"]) == ("/v1/embeddings", None)
    many = client.embeddings.create(model="text-embedding-3-large", input=[f"n{i}" for i in range(300)])
    one = client.embeddings.create(model="text-embedding-3-large", input="n299")
    assert len(many.data) == 300
    assert many.data[299].embedding == one.data[0].embedding


def test_bounds_of_embeddings(world):
    mock = world.mock()
    r = mock.request("POST", "/v1/embeddings", embeddings([[1] * 8193]))
    assert (r.status, r.json()["error"]["code"]) == (400, None)
    assert "maximum context length is 8192 tokens" in r.json()["error"]["message"]
    r = mock.request("POST", "/v1/embeddings", embeddings([[1] * 8000] * 38))
    assert (r.status, r.json()["error"]["code"]) == (400, "max_tokens_per_request")
    assert r.json()["error"]["message"] == "Requested 304000 tokens, max 300000 tokens per request"
    assert mock.request("POST", "/v1/embeddings", embeddings([[1] * 8192])).status == 200
    assert mock.request("POST", "/v1/embeddings", embeddings([[1] * 8193], "one-of-my-own")).status == 200


# ---- settings of a running mock ----

def test_settings_change(world):
    mock = world.mock("--key", "sk-hidden")
    ask = [("authorization", "Bearer sk-hidden")]
    told = mock.get("/penstock/config").json()
    assert (told["ttft"], told["strict"], told["text"]) == ("0", False, None)
    r = mock.request("POST", "/penstock/config", b'{"text": "changed", "itl": "1ms", "model": ["m"]}')
    assert (r.status, r.json()["text"], r.json()["itl"]) == (200, "changed", "1ms")
    assert "sk-hidden" not in r.body.decode()
    done = mock.request("POST", CHAT, chat(), ask).json()
    assert done["choices"][0]["message"]["content"] == "changed"
    assert mock.request("POST", CHAT, chat(model="x"), ask).status == 404
    r = mock.request("POST", "/penstock/config", b"text: null\nmodel: null\n")
    assert r.status == 200, "YAML will do, too"
    assert mock.request("POST", CHAT, chat("echo: so", model="x"), ask).json()["choices"][0]["message"][
        "content"] == "so"


@pytest.mark.parametrize("body, said", [
    (b'{"txt": "a"}', "did you mean text?"),
    (b'{"listen": "127.0.0.1:1"}', "cannot change while the mock is running"),
    (b'{"itl": "empirical(/etc/passwd)"}', "itl"),
    (b"[", "body:"),
])
def test_wrong_settings_are_told_and_change_nothing(world, body, said):
    mock = world.mock("--text", "same")
    r = mock.request("POST", "/penstock/config", body)
    assert r.status == 400
    assert said in r.json()["error"]["message"]
    assert mock.get("/penstock/config").json()["text"] == "same"
