# SPDX-License-Identifier: Apache-2.0
"""What needs no change is not changed, byte for byte, both ways; what must be cut out is cut out exactly."""
import gzip
import json
import random

import pytest

import raw
from harness import SECRETS, chat_body
from raw import completion_of, stream_of

ODD_FRAMES = [
    # Unknown members, odd number spellings, white space, escapes that need not be there, key order.
    b'data: {"choices":[{"delta":{"role":"assistant"},"index":0}],"id":"chatcmpl-\\u0061","created":1.763683200e9,'
    b'"object":"chat.completion.chunk","model":"m"}\n\n',
    b'data: { "id" : "x" ,\t"choices":[ {"index":0, "delta":{"content":"\\u00e9\\/\xc3\xa9\\ud83d\\ude00"},'
    b'"logprobs":null,"finish_reason":null} ], "zzz":{"deep":[1E5,-0.0,1.10,12345678901234567890]} }\n\n',
    b'data:{"id":"x","choices":[{"index":0,"delta":{"content":"no space"}}]}\n\n',
    b'data:  {"id":"x","choices":[{"index":0,"delta":{"content":"two spaces"}}]}\n\n',
    b': a comment\n\n',
    b': glued to its event\ndata: {"id":"x","choices":[{"index":0,"delta":{"content":"b"}}]}\n\n',
    b'event: message\ndata: {"id":"x","choices":[{"index":0,"delta":{"content":"named"}}]}\n\n',
    b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"crlf"}}]}\r\n\r\n',
    b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"c"}}],"obfuscation":"aZ09"}\n\n',
    b'data: {"id":"x","choices":[{"index":0,"delta":{"reasoning":"hm","reasoning_details":[{"type":"reasoning.text",'
    b'"text":"hm","signature":"AbC=="}]}}]}\n\n',
    b'data: {"id":"","object":"","created":0,"model":"","choices":[],"prompt_filter_results":[{"prompt_index":0}]}\n\n',
    b'data: {"id":"x","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function",'
    b'"function":{"name":"f","arguments":""}}]}}]}\n\n',
    b'data: {"id":"x","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\\"a\\": 1.0}"}}]}}]}\n\n',
    b'data: {"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n',
    b'data: [DONE]\n\n',
]
ODD = b"".join(ODD_FRAMES)
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


def answers_with(body, cuts=lambda n: ()):
    def script(connection):
        while connection.read_request():
            connection.send_stream(body, cuts(len(body)))
    return script


def streamed(gateway, **more):
    with gateway.connect() as c:
        return c.chat(chat_body("hi", **more)).read_all()


@pytest.mark.smoke
@pytest.mark.parametrize("how", ["observe", "asked"])
def test_a_stream_is_byte_identical(world, upstream, how):
    """With metering off, and with metering on for a client that asked for usage itself."""
    up = upstream(answers_with(ODD))
    gateway = world.gateway_for(up.base_url, provider={"metering": "observe" if how == "observe" else "inject"})
    more = {"stream_options": {"include_usage": True}} if how == "asked" else {}
    response = streamed(gateway, **more)
    assert response.body == ODD
    assert response.header("content-type") == "text/event-stream; charset=utf-8"
    assert response.header("cache-control") == "no-cache, no-transform"
    assert response.header("x-accel-buffering") == "no"
    assert response.header("connection") == "keep-alive"
    m = gateway.metrics()
    assert m.sum("penstock_frames_total", kind="repaired") == m.sum("penstock_frames_total", kind="dropped") == 0


def test_odd_bytes_are_identical_with_injection_when_there_is_no_usage(world, upstream):
    gateway = world.gateway_for(upstream(answers_with(ODD)).base_url)
    assert streamed(gateway).body == ODD


def test_however_it_is_cut(world, upstream):
    """The simulated network tries every offset; here some of them go over real sockets."""
    dice = random.Random(7)
    tries = iter([lambda n: range(1, n)] + [lambda n: dice.sample(range(1, n), dice.choice([1, 5, 60]))] * 12)

    def script(connection):
        while connection.read_request():
            connection.send_stream(ODD, next(tries)(len(ODD)))

    gateway = world.gateway_for(upstream(script).base_url, provider={"metering": "observe"})
    with gateway.connect() as c:
        for _ in range(13):
            assert c.chat(chat_body("hi")).read_all().body == ODD


