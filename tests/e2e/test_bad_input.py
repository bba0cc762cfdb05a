# SPDX-License-Identifier: Apache-2.0
"""Hostile clients: a clear error in the API's shape, nothing broken, the next request served."""
import json
import os

import pytest

import raw
from harness import chat_body, numbered

OK_BODY = json.dumps(chat_body("count ok to 3")).encode()
CHAT = "/v1/chat/completions"
POST = f"POST {CHAT} HTTP/1.1"


@pytest.fixture
def gateway(shared):
    """The module's gateway; after each test it must still serve."""
    g = shared.gateway
    pid_before = g.pid
    yield g
    with g.connect() as c:
        assert c.chat(OK_BODY).read_all().text() == numbered("ok", 3), "the next request is served"
    assert g.pid == pid_before and g.process.poll() is None


def send_raw(gateway, data):
    """Raw bytes out; the response, or None when the connection was just closed."""
    with gateway.connect() as c:
        try:
            c.send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it answered before it had all
        return c.read_response("POST").read_all()


def post(gateway, body, headers=(), **options):
    with gateway.connect() as c:
        c.send_request("POST", CHAT, body, headers, **options)
        return c.read_response().read_all()


def assert_refused(response, status, kind=None):
    assert response.status == status, response.body[:500]
    kind = kind or ("server_error" if status >= 500 else "invalid_request_error")
    assert response.header("content-type") == "application/json"
    assert response.error["type"] == kind
    assert response.error["message"]
    return response.error


# ---- bodies ----

@pytest.mark.parametrize("body, says", [
    (b"", "empty"),
    (b"hello", "1"),
    (b'{"model":"mock-1","messages":[}', "31"),
    (b'{"model":"mock-1",\n"messages":oops}', "2"),
    (b'{"model":"mock-1","messages":[]} trailing', None),
    (b'{"model":"mock-1"', None),
    (b'{"model":"mock-1","messages":[{"role":"user","content":"tab\there"}]}', None),
    (b'{"a":01,"model":"m","messages":[{}]}', None),
    (b'{"a":NaN,"model":"m","messages":[{}]}', None),
    (b'{"a":"\\ud800","model":"mock-1","messages":[{}]}', None),
    (b"[]", None), (b"null", None), (b'"text"', None), (b"42", None),
    (b"\xff\xfe{\x00}\x00", None),
], ids=str)
def test_bodies_that_are_no_json(gateway, body, says):
    error = assert_refused(post(gateway, body), 400)
    if says:
        assert says in error["message"], error["message"]


def test_malformed_json_tells_the_position(gateway):
    error = assert_refused(post(gateway, b'{"model":"mock-1",\n  "messages": [ {"role" "user"} ]}'), 400)
    assert "line 2" in error["message"] and "column" in error["message"], error["message"]


@pytest.mark.parametrize("body", [
    b'{"model":"mock-1","messages":[{"role":"user","content":"\xff\xfe"}]}',
    b'{"model":"mock-1","messages":[{"role":"user","content":"\xc0\xaf"}]}',
    b'{"model":"mock-1","messages":[{"role":"user","content":"\xed\xa0\x80"}]}',
    b'{"model":"mock-1","messages":[{"role":"user","content":"\xf0\x9f\x98"}]}',
    b'{"model":"mock-\xff","messages":[{"role":"user","content":"hi"}]}',
], ids=["FF", "overlong", "surrogate", "cut", "in the model"])
def test_invalid_utf_8(gateway, body):
    assert_refused(post(gateway, body), 400)


@pytest.mark.parametrize("body", [
    b'{"model":"mock-1",\x00"messages":[{"role":"user","content":"hi"}]}',
    b'{"model":"mock-1","messages":[{"role":"user","content":"a\x00b"}]}',
    bytes(1000),
], ids=["between", "inside", "only"])
def test_nul_bytes(gateway, body):
    assert_refused(post(gateway, body), 400)


