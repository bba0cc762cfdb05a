# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 as bytes: a client that hides nothing, and an upstream that does what a test tells it.

Both are strict readers of what the program sends, and careless writers where a test wants them to be.
"""
import json
import queue
import socket
import ssl
import struct
import threading

TIMEOUT_S = 30


def on_answer(body):
    """Sees every whole answer that a test has read; the harness looks for keys in it."""


class ProtocolError(AssertionError):
    pass


class Closed(Exception):
    """The other side ended the connection in good order where more was wanted."""


class Reader:
    """Buffered reading of one socket."""

    def __init__(self, sock):
        self.sock, self.buffer = sock, bytearray()

    def more(self):
        chunk = self.sock.recv(65536)
        if not chunk:
            raise Closed()
        self.buffer += chunk

    def line(self):
        while (at := self.buffer.find(b"\r\n")) < 0:
            self.more()
        line = bytes(self.buffer[:at])
        if b"\n" in line:
            raise ProtocolError(f"a bare LF in {line!r}")
        del self.buffer[:at + 2]
        return line

    def exactly(self, n):
        while len(self.buffer) < n:
            self.more()
        data = bytes(self.buffer[:n])
        del self.buffer[:n]
        return data

    def some(self, at_most):
        if not self.buffer:
            self.more()
        data = bytes(self.buffer[:at_most])
        del self.buffer[:len(data)]
        return data

    def head(self):
        """(first line, [(name in lower case, value)])"""
        first, headers = self.line().decode("latin-1"), []
        while line := self.line():
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon or name != name.strip():
                raise ProtocolError(f"not a header: {line!r}")
            headers.append((name.lower(), value.strip()))
        return first, headers


class Message:
    headers = ()

    def header(self, name):
        values = [value for have, value in self.headers if have == name.lower()]
        if len(values) > 1:
            raise ProtocolError(f"{name} is there {len(values)} times: {values}")
        return values[0] if values else None

    def has_header(self, name):
        return any(have == name.lower() for have, _ in self.headers)


class Response(Message):
    """A response whose body is read as it comes. `body` is the decoded part that has been read."""

    def __init__(self, reader, method):
        self.reader = reader
        self.interim = []
        while True:
            first, self.headers = reader.head()
            version, status, self.reason = first.split(" ", 2)
            if not version.startswith("HTTP/1."):
                raise ProtocolError(f"not a status line: {first!r}")
            self.status = int(status)
            if self.status >= 200:
                break
            self.interim.append(self.status)
        self.body = b""
        self.is_complete = False
        self.chunk_left = None
        coding, length = self.header("transfer-encoding"), self.header("content-length")
        if coding and length:
            raise ProtocolError("both content-length and transfer-encoding")
        self.is_chunked = coding == "chunked"
        if method == "HEAD" or self.status in (204, 304):
            self.left = 0
        else:
            self.left = int(length) if length is not None else None
        self.is_complete = not self.is_chunked and self.left == 0

    def _chunk(self):
        if not self.chunk_left:
            self.chunk_left = int(self.reader.line().split(b";")[0], 16)
            if self.chunk_left == 0:
                while self.reader.line():
                    pass  # trailers
                self.is_complete = True
                return b""
        data = self.reader.some(self.chunk_left)
        self.chunk_left -= len(data)
        if self.chunk_left == 0 and self.reader.exactly(2) != b"\r\n":
            raise ProtocolError("a chunk without its CR LF")
        return data

    def read_some(self):
        """The next bytes of the body; b"" at its end. Closed: the body was cut."""
        if self.is_complete:
            return b""
        if self.is_chunked:
            data = self._chunk()
        elif self.left is not None:
            data = self.reader.some(self.left)
            self.left -= len(data)
            self.is_complete = self.left == 0
        else:
            try:
                data = self.reader.some(65536)
            except Closed:
                data, self.is_complete = b"", True
        self.body += data
        return data

    def read_all(self):
        while not self.is_complete:
            self.read_some()
        on_answer(self.body)
        return self

    def read_until(self, wanted):
        """Reads on until the body holds these bytes; returns the whole body so far."""
        wanted = wanted.encode() if isinstance(wanted, str) else wanted
        while wanted not in self.body:
            if self.is_complete:
                raise AssertionError(f"the body ended without {wanted!r}: {self.body[-500:]!r}")
            self.read_some()
        return self.body

    def read_bytes(self, n):
        """Reads on until so many bytes of the body are here."""
        while len(self.body) < n:
            assert not self.is_complete, f"the body ended after {len(self.body)} of {n} bytes: {self.body[-100:]!r}"
            self.read_some()
        return self.body

    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        """The error of an answer in OpenAI's shape, all four members there."""
        error = self.json()["error"]
        assert set(error) >= {"message", "type", "param", "code"}, error
        return error

    def events(self):
        """Data of the events that have come whole, parsed; [DONE] as that text."""
        return parse_events(self.body)

    def text(self):
        return text_of(self.events())


def parse_events(body):
    result = []
    for frame in body.decode("utf-8").replace("\r\n", "\n").split("\n\n")[:-1]:
        data = [line[5:].removeprefix(" ") for line in frame.split("\n") if line.startswith("data:")]
        if data:
            whole = "\n".join(data)
            result.append(whole if whole == "[DONE]" else json.loads(whole))
    return result


def text_of(events, choice=0):
    return "".join(c["delta"].get("content") or "" for e in events if isinstance(e, dict)
                   for c in e.get("choices", ()) if c["index"] == choice)