def test_usage_that_only_we_asked_for_is_cut_out(world, upstream):
    """What remains is what a provider sends that was not asked: no usage chunk, and no usage key."""
    up = upstream(answers_with(stream_of("Blue", " whale", usage=USAGE)))
    gateway = world.gateway_for(up.base_url)
    assert streamed(gateway).body == stream_of("Blue", " whale")
    assert up.requests[0].json()["stream_options"] == {"include_usage": True}
    m = gateway.metrics()
    assert m.sum("penstock_tokens_total", kind="input") == 11
    assert m.sum("penstock_tokens_total", kind="output") == 7
    assert m.sum("penstock_usage_total", source="reported") == 1


@pytest.mark.parametrize("before, after", [
    (b'{"id":"x","usage":null,"choices":[]}', b'{"id":"x","choices":[]}'),
    (b'{"usage":null,"id":"x","choices":[]}', b'{"id":"x","choices":[]}'),
    (b'{"id":1.50,"choices":[],"usage":null}', b'{"id":1.50,"choices":[]}'),
    (b'{"id":"\\"usage\\":null","choices":[{"index":0,"delta":{"content":"\\"usage\\":null,"}}],"usage":null}',
     b'{"id":"\\"usage\\":null","choices":[{"index":0,"delta":{"content":"\\"usage\\":null,"}}]}'),
    (b'{"choices":[{"index":0,"delta":{"content":"a","usage":null}}],"usage":null}',
     b'{"choices":[{"index":0,"delta":{"content":"a","usage":null}}]}'),
    (b'{"choices":[{"index":0,"delta":{"content":"a"}}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}',
     b'{"choices":[{"index":0,"delta":{"content":"a"}}]}'),
])
def test_the_usage_key_is_cut_out_with_its_comma(world, upstream, before, after):
    whole = stream_of("a")
    opening, rest = whole.split(b"\n\n", 1)
    body = opening + b"\n\n" + b"data: " + before + b"\n\n" + rest
    gateway = world.gateway_for(upstream(answers_with(body)).base_url)
    assert streamed(gateway).body == opening + b"\n\n" + b"data: " + after + b"\n\n" + rest


def test_usage_on_the_finish_chunk(world, upstream):
    """As many compatible servers do it: the finish must stay."""
    def finish(extra):
        return b'data: {"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]' + extra + b'}\n\n'
    start, end = stream_of("a").split(b"\n\n")[0] + b"\n\n", b"data: [DONE]\n\n"
    body = start + finish(b',"usage":' + json.dumps(USAGE).encode()) + end
    gateway = world.gateway_for(upstream(answers_with(body)).base_url)
    assert streamed(gateway).body == start + finish(b"") + end
    assert gateway.metrics().sum("penstock_tokens_total", kind="output") == 7


# ---- the request ----

def body_upstream(world, upstream, body, **settings):
    """What reaches the provider of a request with this body: the whole request."""
    def script(connection):
        while request := connection.read_request():
            if request.json().get("stream"):
                connection.send_stream(stream_of("a"))
            else:
                connection.send_json(completion_of())
    up = upstream(script)
    gateway = world.gateway_for(up.base_url, **settings)
    with gateway.connect() as c:
        assert c.chat(body).read_all().status == 200
    return up.requests[0]


ODD_REQUEST = (b'{ "messages" : [ {"role":"user","content":"\\u0068i \xc3\xa9","x":1.0e2} ],\r\n "temperature":0.70,'
               b'"seed":12345678901234567890,"model":\t"mock-1" , "new_field":{"a":[ 1 , 2.50 ]}, "stream" : %s }')


@pytest.mark.parametrize("stream", [b"false", b"true"])
def test_the_request_is_byte_identical(world, upstream, stream):
    body = ODD_REQUEST % stream
    assert body_upstream(world, upstream, body, provider={"metering": "observe"}).body == body


def test_only_the_models_name_is_replaced(world, upstream):
    models = [{"name": "mock-1", "targets": [{"provider": "up", "model": "the/real \"one\""}]}]
    body = ODD_REQUEST % b"false"
    up = upstream(lambda c: c.read_request() and c.send_json(completion_of()))
    config = {**world.config_for(up.base_url), "models": models}
    with world.gateway(config).connect() as c:
        assert c.chat(body).read_all().status == 200
    got = up.requests[0]
    assert got.body == body.replace(b'"mock-1"', b'"the/real \\"one\\""')
    assert got.json()["model"] == 'the/real "one"'