@pytest.mark.parametrize("prefix", [b"", b'{"model":"mock-1","messages":', b'{"model":"mock-1","messages":[{}],"x":'])
@pytest.mark.parametrize("bracket", [b"[", b'{"a":'])
def test_ten_megabytes_of_nested_brackets(gateway, prefix, bracket):
    body = prefix + bracket * (10_000_000 // len(bracket))
    assert_refused(post(gateway, body), 400)


def test_the_same_key_twice(gateway):
    """Two readers that choose differently would see two requests."""
    for key in ("model", "stream", "messages"):
        body = json.dumps(chat_body("hi"))[:-1] + f', "{key}": "other"}}'
        assert "twice" in assert_refused(post(gateway, body.encode()), 400)["message"]
    body = b'{"model":"mock-1","messages":[{"role":"user","content":"hi"}],"mod\\u0065l":"gpt-x"}'
    assert_refused(post(gateway, body), 400)


def test_a_body_over_the_limit(world):
    gateway = world.gateway_for(world.mock(), limits={"body": "64KiB"})
    small, large = chat_body("echo: " + "x" * 60_000), chat_body("echo: " + "x" * 70_000)
    assert post(gateway, small).status == 200
    assert assert_refused(post(gateway, large), 413)["code"] == "request_too_large"
    # Announced, and refused before it comes; and in chunks, where the length is not told.
    with gateway.connect() as c:
        c.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
               b"Content-Length: 999999999999\r\n\r\n")
        assert_refused(c.read_response("POST").read_all(), 413)
        assert c.is_closed_by_peer()
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    response = send_raw(gateway, b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
                        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 2)
    assert_refused(response, 413)
    assert gateway.get("/health").status == 200


# ---- heads ----

def head(line, *headers, body=b"", host="Host: localhost"):
    lines = [line] + ([host] if host else []) + ["Content-Type: application/json", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


LENGTH = f"Content-Length: {len(OK_BODY)}"
CHUNKED_BODY = f"{len(OK_BODY):x}\r\n".encode() + OK_BODY + b"\r\n0\r\n\r\n"


@pytest.mark.parametrize("data, status", [
    (head(POST, LENGTH, "Transfer-Encoding: chunked", body=CHUNKED_BODY), 400),
    (head(POST, "Transfer-Encoding: chunked", LENGTH, body=CHUNKED_BODY), 400),
    (head(POST, LENGTH, LENGTH, body=OK_BODY), 400),
    (head(POST, LENGTH, "Content-Length: 1", body=OK_BODY), 400),
    (head(POST, "Content-Length: +5", body=OK_BODY), 400),
    (head(POST, "Content-Length: 5, 5", body=OK_BODY), 400),
    (head(POST, "Content-Length: -1", body=OK_BODY), 400),
    (head(POST, "Content-Length: 99999999999999999999999", body=OK_BODY), 400),
    (head(POST, "Content-Length:", body=OK_BODY), 400),
    (head("POST /v1/chat/completions HTTP/1.0", "Transfer-Encoding: chunked", body=CHUNKED_BODY), 400),
    (head(POST, "Transfer-Encoding: gzip, chunked", body=CHUNKED_BODY), 400),
    (head(POST, "Transfer-Encoding: chunked, chunked", body=CHUNKED_BODY), 400),
    (head(POST, "Transfer-Encoding: identity", body=OK_BODY), 400),
    (head(POST, "Transfer-Encoding : chunked", body=CHUNKED_BODY), 400),
    (head(POST, "Transfer-Encoding: \x0bchunked", body=CHUNKED_BODY), 400),
    (head(POST, "Transfer-Encoding: chunked", body=b"ZZ\r\n"), 400),
    (head(POST, "Transfer-Encoding: chunked", body=b"-5\r\nhello\r\n"), 400),
    (head(POST, "Transfer-Encoding: chunked", body=b"5\r\nhelloXX0\r\n\r\n"), 400),
    (head(POST, "Transfer-Encoding: chunked", body=b"5\nhello\n0\n\n"), 400),
    (head(POST, "Transfer-Encoding: chunked", body=b"fffffffffffffffff\r\n"), 400),
    (head(POST, "X-Folded: a\r\n b", LENGTH, body=OK_BODY), 400),
    (head(POST, LENGTH, host=None, body=OK_BODY), 400),
    (head(POST, LENGTH, "Host: localhost", body=OK_BODY), 400),
    (head(POST, LENGTH, host="Host: local host", body=OK_BODY), 400),
    (head(POST, LENGTH, host="Host: a/b", body=OK_BODY), 400),
    (head(POST, LENGTH, host="Host: localhost:99x", body=OK_BODY), 400),
    (head(POST, LENGTH, "X-Nul: a\x00b", body=OK_BODY), 400),
    (head(POST, LENGTH, "X-Cr: a\rb", body=OK_BODY), 400),
    (head(POST, LENGTH, "No colon here", body=OK_BODY), 400),
    (head(POST, LENGTH, "Bad Name: a", body=OK_BODY), 400),
    (head(POST, LENGTH, ": no name", body=OK_BODY), 400),
    (head("POST  /v1/chat/completions HTTP/1.1", LENGTH, body=OK_BODY), 400),
    (head("POST /v1/chat/completions#x HTTP/1.1", LENGTH, body=OK_BODY), 400),
    (head("POST v1/chat/completions HTTP/1.1", LENGTH, body=OK_BODY), 400),
    (head("BREW /pot HTTP/1.1"), 400),
    (head("POST /v1/chat/completions HTTP/2.0", LENGTH, body=OK_BODY), 505),
    (head("POST /v1/chat/completions HTTP/0.9", LENGTH, body=OK_BODY), 505),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    (b"GET /health\r\n\r\n", 505),
    (head("CONNECT example.com:443 HTTP/1.1"), 501),
    (head(POST, LENGTH, "Expect: a-miracle", body=OK_BODY), 417),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), 400),
    (b"\x00\x01\x02\x03\x04\r\n\r\n", 400),
    (bytes(range(128, 256)) * 4, 400),
], ids=lambda v: str(v)[:110] if isinstance(v, bytes) else str(v))
def test_heads_and_framing(gateway, data, status):
    before = gateway.metrics().sum("penstock_bad_requests_total")
    with gateway.connect() as c:
        c.send(data)
        assert_refused(c.read_response("POST").read_all(), status)
        assert c.is_closed_by_peer(), "whatever stands behind it is not read as a request"
    assert gateway.metrics().sum("penstock_bad_requests_total") == before + 1


