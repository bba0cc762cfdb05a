# SPDX-License-Identifier: Apache-2.0
"""Every token leaves when it comes. The mock sends token k + 1 only when the test, having read token k
through the gateway, releases it: a gateway that holds anything back makes this wait for ever, and one
that does not cannot fail by chance."""
import os
import subprocess
import sys

import pytest

import certs
import harness
import raw
import sdk
from harness import chat_body, numbered

N = 30


def walk(mock, response, key, tag):
    """Reads the stream token by token, releasing each only when all before it have been read."""
    response.read_until('"role"')  # the opening frame waits for no step
    expected = numbered(tag, N).split(" ")
    for k in range(N):
        mock.step(key)
        response.read_until(f'"{expected[k]}"' if k == 0 else f'" {expected[k]}"')
        assert response.text() == " ".join(expected[:k + 1])
        assert not response.is_complete
    mock.step(key)  # the finish and the end mark
    response.read_all()
    assert response.events()[-1] == "[DONE]"
    assert response.text() == numbered(tag, N)


@pytest.mark.smoke
@pytest.mark.parametrize("metering", ["inject", "observe"])
def test_token_by_token(world, metering):
    mock = world.mock()
    gateway = world.gateway_for(mock, provider={"metering": metering})
    with gateway.connect() as c:
        walk(mock, c.chat(chat_body(f"count tok to {N}", user="step:one")), "one", "tok")


def test_token_by_token_with_usage_asked_for(world):
    mock = world.mock()
    gateway = world.gateway_for(mock)
    with gateway.connect() as c:
        body = chat_body(f"count tok to {N}", user="step:one", stream_options={"include_usage": True})
        response = c.chat(body)
        walk(mock, response, "one", "tok")
        assert response.events()[-2]["usage"]["completion_tokens"] == N


def test_token_by_token_over_tls_on_both_sides(world):
    cert, key = certs.make(world.folder)
    mock = world.mock("--tls-cert", cert, "--tls-key", key, tls_ca=cert)
    config = world.config_for(mock, provider={"ca_file": cert}, tls={"cert": cert, "key": key})
    gateway = world.gateway(config, tls_ca=cert)
    assert gateway.url.startswith("https://")
    with gateway.connect() as c:
        walk(mock, c.chat(chat_body(f"count tok to {N}", user="step:tls")), "tls", "tok")


def test_token_by_token_over_unix_sockets(world):
    """A Unix socket between gateway and provider, and one between client and gateway."""
    up, down = world.path("up.sock"), world.path("down.sock")
    mock = world.mock(listen="127.0.0.1:0,unix:" + up)
    config = world.config_for("http+unix://" + up.replace("/", "%2F") + "/v1", listen="unix:" + down)
    gateway = world.gateway(config, "--listen", "127.0.0.1:0", "--listen", "unix:" + down)
    with raw.Connection(None, None, unix=down) as c:
        walk(mock, c.chat(chat_body(f"count tok to {N}", user="step:unix")), "unix", "tok")
    assert gateway.metrics().ends() == {"ok": 1}


def test_two_streams_don_t_wait_for_each_other(world):
    mock = world.mock()
    gateway = world.gateway_for(mock, workers=1)
    with gateway.connect() as a, gateway.connect() as b:
        first = a.chat(chat_body(f"count aa to {N}", user="step:a"))
        first.read_until('"role"')
        walk(mock, b.chat(chat_body(f"count bb to {N}", user="step:b")), "b", "bb")
        assert not first.text(), "nobody has released a token of the first"
        walk(mock, first, "a", "aa")


def test_through_the_python_sdk(stack):
    expected = numbered("tok", N).split(" ")
    got = []
    with sdk.client(stack) as client:
        stream = client.chat.completions.create(**sdk.ask(f"count tok to {N}", user="step:sdk"), stream=True)
        assert next(stream).choices[0].delta.role == "assistant"
        for k in range(N):
            stack.mock.step("sdk")
            got.append(next(stream).choices[0].delta.content.strip())
            assert got == expected[:k + 1]
        stack.mock.step("sdk")
        assert next(stream).choices[0].finish_reason == "stop"
        assert list(stream) == []


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"], ids=["LF", "CRLF"])
def test_each_frame_leaves_with_its_last_byte(world, upstream, end):
    """The provider sends a frame byte by byte, and the next one only when this one has arrived."""
    frames = [frame + end for frame in raw.stream_of(*"abcdefgh").split(b"\n\n")[:-1]]

    def script(connection):
        connection.read_request()
        connection.send_head()
        for frame in frames:
            for byte in frame:
                connection.send_chunk(bytes([byte]))
            connection.upstream.told.get(timeout=raw.TIMEOUT_S)
        connection.end_chunks()

    up = upstream(script)
    gateway = world.gateway_for(up.base_url, provider={"metering": "observe"})
    with gateway.connect() as c:
        response = c.chat(chat_body("hi"))
        for i in range(len(frames)):
            so_far = b"".join(frames[:i + 1])
            response.read_bytes(len(so_far))
            assert response.body == so_far
            up.told.put("seen")
        response.read_all()


def test_a_comment_does_not_wait_for_the_event_behind_it(world, upstream):
    frames = [raw.stream_of("a").split(b"\n\n")[0] + b"\n\n", b": keep-alive\n\n", b": OPENROUTER PROCESSING\n\n"]

    def script(connection):
        connection.read_request()
        connection.send_head()
        for frame in frames:
            connection.send_chunk(frame)
            connection.upstream.told.get(timeout=raw.TIMEOUT_S)
        connection.send_chunk(raw.stream_of("b"))
        connection.end_chunks()

    up = upstream(script)
    gateway = world.gateway_for(up.base_url, provider={"metering": "observe"})
    with gateway.connect() as c:
        response = c.chat(chat_body("hi"))
        for frame in frames:
            response.read_until(frame)
            up.told.put("seen")
        assert response.read_all().body == b"".join(frames) + raw.stream_of("b")


def test_the_demo(world):
    """examples/gradual.py: times of both ends, side by side."""
    script = os.path.join(harness.ROOT, "examples", "gradual.py")
    done = subprocess.run([sys.executable, script, "--penstock", harness.BIN, "--tokens", "6", "--itl", "2ms"],
                          capture_output=True, text=True, timeout=harness.DEADLINE_S, cwd=world.folder,
                          env=harness.clean_environment())
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[3:]]
    assert [row[0] for row in rows] == numbered("token", 6).split(" ")
    assert all(float(sent) <= float(arrived) for _, sent, arrived, _ in rows)