@pytest.mark.parametrize("options", [b"", b',"stream_options":{}', b',"stream_options":null',
                                     b',"stream_options":{"include_obfuscation":false}',
                                     b',"stream_options" : { "include_usage" : false }'])
def test_asking_for_usage_is_one_splice(world, upstream, options):
    body = (ODD_REQUEST % b"true")[:-2] + options + b" }"
    got = body_upstream(world, upstream, body).body
    asked = json.loads(body)
    asked["stream_options"] = {**(asked.get("stream_options") or {}), "include_usage": True}
    assert json.loads(got) == asked
    prefix = next(i for i in range(len(got)) if i == len(body) or got[i] != body[i])
    suffix = next(i for i in range(len(got)) if i == len(body) or got[-1 - i] != body[-1 - i])
    replaced = {b',"stream_options":null': 4, b',"stream_options" : { "include_usage" : false }': 5}.get(options, 0)
    assert prefix + suffix >= len(body) - replaced, "one place, and nothing else"


def test_nothing_is_asked_for_of_a_whole_answer(world, upstream):
    body = ODD_REQUEST % b"false"
    assert body_upstream(world, upstream, body).body == body


# ---- credentials and headers ----

SENT = [("Authorization", "Bearer {key}"), ("Api-Key", "{key}"), ("X-Api-Key", "{key}"), ("Cookie", "session={key}"),
        ("Proxy-Authorization", "Basic {key}"), ("User-Agent", "OpenAI/Python 9"), ("X-Stainless-Lang", "python"),
        ("OpenAI-Organization", "org-1"), ("X-Client-Request-Id", "mine"), ("Idempotency-Key", "once"),
        ("traceparent", "00-a-b-01"), ("X-Custom", "custom"), ("Connection", "keep-alive, X-Hop"), ("X-Hop", "hop"),
        ("TE", "trailers"), ("Accept-Encoding", "gzip")]


def headers_upstream(world, upstream, **provider):
    key = SECRETS.new("client")
    sent = [(name, value.format(key=key)) for name, value in SENT]
    up = upstream(lambda c: c.read_request() and c.send_json(completion_of()))
    config = world.config_for(up.base_url, provider=provider)
    with world.gateway(config).connect() as c:
        response = c.chat(chat_body("hi", stream=False), sent).read_all()
        assert response.status == 200, response.body
    return up.requests[0], key, config["providers"]["up"].get("api_key")


def test_the_clients_credentials_stay_here(world, upstream):
    request, key, own = headers_upstream(world, upstream)
    assert request.header("authorization") == f"Bearer {own}"
    assert key not in str(request.headers) and key.encode() not in request.body
    for name in ("user-agent", "x-stainless-lang", "openai-organization", "x-custom", "x-hop", "te", "cookie",
                 "accept-encoding", "proxy-authorization"):
        value = request.header(name)
        assert value is None or (name == "user-agent" and value.startswith("penstock/")), (name, value)
    assert request.header("x-client-request-id") == "mine"
    assert request.header("idempotency-key") == "once"
    assert request.header("traceparent") == "00-a-b-01"


def test_auth_none_sends_none(world, upstream):
    request, key, _ = headers_upstream(world, upstream, auth="none", api_key="")
    assert not request.has_header("authorization") and key not in str(request.headers)


def test_auth_passthrough_sends_the_clients(world, upstream):
    request, key, own = headers_upstream(world, upstream, auth="passthrough", api_key="")
    assert request.header("authorization") == f"Bearer {key}"
    assert not request.has_header("cookie")


def test_listed_headers_are_forwarded(world, upstream):
    request, _, _ = headers_upstream(world, upstream, forward_headers=["x-custom", "x-hop"])
    assert request.header("x-custom") == "custom"
    assert not request.has_header("x-hop"), "nominated by Connection"


# ---- whole answers ----

def whole(world, upstream, answer, status=200, headers=(), stream=False):
    def script(connection):
        while connection.read_request():
            connection.send_json(answer, status, headers)
    gateway = world.gateway_for(upstream(script).base_url)
    with gateway.connect() as c:
        response = c.chat(chat_body("hi", stream=stream)).read_all()
    return response, gateway


def test_a_whole_answer_is_byte_identical(world, upstream):
    body = b' { "id":"x", "n":1.50e1,\r\n"choices":[{"index":0,"message":{"role":"assistant","content":"\\u0061"},' \
           b'"finish_reason":"stop"}], "weird" : [ ] } \n'
    response, _ = whole(world, upstream, body)
    assert response.body == body and response.status == 200
    assert response.header("content-length") == str(len(body))