def test_a_request_line_that_is_too_long(gateway):
    for data in (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /" + b"a" * 20_000):
        assert_refused(send_raw(gateway, data), 414)


def test_a_header_of_a_megabyte(gateway):
    whole = head(POST, LENGTH, "X-Large: " + "a" * (1 << 20), body=OK_BODY)
    assert_refused(send_raw(gateway, whole), 431)
    many = head("GET /health HTTP/1.1", *(f"X-{i}: {'a' * 600}" for i in range(120)))
    assert_refused(send_raw(gateway, many), 431)
    assert_refused(send_raw(gateway, head("GET /health HTTP/1.1", *(f"X-{i}: a" for i in range(300)))), 431)
    assert_refused(send_raw(gateway, head("GET /health HTTP/1.1", "x" * (1 << 20) + ": a")), 431)


def test_a_megabyte_of_empty_lines(gateway):
    """Allowed in front of a request, but not for ever."""
    with gateway.connect() as c:
        try:
            c.send(b"\r\n" * (1 << 19))
            c.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert c.read_response("GET").read_all().status in (200, 400, 408, 414, 431)
        except (BrokenPipeError, ConnectionResetError):
            pass


# ---- too slow ----

@pytest.fixture
def impatient(world):
    return world.gateway_for(world.mock(), timeouts={"head": "300ms", "body": "300ms", "idle": "300ms"})


@pytest.mark.parametrize("sent", [b"POST ", b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n",
                                  head(POST, "Content-Length: 100"),
                                  head(POST, "Content-Length: 100", body=b'{"model":'),
                                  head(POST, "Transfer-Encoding: chunked", body=b"5\r\nhe")])
def test_what_never_comes_is_a_408(impatient, sent):
    with impatient.connect() as c:
        c.send(sent)
        assert_refused(c.read_response("POST").read_all(), 408)
        assert c.is_closed_by_peer()
    assert impatient.get("/health").status == 200


def test_an_idle_connection_is_closed(impatient):
    with impatient.connect() as c:
        c.send_request("GET", "/health")
        assert c.read_response().read_all().status == 200
        assert c.is_closed_by_peer()


# ---- good HTTP that is less usual ----

def test_pipelined_requests_are_answered_in_order(gateway):
    requests = b"".join([
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        head(POST, LENGTH, body=OK_BODY),
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n",
        head(POST, "Transfer-Encoding: chunked", body=CHUNKED_BODY),
        head(POST, "Content-Length: 2", body=b"{}"),
        b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"])
    with gateway.connect() as c:
        c.send(requests)
        got = [c.read_response("POST").read_all() for _ in range(7)]
    assert [r.status for r in got] == [200, 200, 200, 200, 400, 404, 200]
    assert got[1].text() == got[3].text() == numbered("ok", 3)
    assert got[2].json()["object"] == "list"


def test_a_request_byte_by_byte(gateway):
    with gateway.connect() as c:
        for byte in head(POST, LENGTH, body=OK_BODY):
            c.send(bytes([byte]))
        assert c.read_response("POST").read_all().text() == numbered("ok", 3)


def test_chunks_with_extensions_and_trailers(gateway):
    pieces = b"".join(b"1;name=value\r\n" + bytes([b]) + b"\r\n" for b in OK_BODY)
    response = send_raw(gateway, head(POST, "Transfer-Encoding: chunked",
                                      body=pieces + b"0\r\nX-Trailer: a\r\n\r\n"))
    assert response.text() == numbered("ok", 3)


def test_more_framing_than_content(gateway):
    """Chunk extensions without end are an attack, not a body."""
    with gateway.connect() as c:
        c.send(head(POST, "Transfer-Encoding: chunked"))
        try:
            for _ in range(100):
                c.send(b"1;" + b"x" * 10_000 + b"\r\na\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert_refused(c.read_response("POST").read_all(), 400)


def test_expect_100_continue(gateway):
    with gateway.connect() as c:
        c.send(head(POST, LENGTH, "Expect: 100-continue"))
        assert c.reader.line() == b"HTTP/1.1 100 Continue" and c.reader.line() == b""
        c.send(OK_BODY)
        response = c.read_response("POST").read_all()
        assert response.interim == [] and response.text() == numbered("ok", 3)


@pytest.mark.parametrize("headers, status", [
    (["Content-Length: 99999999999"], 413), (["Content-Length: 5", "Content-Type: text/plain"], 415),
    (["Content-Length: 5", "Origin: https://evil.example"], 403)])
def test_no_100_continue_for_what_is_refused(gateway, headers, status):
    lines = ["POST /v1/chat/completions HTTP/1.1", "Host: localhost", *headers, "Expect: 100-continue"]
    if status != 415:
        lines.append("Content-Type: application/json")
    with gateway.connect() as c:
        c.send("\r\n".join(lines).encode() + b"\r\n\r\n")
        response = c.read_response("POST").read_all()
    assert response.interim == [] and response.status == status


def test_head_and_options(gateway):
    with gateway.connect() as c:
        for path in ("/health", "/healthz", "/ready", "/v1/models", "/v1/models/mock-1", "/metrics"):
            c.send_request("HEAD", path)
            response = c.read_response().read_all()
            assert response.status == 200 and int(response.header("content-length")) > 0, path
        for path, allow in (("/v1/chat/completions", "POST"), ("/v1/models", "GET"), ("/metrics", "GET")):
            c.send_request("OPTIONS", path)
            response = c.read_response().read_all()
            assert response.status in (200, 204) and allow in response.header("allow")
            assert not response.has_header("access-control-allow-origin"), "CORS is off"


@pytest.mark.parametrize("method, path, status, code", [
    ("GET", "/v1/chat/completions", 405, "method_not_supported"), ("POST", "/v1/models", 405, "method_not_supported"),
    ("DELETE", "/health", 405, "method_not_supported"), ("GET", "/v2", 404, "unknown_url"),
    ("POST", "/v1/chat/completions/", 404, "unknown_url"), ("POST", "/v2/chat/completions", 404, "unknown_url"),
    ("GET", "/v1/models/", 404, "model_not_found"), ("GET", "/v1/models/none", 404, "model_not_found"),
    ("GET", "/%2e%2e/etc/passwd", 404, "unknown_url"), ("PATCH", "/x?<script>", 404, "unknown_url")])
def test_wrong_paths_and_methods(gateway, method, path, status, code):
    response = gateway.request(method, path, headers=[("Content-Type", "application/json")])
    assert assert_refused(response, status)["code"] == code
    if status == 405:
        allow = response.header("allow").split(", ")
        assert "OPTIONS" in allow and method not in allow
    else:
        assert not response.has_header("allow")


def test_a_query_and_an_absolute_target(gateway):
    assert gateway.get("/health?verbose=1").status == 200
    assert send_raw(gateway, b"GET http://localhost/health HTTP/1.1\r\nHost: localhost\r\n\r\n").status == 200


def test_http_1_0(gateway):
    with gateway.connect() as c:
        c.send(head("POST /v1/chat/completions HTTP/1.0", LENGTH, body=OK_BODY))
        response = c.read_response("POST").read_all()
        assert not response.is_chunked and response.text() == numbered("ok", 3)
        assert c.is_closed_by_peer()
    with gateway.connect() as c:
        c.send(b"GET /health HTTP/1.0\r\n\r\n")
        assert c.read_response().read_all().status == 200
        assert c.is_closed_by_peer()


def test_connection_close(gateway):
    with gateway.connect() as c:
        c.send_request("GET", "/health", headers=[("Connection", "close")])
        response = c.read_response().read_all()
        assert response.header("connection") == "close" and c.is_closed_by_peer()


# ---- ways of a web page to the gateway ----

def test_a_foreign_host_is_refused(gateway):
    """A name that was made to point here (DNS rebinding)."""
    for host in ("evil.example", "evil.example:80", "localhost.evil.example"):
        response = post(gateway, OK_BODY, [("Host", host)])
        assert assert_refused(response, 403, "request_forbidden")["code"] == "host_not_allowed"
    for host in ("localhost", "LOCALHOST:1234", "127.0.0.1", "[::1]:80", "192.0.2.1:8080"):
        assert post(gateway, OK_BODY, [("Host", host)]).status == 200, host


def test_a_listed_host_is_served(world):
    gateway = world.gateway_for(world.mock(), allowed_hosts=["llm.internal"])
    assert post(gateway, OK_BODY, [("Host", "llm.internal:8080")]).status == 200
    assert post(gateway, OK_BODY, [("Host", "other.internal")]).status == 403


def test_a_foreign_origin_is_refused(gateway):
    for origin in ("https://evil.example", "null", "http://localhost:9", "file://"):
        response = post(gateway, OK_BODY, [("Origin", origin)])
        assert assert_refused(response, 403, "request_forbidden")["code"] == "origin_not_allowed"
        assert not response.has_header("access-control-allow-origin")
        assert gateway.request("GET", "/v1/models", headers=[("Origin", origin)]).status == 403
    own = f"http://127.0.0.1:{gateway.port}"
    assert post(gateway, OK_BODY, [("Origin", own)]).status == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
                                  "", None, "text/json", "application/jsonp"])
def test_what_a_form_can_send_is_refused(gateway, kind):
    headers = [("Content-Type", kind)] if kind is not None else []
    response = post(gateway, OK_BODY, headers, content_type=None)
    assert assert_refused(response, 415)["code"] == "unsupported_content_type"


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8", "application/vnd.api+json"])
def test_json_content_types(gateway, kind):
    assert post(gateway, OK_BODY, [("Content-Type", kind)]).status == 200


def test_cors_for_a_listed_origin(world):
    origin = "https://app.example.com"
    gateway = world.gateway_for(world.mock(), cors={"origins": [origin]})
    preflight = gateway.request("OPTIONS", CHAT, headers=[
        ("Origin", origin), ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "authorization,content-type,x-stainless-lang")])
    assert preflight.status in (200, 204)
    assert preflight.header("access-control-allow-origin") == origin
    assert "POST" in preflight.header("access-control-allow-methods")
    allowed = {name.strip() for name in preflight.header("access-control-allow-headers").split(",")}
    assert allowed >= {"authorization", "content-type", "openai-organization", "openai-project", "x-stainless-lang",
                       "x-stainless-retry-count", "x-stainless-package-version", "x-stainless-timeout"}
    for body, status in ((OK_BODY, 200), (b"{}", 400), (json.dumps(chat_body("a", model="none")).encode(), 404)):
        response = post(gateway, body, [("Origin", origin)])
        assert response.status == status
        assert response.header("access-control-allow-origin") == origin
        assert "x-request-id" in response.header("access-control-expose-headers")
        assert "origin" in response.header("vary").lower()
    assert post(gateway, OK_BODY, [("Origin", "https://other.example.com")]).status == 403
    foreign = gateway.request("OPTIONS", CHAT, headers=[("Origin", "https://other.example.com")])
    assert not foreign.has_header("access-control-allow-origin")


# ---- too many ----

def test_limits_of_connections_and_streams(world):
    mock = world.mock()
    gateway = world.gateway_for(mock, workers=1, limits={"max_connections": 3, "max_streams": 1})
    with gateway.connect() as a, gateway.connect() as b:
        first = a.chat(chat_body("count one to 3", user="step:one"))
        first.read_until('"role"')
        second = b.chat(chat_body("count two to 3")).read_all()
        assert assert_refused(second, 503, "server_error")["code"] == "server_overloaded"
        assert second.header("retry-after") == "1"
        with gateway.connect() as c, gateway.connect() as d:
            c.send_request("GET", "/health")
            assert c.read_response().read_all().status == 200
            response = None
            try:
                d.send_request("GET", "/health")
                response = d.read_response().read_all()
            except (raw.Closed, ConnectionResetError, BrokenPipeError):
                pass
            assert response is None or response.status == 503
        mock.step("one", "all")
        assert first.read_all().text() == numbered("one", 3)


def test_garbage_of_every_length(gateway):
    """Nothing of it crashes; sent and left, on many connections."""
    noise = os.urandom(4096)
    for n in (1, 2, 7, 64, 500, 4096):
        with gateway.connect() as c:
            c.send(noise[:n])
            c.reset()
    for cut in range(1, len(OK_BODY) + 150, 13):
        with gateway.connect() as c:
            c.send(head(POST, LENGTH, body=OK_BODY)[:cut])
            c.reset()
