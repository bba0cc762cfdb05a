# SPDX-License-Identifier: Apache-2.0
"""Two thousand streams at once, each with a text of its own, each checked whole."""
import asyncio
import json
import selectors
import time

import pytest

import raw
import sdk
from harness import DEADLINE_S, chat_body, numbered

STREAMS = 2000
TOKENS = 12


def tag_of(i):
    return f"s{i}x"


class Stream:
    """One of many on a selector: collects bytes, is looked at when whole."""

    def __init__(self, gateway, i):
        self.i, self.data = i, bytearray()
        self.connection = gateway.connect(timeout=DEADLINE_S)
        body = chat_body(f"count {tag_of(i)} to {TOKENS}", user="step:gate")
        self.connection.send_request("POST", "/v1/chat/completions", body)
        self.connection.sock.setblocking(False)

    def read(self):
        chunk = self.connection.sock.recv(65536)
        assert chunk, f"stream {self.i} was closed after {bytes(self.data[-200:])!r}"
        self.data += chunk

    def is_open(self):
        return b'"role"' in self.data

    def is_whole(self):
        return self.data.endswith(b"0\r\n\r\n")

    def check(self):
        """Strictly, as if it had been read like any other response."""
        reader = raw.Reader(None)
        reader.buffer = self.data
        response = raw.Response(reader, "POST").read_all()
        assert response.status == 200
        assert response.text() == numbered(tag_of(self.i), TOKENS)
        assert response.events()[-1] == "[DONE]"


def read_until(streams, condition):
    """Reads all of them until each fulfils the condition."""
    deadline = time.monotonic() + 2 * DEADLINE_S
    with selectors.DefaultSelector() as selector:
        waiting = {s for s in streams if not condition(s)}
        for s in waiting:
            selector.register(s.connection.sock, selectors.EVENT_READ, s)
        while waiting:
            assert time.monotonic() < deadline, f"{len(waiting)} streams don't get on"
            for key, _ in selector.select(1):
                key.data.read()
                if condition(key.data):
                    waiting.discard(key.data)
                    selector.unregister(key.fileobj)


def test_two_thousand_streams_at_once(world):
    """All are opened and held at their first token; when all stand open, all are let go."""
    mock = world.mock("--workers", "2")
    gateway = world.gateway_for(mock, log={"level": "warn"})
    streams = [Stream(gateway, i) for i in range(STREAMS)]
    read_until(streams, Stream.is_open)
    assert mock.counters()["open"] == STREAMS
    assert gateway.metrics().sum("penstock_streams_open") == STREAMS
    mock.step("gate", "all")
    read_until(streams, Stream.is_whole)
    for s in streams:
        s.check()
        s.connection.close()
    m = gateway.metrics()
    assert m.ends() == {"ok": STREAMS}
    assert m.sum("penstock_tokens_total", kind="output") == STREAMS * TOKENS


async def test_two_hundred_streams_of_the_async_sdk(world):
    mock = world.mock("--workers", "2", itl="1ms:50%")
    gateway = world.gateway_for(mock, log={"level": "warn"})
    stack = type("Stack", (), {"base_url": gateway.base_url, "key": "sk-any"})
    async with sdk.async_client(stack) as client:
        async def one(i):
            request = sdk.ask(f"count {tag_of(i)} to 25")
            return (await sdk.collect_async(await client.chat.completions.create(**request, stream=True))).text[0]

        texts = await asyncio.gather(*(one(i) for i in range(200)))
    assert texts == [numbered(tag_of(i), 25) for i in range(200)]
    assert gateway.metrics().ends() == {"ok": 200}


@pytest.mark.smoke
def test_the_load_generator_checks_every_text(world):
    """`penstock bench --verify`: many more requests, one after the other on many connections."""
    mock = world.mock("--workers", "2")
    gateway = world.gateway_for(mock, log={"level": "warn"})
    for mode in ("stream", "requests"):
        done = world.run("bench", "--url", gateway.base_url, "--model", "mock-1", "--mode", mode,
                         "--connections", "100", "--requests", "1500", "--verify", "--max-tokens", "20",
                         "--json", timeout=100)
        assert done.returncode == 0, done.stdout + done.stderr
        report = json.loads(done.stdout)
        assert report["completed"] == report["verified"] == 1500 and report["failed"] == 0, report
    assert gateway.metrics().ends() == {"ok": 3000}