def test_a_large_whole_answer_is_byte_identical(world, upstream):
    """Above limits.response: passed on as it comes."""
    body = json.dumps(completion_of("x" * 3_000_000)).encode()
    response, _ = whole(world, upstream, body)
    assert response.body == body


def test_the_providers_error_keeps_status_body_and_advice(world, upstream):
    body = b'{"error": {"message":"Too fast","type":"requests","param":null,"code":"rate_limit_exceeded", "more":[1.0]}}'
    response, _ = whole(world, upstream, body, 429, ["Retry-After: 7", "retry-after-ms: 6900", "x-should-retry: true",
                                                     "x-ratelimit-remaining-tokens: 0", "Set-Cookie: a=b",
                                                     "x-request-id: req_theirs", "Server: theirs"])
    assert (response.status, response.body) == (429, body)
    assert response.header("retry-after") == "7" and response.header("retry-after-ms") == "6900"
    assert response.header("x-should-retry") == "true"
    assert response.header("x-ratelimit-remaining-tokens") == "0"
    assert response.header("x-upstream-request-id") == "req_theirs"
    assert response.header("x-request-id").startswith("req_") and response.header("x-request-id") != "req_theirs"
    assert not response.has_header("set-cookie") and response.header("server") != "theirs"


@pytest.mark.parametrize("foreign", [
    b'{"object":"error","message":"no such thing","type":"BadRequestError","param":null,"code":400}',
    b'{"detail":"no such thing"}', b'[{"error":{"code":400,"message":"no such thing","status":"INVALID"}}]',
    b'{"type":"error","error":{"type":"invalid_request_error","message":"no such thing"}}',
    b'{"error":"no such thing"}', b'no such thing'])
def test_foreign_errors_are_put_into_shape(world, upstream, foreign):
    response, _ = whole(world, upstream, foreign, 400)
    assert response.status == 400
    error = response.json()["error"]
    assert "no such thing" in error["message"] and isinstance(error["type"], str)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("answer", [b'{"error":{"message":"inside a 200","type":"server_error","param":null,"code":null}}',
                                    b"<html>welcome</html>", b"", b'{"id":"x","choi'])
def test_a_200_that_is_none_becomes_an_error(world, upstream, answer, stream):
    response, _ = whole(world, upstream, answer, stream=stream)
    assert response.status >= 500
    assert response.error["type"]


def test_json_for_a_stream_becomes_a_stream(world, upstream):
    response, gateway = whole(world, upstream, completion_of("Blue whale"), stream=True)
    assert response.header("content-type").startswith("text/event-stream")
    assert response.text() == "Blue whale"
    assert response.events()[-1] == "[DONE]"
    assert [c["finish_reason"] for e in response.events()[:-1] for c in e["choices"] if c["finish_reason"]] == ["stop"]
    assert gateway.metrics().ends() == {"ok": 1}


# ---- frames that would break an SDK ----

CONTENT = b'{"id":"x","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}'


@pytest.mark.parametrize("sent, wanted", [
    (b"\xef\xbb\xbfdata: " + CONTENT + b"\n\n", b"data: " + CONTENT + b"\n\n"),
    (b"id: 7\ndata: " + CONTENT + b"\n\n", b"data: " + CONTENT + b"\n\n"),
    (b"retry: 10\n\ndata: " + CONTENT + b"\n\n", b"data: " + CONTENT + b"\n\n"),
    (b"data:\n\ndata: " + CONTENT + b"\n\n", b"data: " + CONTENT + b"\n\n"),
    (b"event: ping\n\ndata: " + CONTENT + b"\n\n", b"data: " + CONTENT + b"\n\n"),
    (b"data: " + CONTENT + b"\r\r", b"data: " + CONTENT + b"\n\n"),
], ids=["byte-order mark", "id", "retry", "empty data", "no data", "lone CR"])
def test_frames_are_repaired(world, upstream, sent, wanted):
    rest = stream_of("b")
    gateway = world.gateway_for(upstream(answers_with(sent + rest)).base_url, provider={"metering": "observe"})
    assert streamed(gateway).body == wanted + rest
    m = gateway.metrics()
    assert m.sum("penstock_frames_total", kind="repaired") + m.sum("penstock_frames_total", kind="dropped") >= 1