class Connection:
    """A client's connection."""

    def __init__(self, host, port, ca_file=None, unix=None, timeout=TIMEOUT_S, receive_buffer=None):
        if unix:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        else:
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(timeout)
        self.sock.connect(unix or (host, port))
        if ca_file:
            context = ssl.create_default_context(cafile=ca_file)
            self.sock = context.wrap_socket(self.sock, server_hostname="localhost")
        self.host = "localhost" if unix else f"{host}:{port}"
        self.reader = Reader(self.sock)
        self.methods = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.sock.sendall(data)

    def send_request(self, method, path, body=b"", headers=(), content_type="application/json"):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        headers = list(headers.items()) if isinstance(headers, dict) else list(headers)
        names = {name.lower() for name, _ in headers}
        lines = [f"{method} {path} HTTP/1.1"]
        if "host" not in names:
            lines.append(f"Host: {self.host}")
        if (body or method == "POST") and "content-type" not in names and content_type:
            lines.append(f"Content-Type: {content_type}")
        if (body or method == "POST") and not names & {"content-length", "transfer-encoding"}:
            lines.append(f"Content-Length: {len(body)}")
        lines += [f"{name}: {value}" for name, value in headers]
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        self.methods.append(method)

    def read_response(self, method=None):
        if method is None:
            method = self.methods.pop(0) if self.methods else "GET"
        return Response(self.reader, method)

    def chat(self, body, headers=()):
        """Asks; returns the response as soon as its head is there."""
        self.send_request("POST", "/v1/chat/completions", body, headers)
        return self.read_response()

    def is_closed_by_peer(self):
        """Waits for the other side to end the connection; stray bytes are a failure."""
        try:
            rest = self.sock.recv(1)
        except ConnectionResetError:
            return True
        assert rest == b"", f"more came: {rest!r}"
        return True

    def half_close(self):
        """FIN, while the socket stays open here and is not read."""
        self.sock.shutdown(socket.SHUT_WR)

    def widen(self):
        """Takes back a small receive buffer: the kernel is slow with tiny windows."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()


class Request(Message):
    def __init__(self, reader):
        first, self.headers = reader.head()
        self.method, self.target, self.version = first.split(" ")
        length = self.header("content-length")
        if self.header("transfer-encoding"):
            raise ProtocolError("the gateway knows its body's length")
        self.body = reader.exactly(int(length)) if length else b""

    def json(self):
        return json.loads(self.body)


class UpstreamConnection:
    """One connection of the gateway, as its upstream sees it."""

    def __init__(self, upstream, sock, number):
        self.upstream, self.sock, self.number = upstream, sock, number
        self.reader = Reader(sock)

    def read_request(self):
        """The next request, or None when the gateway has closed."""
        try:
            if not self.reader.buffer:
                self.reader.more()
        except (Closed, ConnectionResetError):
            return None
        request = Request(self.reader)
        self.upstream.requests.append(request)
        return request

    def send(self, data):
        self.sock.sendall(data)

    def send_head(self, status=200, headers=(), content_type="text/event-stream", length=None):
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {content_type}"]
        lines.append("Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}")
        self.send("\r\n".join([*lines, *headers, "", ""]).encode())

    def send_chunk(self, data):
        if data:
            self.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def end_chunks(self):
        self.send(b"0\r\n\r\n")

    def send_stream(self, body, cuts=()):
        """A whole stream; `cuts` are the offsets at which it is cut into chunks."""
        self.send_head()
        edges = [0, *sorted(set(cuts)), len(body)]
        for start, end in zip(edges, edges[1:]):
            self.send_chunk(body[start:end])
        self.end_chunks()

    def send_json(self, value, status=200, headers=()):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_head(status, headers, "application/json", len(body))
        self.send(body)

    def wait_closed(self):
        """Returns when the gateway has closed the connection, whichever way."""
        try:
            while self.sock.recv(65536):
                pass
        except ConnectionResetError:
            pass

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()


class Upstream:
    """Listens, and runs the script on a thread of its own for each connection. What the script raises is
    raised again by `stop`, so that no failure in it is lost."""

    def __init__(self, script):
        self.script = script
        self.requests, self.connections, self.failures = [], [], []
        self.told = queue.Queue()  # what the test lets the script know
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        self.is_stopping = False
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.settimeout(TIMEOUT_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = UpstreamConnection(self, sock, len(self.connections))
            self.connections.append(connection)
            thread = threading.Thread(target=self._run, args=(connection,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _run(self, connection):
        try:
            self.script(connection)
        except Exception as failure:  # noqa: BLE001: it is raised again in stop()
            if not self.is_stopping:
                self.failures.append(failure)
        finally:
            connection.sock.close()

    def stop(self):
        self.is_stopping = True
        self.told.put(None)  # a script that still waits for a word of the test's
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self.threads:
            thread.join(TIMEOUT_S)
        if self.failures:
            raise self.failures[0]


def stream_of(*texts, usage=None, done=True, **more):
    """The bytes of a plain stream, as the official service writes it."""
    base = {"id": "chatcmpl-raw", "object": "chat.completion.chunk", "created": 1763683200, "model": "raw", **more}

    def frame(delta, finish=None, **extra):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return b"data: " + json.dumps({**base, "choices": [choice], **extra}, separators=(",", ":")).encode() + b"\n\n"

    null = {"usage": None} if usage else {}
    body = frame({"role": "assistant", "content": ""}, **null)
    body += b"".join(frame({"content": text}, **null) for text in texts)
    body += frame({}, "stop", **null)
    if usage:
        last = {**base, "choices": [], "usage": usage}
        body += b"data: " + json.dumps(last, separators=(",", ":")).encode() + b"\n\n"
    return body + (b"data: [DONE]\n\n" if done else b"")


def completion_of(text="whole", **more):
    return {"id": "chatcmpl-raw", "object": "chat.completion", "created": 1763683200, "model": "raw",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text, "refusal": None},
                         "logprobs": None, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}, **more}
