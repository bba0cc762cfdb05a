# SPDX-License-Identifier: Apache-2.0
"""Every fault of `penstock mock --list-faults`, as bytes on a real socket. A fault without a check here fails
the suite."""
import gzip
import json
import re
import socket
import ssl
import struct
import subprocess
import time

import pytest

import certs
import harness
import raw
from harness import DEADLINE_S, chat_body

TEXT = "héllo wörld one two three four five six seven eight nine ten"
LAST_CHUNK = b"0\r\n\r\n"
CALL_TOOL = {"type": "function", "function": {"name": "f", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}


def list_faults():
    done = subprocess.run([harness.BIN, "mock", "--list-faults", "--json"], capture_output=True, check=True,
                          env=harness.clean_environment(), timeout=DEADLINE_S)
    return json.loads(done.stdout)


FAULTS = {fault["name"]: fault for fault in list_faults()} if harness.BIN else {}


class Wire:
    """All that came on one connection, read by read, and how it ended: "fin", "rst", or "open"."""

    def __init__(self):
        self.reads, self.times, self.end = [], [], "open"
        self.start = time.monotonic()

    @property
    def data(self):
        return b"".join(self.reads)

    @property
    def head(self):
        return self.data.partition(b"\r\n\r\n")[0] + b"\r\n"

    @property
    def status(self):
        return int(self.data.split(b" ", 2)[1])

    def header(self, name):
        found = re.findall(rb"(?im)^" + name.encode() + rb": ([^\r]*)\r$", self.head)
        return found[0].decode() if found else None

    @property
    def raw_body(self):
        return self.data.partition(b"\r\n\r\n")[2]

    @property
    def body(self):
        """Freed of its chunks, as far as they go."""
        rest, out = self.raw_body, b""
        if b"transfer-encoding: chunked" not in self.head.lower():
            return rest
        while match := re.match(rb"([0-9a-f]+)\r\n", rest):
            size = int(match[1], 16)
            out += rest[match.end():match.end() + size]
            rest = rest[match.end() + size + 2:]
        return out

    @property
    def events(self):
        """The data of the events, as text; for bodies whose lines are as usual."""
        return [part.split("data: ", 1)[1] for part in self.body.decode("utf-8", "replace").split("\n\n")
                if "data: " in part]

    @property
    def chunks(self):
        return [json.loads(event) for event in self.events if event != "[DONE]"]

    @property
    def pieces(self):
        return [c["choices"][0]["delta"]["content"] for c in self.chunks
                if c.get("choices") and c["choices"][0]["delta"].get("content")]


def request_of(fault, headers=(), **more):
    body = chat_body("echo: " + TEXT, f"fault/{fault}" if fault else "mock-1",
                     **{"stream_options": {"include_usage": True}, **more})
    text = json.dumps(body, ensure_ascii=False).encode()
    lines = ["POST /v1/chat/completions HTTP/1.1", "host: localhost", "content-type: application/json",
             f"content-length: {len(text)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n", text


def read_all(sock, wire, wait_s=0.6, beyond_end=False):
    """Until the connection ends, the response ends, or nothing comes for a while."""
    sock.settimeout(wait_s)
    try:
        while chunk := sock.recv(65536):
            wire.reads.append(chunk)
            wire.times.append(time.monotonic() - wire.start)
            if not beyond_end and wire.data.endswith(LAST_CHUNK):
                return wire
        wire.end = "fin"
    except (ConnectionResetError, BrokenPipeError):
        wire.end = "rst"
    except TimeoutError:
        pass
    return wire


def capture(mock, fault, *, headers=(), beyond_end=False, wait_s=0.6, **more):
    head, body = request_of(fault, headers, **more)
    with socket.create_connection(("127.0.0.1", mock.port), timeout=DEADLINE_S) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(head + body)
        return read_all(sock, Wire(), wait_s, beyond_end)


@pytest.fixture(scope="module")
def mock(module_world):
    return module_world.mock()


@pytest.fixture(scope="module")
def plain(mock):
    wire = capture(mock, None)
    assert "".join(wire.pieces) == TEXT and wire.events[-1] == "[DONE]"
    return wire


# --- one check a fault ------------------------------------------------------------------------

CHECKS = {}


def check(name):
    def keep(function):
        CHECKS[name] = function
        return function
    return keep


def status_check(name, status, *parts):
    def run(mock, plain):
        wire = capture(mock, name, wait_s=2)
        assert wire.status == status
        for part in parts:
            assert part in wire.data, wire.data
    CHECKS[name] = run


for code in (400, 401, 403, 404, 408, 409, 413, 415, 422, 500, 502, 504, 529):
    status_check(str(code), code, b'{"error":{"message":"', b'"type":"', b"x-request-id: req_")
status_check("429", 429, b"retry-after: 1\r\n", b"retry-after-ms: 1000\r\n", b"x-ratelimit-remaining-requests: 0\r\n")
status_check("503", 503, b"retry-after: 1\r\n", b"server_overloaded")
status_check("context-length", 400, b"maximum context length is 128000 tokens", b"context_length_exceeded")
status_check("content-policy", 400, b"content_policy_violation")
status_check("quota", 429, b"insufficient_quota", b"x-should-retry: false")
status_check("html-error", 502, b"content-type: text/html", b"<title>502 Bad Gateway</title>")
status_check("empty-error", 500, b"content-length: 0\r\n")
status_check("error-200", 200, b'{"error":{"message":"', b"content-type: text/event-stream")


@check("no-answer")
def _(mock, plain):
    wire = capture(mock, "no-answer")
    assert wire.data == b"" and wire.end == "open"


@check("reset")
def _(mock, plain):
    wire = capture(mock, "reset")
    assert wire.data == b"" and wire.end == "rst"


@check("close")
def _(mock, plain):
    wire = capture(mock, "close")
    assert wire.data == b"" and wire.end == "fin"


@check("reset-early")
def _(mock, plain):
    head, _ = request_of(None, ["x-penstock-fault: reset-early"])
    with socket.create_connection(("127.0.0.1", mock.port), timeout=DEADLINE_S) as sock:
        sock.sendall(head)  # and never the body
        wire = read_all(sock, Wire())
    assert wire.data == b"" and wire.end == "rst"
    assert capture(mock, "reset-early").end == "rst"


def wait_until_it_answers(mock):
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            return mock.get("/health")
        except (OSError, raw.Closed):
            assert time.monotonic() < deadline


@check("refuse")
def _(mock, plain):
    assert capture(mock, "refuse:for=2s").end == "rst"
    deadline = time.monotonic() + DEADLINE_S
    with pytest.raises(ConnectionRefusedError):
        while time.monotonic() < deadline:  # the listener closes in its own turn
            socket.create_connection(("127.0.0.1", mock.port), timeout=DEADLINE_S).close()
    wait_until_it_answers(mock)


@check("accept-reset")
def _(mock, plain):
    assert capture(mock, "accept-reset:for=2s").end == "rst"
    try:
        with socket.create_connection(("127.0.0.1", mock.port), timeout=DEADLINE_S) as sock:
            wire = read_all(sock, Wire())
        assert wire.data == b"" and wire.end == "rst"
    except ConnectionResetError:
        pass  # quicker than connect
    wait_until_it_answers(mock)


@pytest.fixture(scope="module")
def tls_mock(module_world):
    cert, key = certs.make(module_world.folder)
    return module_world.mock("--tls-cert", cert, "--tls-key", key, tls_ca=cert)


def tls_connect(mock):
    context = ssl.create_default_context(cafile=mock.tls_ca)
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)  # some builds of Python set it
    return context.wrap_socket(socket.create_connection(("127.0.0.1", mock.port), timeout=DEADLINE_S),
                               server_hostname="localhost", suppress_ragged_eofs=False)


def tls_request(mock, fault):
    head, body = request_of(fault)
    data = b""
    with tls_connect(mock) as sock:
        sock.sendall(head + body)
        while chunk := sock.recv(65536):
            data += chunk
            if data.endswith(LAST_CHUNK):
                break
    return data


def test_tls_is_cut_in_its_handshake(tls_mock):
    with pytest.raises((ConnectionResetError, ssl.SSLError)):
        tls_request(tls_mock, "tls-handshake:for=1s")
    with pytest.raises((ConnectionResetError, ssl.SSLError)):
        tls_connect(tls_mock)
    wait_until_it_answers(tls_mock)
    assert TEXT.split()[-1].encode() in tls_request(tls_mock, None)


def test_tls_ends_without_a_goodbye(tls_mock):
    with pytest.raises(ssl.SSLError) as e:  # which kind of it, Pythons differ in
        tls_request(tls_mock, "tls-abort")
    assert not isinstance(e.value, ssl.SSLZeroReturnError), "that would be the goodbye"
    assert b"[DONE]" in tls_request(tls_mock, None)


@check("tls-handshake")
def _(mock, plain):
    assert capture(mock, "tls-handshake:for=2s").end == "rst"
    assert capture(mock, None).end == "rst"  # behind the first bytes
    wait_until_it_answers(mock)


@check("tls-abort")
def _(mock, plain):
    wire = capture(mock, "tls-abort")
    assert wire.end == "fin" and not wire.data.endswith(LAST_CHUNK) and len(wire.pieces) == 3


@check("slow-head")
def _(mock, plain):
    wire = capture(mock, "slow-head:for=400ms", wait_s=5)
    assert wire.times[0] >= 0.4 and wire.pieces == plain.pieces


@check("trickle")
def _(mock, plain):
    wire = capture(mock, "trickle:bytes=100,every=2ms", wait_s=5)
    assert wire.pieces == plain.pieces and len(wire.reads) > 5
    assert wire.times[-1] >= 0.002 * (len(wire.data) / 100 - 1)


@check("empty-body")
def _(mock, plain):
    wire = capture(mock, "empty-body")
    assert wire.status == 200 and wire.raw_body == LAST_CHUNK


@check("wrong-type")
def _(mock, plain):
    wire = capture(mock, "wrong-type")
    assert wire.header("content-type") == "text/plain; charset=utf-8" and wire.pieces == plain.pieces


@check("no-type")
def _(mock, plain):
    wire = capture(mock, "no-type")
    assert wire.header("content-type") is None and wire.pieces == plain.pieces


@check("interim")
def _(mock, plain):
    wire = capture(mock, "interim:n=2")
    assert wire.data.startswith(b"HTTP/1.1 100 Continue\r\n\r\n" * 2 + b"HTTP/1.1 200 OK\r\n")
    wire = capture(mock, "interim:status=103")
    assert wire.data.startswith(b"HTTP/1.1 103 Early Hints\r\nlink: ")


@check("http10")
def _(mock, plain):
    wire = capture(mock, "http10")
    assert wire.data.startswith(b"HTTP/1.0 200 OK\r\n") and wire.end == "fin"
    assert wire.header("transfer-encoding") is None and wire.pieces == plain.pieces


@check("bad-status-line")
def _(mock, plain):
    assert capture(mock, "bad-status-line").data.startswith(b"HTTP/1.1 2OO OK\r\n")
    assert capture(mock, "bad-status-line:type=icy").data.startswith(b"ICY 200 OK\r\n")


@check("double-headers")
def _(mock, plain):
    assert capture(mock, "double-headers").head.count(b"x-penstock-mock: 1\r\n") == 2


@check("huge-header")
def _(mock, plain):
    assert capture(mock, "huge-header:bytes=50000").header("x-huge") == "x" * 50000


@check("length-and-chunked")
def _(mock, plain):
    wire = capture(mock, "length-and-chunked")
    assert wire.header("content-length") == "10" and wire.header("transfer-encoding") == "chunked"


@check("long-length")
def _(mock, plain):
    wire = capture(mock, "long-length")
    assert int(wire.header("content-length")) > len(wire.raw_body) and wire.end == "fin"


@check("short-length")
def _(mock, plain):
    wire = capture(mock, "short-length:bytes=100")
    assert wire.header("content-length") == "100" and len(wire.raw_body) > 1000 and wire.end == "open"


@check("bad-chunk-size")
def _(mock, plain):
    assert b"\r\nzz\r\ndata: " in capture(mock, "bad-chunk-size:after=0").data


@check("oversized-chunk")
def _(mock, plain):
    wire = capture(mock, "oversized-chunk")
    size = int(re.search(rb"([0-9a-f]+)\r\ndata", wire.raw_body)[1], 16)
    assert wire.end == "fin" and size > len(wire.raw_body)


@check("no-last-chunk")
def _(mock, plain):
    wire = capture(mock, "no-last-chunk")
    assert wire.events[-1] == "[DONE]" and wire.end == "fin" and not wire.data.endswith(LAST_CHUNK)


@check("trailing-garbage")
def _(mock, plain):
    wire = capture(mock, "trailing-garbage", beyond_end=True)
    assert wire.raw_body.partition(LAST_CHUNK)[2].startswith(b"garbage") and wire.end == "open"


@check("gzip")
def _(mock, plain):
    wire = capture(mock, "gzip")
    assert wire.header("content-encoding") == "gzip"
    assert gzip.decompress(wire.body).endswith(b"data: [DONE]\n\n")


@check("gzip-unlabeled")
def _(mock, plain):
    wire = capture(mock, "gzip-unlabeled")
    assert wire.header("content-encoding") is None
    assert gzip.decompress(wire.body).endswith(b"data: [DONE]\n\n")


@check("cut")
def _(mock, plain):
    wire = capture(mock, "cut:after=4")
    assert wire.end == "rst" and wire.pieces == plain.pieces[:4]
    wire = capture(mock, "cut:after=2,how=fin")
    assert wire.end == "fin" and wire.pieces == plain.pieces[:2] and not wire.data.endswith(LAST_CHUNK)


@check("fin")
def _(mock, plain):
    wire = capture(mock, "fin")
    assert wire.data.endswith(LAST_CHUNK) and wire.pieces == plain.pieces[:3] and "[DONE]" not in wire.events


@check("stall")
def _(mock, plain):
    wire = capture(mock, "stall")
    assert wire.end == "open" and wire.pieces == plain.pieces[:3] and not wire.data.endswith(LAST_CHUNK)
    wire = capture(mock, "stall:for=300ms", wait_s=5)
    assert wire.pieces == plain.pieces and wire.times[-1] >= 0.3


@check("error-event")
def _(mock, plain):
    wire = capture(mock, "error-event")
    assert "error" in json.loads(wire.events[-1]) and wire.pieces == plain.pieces[:3]
    assert b"overloaded" in capture(mock, "error-event:type=overloaded").body


@check("no-done")
def _(mock, plain):
    wire = capture(mock, "no-done")
    assert wire.pieces == plain.pieces and "[DONE]" not in wire.events and wire.data.endswith(LAST_CHUNK)


@check("double-done")
def _(mock, plain):
    assert capture(mock, "double-done").events[-2:] == ["[DONE]", "[DONE]"]


@check("after-end")
def _(mock, plain):
    wire = capture(mock, "after-end")
    assert wire.events[-2] == "[DONE]" and wire.pieces == [*plain.pieces, plain.pieces[-1]]


@check("hang-after-end")
def _(mock, plain):
    wire = capture(mock, "hang-after-end")
    assert wire.events[-1] == "[DONE]" and wire.end == "open" and not wire.data.endswith(LAST_CHUNK)


PACED = ["x-penstock-itl: 10ms"]


@check("buffered")
def _(mock, plain):
    wire = capture(mock, "buffered", headers=PACED, wait_s=5)
    assert wire.times[0] > 0.05 and wire.pieces == plain.pieces and wire.times[-1] - wire.times[0] < 0.05


@check("cut-event")
def _(mock, plain):
    wire = capture(mock, "cut-event")
    assert wire.data.endswith(LAST_CHUNK) and not wire.body.endswith(b"\n\n")
    assert capture(mock, "cut-event:how=rst").end == "rst"


@check("cut-string")
def _(mock, plain):
    assert re.search(rb'"content":"[^"]+$', capture(mock, "cut-string").body)


@check("cut-utf8")
def _(mock, plain):
    for after in (0, 3):  # in the text's own sequence, and in one put in
        body = capture(mock, f"cut-utf8:after={after}").body
        assert body.endswith(b"\xc3")


def broken_events(wire):
    broken = 0
    for event in wire.events:
        try:
            broken += event != "[DONE]" and json.loads(event) is None
        except json.JSONDecodeError:
            broken += 1
    return broken


@check("truncated-json")
def _(mock, plain):
    wire = capture(mock, "truncated-json")
    assert broken_events(wire) == 1 and len(wire.events) == len(plain.events)


@check("malformed")
def _(mock, plain):
    wire = capture(mock, "malformed")
    assert broken_events(wire) == 1 and len(wire.events) == len(plain.events) + 1


@check("bad-line")
def _(mock, plain):
    wire = capture(mock, "bad-line")
    assert len(re.findall(rb"(?m)^data \{.*\}$", wire.body)) == 1 and len(wire.events) == len(plain.events) - 1


@check("empty-data")
def _(mock, plain):
    wire = capture(mock, "empty-data")
    assert wire.events.count("") == 1 and len(wire.events) == len(plain.events) + 1


@check("bad-utf8")
def _(mock, plain):
    assert capture(mock, "bad-utf8").body.count(b"\xff") == 1


@check("wrong-json-type")
def _(mock, plain):
    assert 7 in capture(mock, "wrong-json-type").pieces


@check("duplicate")
def _(mock, plain):
    assert capture(mock, "duplicate").pieces == [*plain.pieces[:4], *plain.pieces[3:]]


@check("drop")
def _(mock, plain):
    assert capture(mock, "drop").pieces == [*plain.pieces[:3], *plain.pieces[4:]]


@check("reorder")
def _(mock, plain):
    p = plain.pieces
    assert capture(mock, "reorder").pieces == [*p[:3], p[4], p[3], *p[5:]]


@check("wrong-index")
def _(mock, plain):
    indexes = [c["choices"][0]["index"] for c in capture(mock, "wrong-index").chunks if c["choices"]]
    assert indexes[:4] == [0, 0, 0, 0] and 7 in indexes


@check("changed-id")
def _(mock, plain):
    assert len({c["id"] for c in capture(mock, "changed-id").chunks}) == 2


@check("no-start")
def _(mock, plain):
    wire = capture(mock, "no-start")
    assert wire.pieces == plain.pieces and not any(c["choices"][0]["delta"].get("role") for c in wire.chunks
                                                   if c["choices"])


@check("no-finish")
def _(mock, plain):
    wire = capture(mock, "no-finish")
    assert wire.pieces == plain.pieces and not any(c["choices"][0]["finish_reason"] for c in wire.chunks
                                                   if c["choices"])


def usages(wire):
    return [c["usage"]["completion_tokens"] for c in wire.chunks if c.get("usage")]


@check("no-usage")
def _(mock, plain):
    assert len(usages(plain)) == 1 and usages(capture(mock, "no-usage")) == []


@check("wrong-usage")
def _(mock, plain):
    assert usages(capture(mock, "wrong-usage")) == [usages(plain)[0] + 1000000]


@check("double-usage")
def _(mock, plain):
    assert usages(capture(mock, "double-usage")) == usages(plain) * 2


@check("empty-deltas")
def _(mock, plain):
    wire = capture(mock, "empty-deltas:n=5")
    assert len(wire.events) == len(plain.events) + 5 and wire.pieces == plain.pieces


@check("giant-frame")
def _(mock, plain):
    wire = capture(mock, "giant-frame", wait_s=5)
    assert wire.pieces == plain.pieces and max(map(len, wire.events)) > 5000000


@check("cut-arguments")
def _(mock, plain):
    wire = capture(mock, "cut-arguments", tools=[CALL_TOOL], tool_choice="required")
    deltas = [call["function"].get("arguments", "") for c in wire.chunks if c["choices"]
              for call in c["choices"][0]["delta"].get("tool_calls", [])]
    assert deltas
    with pytest.raises(json.JSONDecodeError):
        json.loads("".join(deltas))
    assert capture(mock, "cut-arguments").pieces == plain.pieces[:-1]


@check("unknown-event")
def _(mock, plain):
    wire = capture(mock, "unknown-event:n=2")
    assert [c["object"] for c in wire.chunks].count("surprise") == 2 and wire.pieces == plain.pieces


@check("crlf")
def _(mock, plain):
    body = capture(mock, "crlf").body
    assert body.replace(b"\r\n", b"").count(b"\n") == 0 and body.endswith(b"data: [DONE]\r\n\r\n")


@check("cr")
def _(mock, plain):
    body = capture(mock, "cr").body
    assert b"\n" not in body and body.endswith(b"data: [DONE]\r\r")


@check("bom")
def _(mock, plain):
    body = capture(mock, "bom").body
    assert body.startswith(b"\xef\xbb\xbfdata: ") and body.count(b"\xef\xbb\xbf") == 1


@check("multi-line")
def _(mock, plain):
    body = capture(mock, "multi-line").body.decode()
    first = body.split("\n\n")[0].split("\n")
    assert len(first) > 3 and all(line.startswith("data: ") for line in first)
    assert json.loads("\n".join(line[6:] for line in first))["object"] == "chat.completion.chunk"


@check("no-space")
def _(mock, plain):
    body = capture(mock, "no-space").body
    assert body.startswith(b"data:{") and b"data: " not in body


@check("comments")
def _(mock, plain):
    wire = capture(mock, "comments:n=4")
    assert wire.body.count(b": keep-alive\n\n") == 4 * len(plain.events) and wire.pieces == plain.pieces


@check("ids")
def _(mock, plain):
    assert len(re.findall(rb"(?m)^id: \d+$", capture(mock, "ids").body)) == len(plain.events)


@check("retry-lines")
def _(mock, plain):
    assert capture(mock, "retry-lines").body.count(b"retry: 3000\n\n") == len(plain.events)


@check("byte-by-byte")
def _(mock, plain):
    wire = capture(mock, "byte-by-byte:every=200us", wait_s=5)
    assert wire.pieces == plain.pieces and len(wire.reads) > 50


@check("merge")
def _(mock, plain):
    wire = capture(mock, "merge:n=4", headers=PACED, wait_s=5)
    assert wire.pieces == plain.pieces
    assert all(read.count(b"data: ") >= 4 for read in wire.reads[:-1])


@check("split-utf8")
def _(mock, plain):
    wire = capture(mock, "split-utf8:every=20ms", wait_s=5)
    assert wire.pieces == plain.pieces and sum(read.endswith(b"\xc3") for read in wire.reads) == 2


@check("echo-headers")
def _(mock, plain):
    wire = capture(mock, "echo-headers", headers=["x-mine: 1"])
    assert json.loads("".join(wire.pieces))["headers"]["x-mine"] == "1"


# --- all of them ------------------------------------------------------------------------------

def test_every_fault_has_a_check():
    assert len(FAULTS) >= 40
    assert set(FAULTS) == set(CHECKS)


@pytest.mark.parametrize("name", list(FAULTS))
def test_it_is_on_the_wire(mock, plain, name):
    CHECKS[name](mock, plain)
    metrics = mock.get("/metrics").body.decode()
    assert name == "echo-headers" or f'penstock_mock_faults_total{{fault="{name}"}} ' in metrics


def test_it_stands_in_the_journal(mock):
    wire = capture(mock, "cut:after=1")
    assert wire.header("x-penstock-fault") == "cut"
    entries = json.loads(mock.get("/penstock/journal?fault=cut:after=1").body)["entries"]
    assert entries and all(entry["fault"] == "cut:after=1" for entry in entries)


def test_half_closed_clients_leave_no_trace(mock):
    """Clients that reset in the middle of each fault: the mock goes on."""
    for name in FAULTS:
        if FAULTS[name]["level"] == "connection":
            continue
        head, body = request_of(name)
        with socket.create_connection(("127.0.0.1", mock.port), timeout=DEADLINE_S) as sock:
            sock.sendall(head + body)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert mock.get("/health").status == 200


def test_a_schedule_from_the_command_line(world):
    mock = world.mock("--fault", "500:count=2", "--fault", "529:path=*/messages")
    assert [capture(mock, None).status for _ in range(3)] == [500, 500, 200]
    answer = mock.request("POST", "/v1/messages", b"{}", [("content-type", "application/json")])
    assert answer.status in (400, 529)
    changed = mock.request("POST", "/penstock/config", b'{"fault": ["429:count=1"]}')
    assert changed.status == 200
    assert [capture(mock, None).status for _ in range(2)] == [429, 200]


def test_a_bad_spec_is_told_at_the_start(world):
    done = world.run("mock", "--fault", "stal:for=2s")
    assert done.returncode == 2 and "did you mean 'stall'" in done.stderr