@pytest.mark.parametrize("last", [b"", b"data: [DONE]", b"data: [DONE] \n\n", b"data: [DONE]\n\ndata: late\n\n"],
                         ids=["none", "no empty line", "trailing blank", "more behind it"])
def test_the_end_mark_is_there_once_and_whole(world, upstream, last):
    body = stream_of("a", done=False)
    gateway = world.gateway_for(upstream(answers_with(body + last)).base_url, provider={"metering": "observe"})
    response = streamed(gateway)
    assert response.body == body + b"data: [DONE]\n\n"
    assert gateway.metrics().ends() == {"ok": 1}


def test_the_end_mark_ends_the_clients_body_although_the_provider_goes_on(world, upstream):
    def script(connection):
        connection.read_request()
        connection.send_head()
        connection.send_chunk(stream_of("a"))
        connection.wait_closed()  # no last chunk

    gateway = world.gateway_for(upstream(script).base_url)
    assert streamed(gateway).body == stream_of("a")


def test_http_1_0_and_close_delimited_answers(world, upstream):
    def script(connection):
        connection.read_request()
        head = b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        connection.send(head + stream_of("old"))

    gateway = world.gateway_for(upstream(script).base_url, provider={"metering": "observe"})
    assert streamed(gateway).body == stream_of("old")


def test_interim_answers_are_skipped(world, upstream):
    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
        connection.send_stream(stream_of("a"))

    gateway = world.gateway_for(upstream(script).base_url)
    assert streamed(gateway).text() == "a"


def test_gzip_that_nobody_asked_for(world, upstream):
    def script(connection):
        request = connection.read_request()
        assert not request.has_header("accept-encoding")
        connection.send_head(headers=["Content-Encoding: gzip"])
        packed = gzip.compress(stream_of("packed"))
        for i in range(0, len(packed), 7):
            connection.send_chunk(packed[i:i + 7])
        connection.end_chunks()

    gateway = world.gateway_for(upstream(script).base_url, provider={"metering": "observe"})
    response = streamed(gateway)
    assert response.body == stream_of("packed") and not response.has_header("content-encoding")


@pytest.mark.parametrize("where", ["first", "later"])
def test_an_error_event(world, upstream, where):
    """As the first event it still gets a status of its own; later it passes as it came."""
    error = b'data: {"error": {"message":"burst pipe","type":"server_error","param":null,"code":"boom"}}\n\n'
    opening = stream_of("a").split(b"\n\n")
    body = error if where == "first" else b"\n\n".join(opening[:2]) + b"\n\n" + error
    gateway = world.gateway_for(upstream(answers_with(body)).base_url, provider={"metering": "observe"})
    response = streamed(gateway)
    if where == "first":
        assert response.status >= 500 and "burst pipe" in response.error["message"]
    else:
        assert response.status == 200 and response.body == body
    assert gateway.metrics().ends() == {"upstream_error_event": 1}


def test_a_large_event_is_cut_through(world, upstream):
    """A frame that nobody needs to read is passed on while it still comes."""
    big = stream_of("x" * 400_000)

    def script(connection):
        connection.read_request()
        connection.send_head()
        connection.send_chunk(big[:300_000])
        connection.upstream.told.get(timeout=raw.TIMEOUT_S)  # until a part of it has arrived
        connection.send_chunk(big[300_000:])
        connection.end_chunks()

    up = upstream(script)
    gateway = world.gateway_for(up.base_url, provider={"metering": "observe"})
    with gateway.connect() as c:
        response = c.chat(chat_body("hi"))
        response.read_bytes(100_000)
        up.told.put("seen")
        assert response.read_all().body == big
    assert gateway.metrics().sum("penstock_frames_total", kind="cut_through") >= 1


def test_a_cut_in_a_cut_through_event_is_seen(world, upstream):
    """There is no way to say it in band: the connection breaks without its last chunk."""
    def script(connection):
        connection.read_request()
        connection.send_head()
        connection.send_chunk(stream_of("x" * 400_000)[:300_000])
        connection.upstream.told.get(timeout=raw.TIMEOUT_S)
        connection.reset()

    up = upstream(script)
    gateway = world.gateway_for(up.base_url, provider={"metering": "observe"})
    with gateway.connect() as c:
        response = c.chat(chat_body("hi"))
        response.read_bytes(100_000)
        up.told.put("seen")
        with pytest.raises((raw.Closed, ConnectionResetError)):
            response.read_all()
    assert gateway.wait_metric("penstock_requests_total", 1, end="upstream_cut").ends() == {"upstream_cut": 1}
