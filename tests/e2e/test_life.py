# SPDX-License-Identifier: Apache-2.0
"""How it ends: answers in flight may finish, nothing new is taken, and the exit code tells."""
import signal
import subprocess
import time

import pytest

import raw
from harness import DEADLINE_S, chat_body, numbered


def begin(gateway, mock, key="life", n=8):
    """A stepped stream with two tokens out."""
    c = gateway.connect()
    response = c.chat(chat_body(f"count {key} to {n}", user=f"step:{key}"))
    mock.step(key, 2)
    response.read_until(f"{key}n2")
    return c, response


def is_draining(gateway):
    """Every worker has closed its listener: the log line alone is written before that."""
    gateway.wait_for("draining")
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            gateway.connect().close()
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            pass  # taken by a listener that was just being closed
        assert time.monotonic() < deadline, "still accepts connections"


@pytest.mark.smoke
@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT])
def test_streams_finish_and_the_exit_code_is_0(world, signo):
    mock = world.mock()
    gateway = world.gateway_for(mock)
    c, response = begin(gateway, mock)
    gateway.signal(signo)
    is_draining(gateway)
    mock.step("life", "all")
    assert response.read_all().text() == numbered("life", 8)
    assert response.events()[-1] == "[DONE]"
    assert c.is_closed_by_peer()
    c.close()
    assert gateway.wait() == 0
    assert '"end":"ok"' in gateway.stderr


def test_idle_connections_close_at_once(world):
    gateway = world.gateway_for(world.mock())
    with gateway.connect() as c:
        c.send_request("GET", "/health")
        assert c.read_response().read_all().status == 200
        gateway.signal(signal.SIGTERM)
        assert c.is_closed_by_peer()
        assert gateway.wait() == 0


def test_ready_turns_503_for_a_request_that_was_on_its_way(world):
    """Its first bytes came before the signal, its end after it."""
    mock = world.mock()
    gateway = world.gateway_for(mock, workers=1)
    stream, response = begin(gateway, mock)
    assert gateway.get("/ready").status == 200
    with gateway.connect() as probe, gateway.connect() as late:
        probe.send(b"GET /ready HTTP/1.1\r\nHost: loc")
        late.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: loc")
        for _ in range(2):  # the bytes have been read when the worker has answered others behind them
            assert gateway.get("/ready").status == 200
        gateway.signal(signal.SIGTERM)
        is_draining(gateway)
        probe.send(b"alhost\r\n\r\n")
        ready = probe.read_response("GET").read_all()
        assert (ready.status, ready.json()) == (503, {"status": "draining"})
        body = b'{"model":"mock-1","messages":[{"role":"user","content":"hi"}]}'
        late.send(b"alhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        refused = late.read_response("POST").read_all()
        assert (refused.status, refused.error["code"]) == (503, "server_overloaded")
        assert refused.header("retry-after") == "1"
    mock.step("life", "all")
    assert response.read_all().text() == numbered("life", 8)
    stream.close()
    assert gateway.wait() == 0


def test_a_second_signal_ends_at_once(world):
    mock = world.mock()
    gateway = world.gateway_for(mock, drain_timeout="10m")
    c, response = begin(gateway, mock)
    gateway.signal(signal.SIGTERM)
    is_draining(gateway)
    gateway.signal(signal.SIGTERM)
    try:
        assert "error" in response.read_all().events()[-1], "cut, and that can be seen"
    except (raw.Closed, ConnectionResetError):
        pass
    gateway.expected_exit = 1
    assert gateway.wait() == 1, "a stream was cut"
    mock.wait_counter("cancelled", 1)
    c.close()


def test_at_the_end_of_the_drain_an_error_event(world):
    mock = world.mock()
    gateway = world.gateway_for(mock, drain_timeout="300ms")
    c, response = begin(gateway, mock)
    waiting = gateway.connect()
    waiting.send_request("POST", "/v1/chat/completions", chat_body("hi", "fault/stall", stream=False))
    mock.wait_counter("started", 2)
    gateway.signal(signal.SIGTERM)
    response.read_all()
    assert response.text() == numbered("life", 2)
    assert response.events()[-1]["error"]["code"] == "server_overloaded"
    refused = waiting.read_response().read_all()
    assert (refused.status, refused.error["code"]) == (503, "server_overloaded")
    gateway.expected_exit = 1
    assert gateway.wait() == 1
    mock.wait_counter("cancelled", 2)
    c.close()
    waiting.close()


def test_a_slow_reader_does_not_hold_up_the_end(world):
    mock = world.mock()
    gateway = world.gateway_for(mock, drain_timeout="300ms")
    with gateway.connect(receive_buffer=4096) as c:
        c.send_request("POST", "/v1/chat/completions",
                       chat_body("go on", metadata={"tokens": "1000000000", "itl": "0"}))
        gateway.wait_metric("penstock_stalls_total", 1)
        gateway.signal(signal.SIGTERM)
        gateway.expected_exit = 1
        assert gateway.wait() == 1
    mock.wait_counter("cancelled", 1)


def test_nothing_to_drain(world):
    gateway = world.gateway_for(world.mock(), drain_timeout="10m")
    gateway.signal(signal.SIGTERM)
    assert gateway.wait() == 0


def test_many_streams_are_drained(world):
    mock = world.mock()
    gateway = world.gateway_for(mock)
    connections = [gateway.connect() for _ in range(100)]
    responses = [c.chat(chat_body(f"count d{i}x to 20", user="step:many")) for i, c in enumerate(connections)]
    for response in responses:
        response.read_until('"role"')
    gateway.signal(signal.SIGTERM)
    is_draining(gateway)
    mock.step("many", "all")
    for i, response in enumerate(responses):
        assert response.read_all().text() == numbered(f"d{i}x", 20)
        connections[i].close()
    assert gateway.wait() == 0


def test_the_port_is_free_for_the_next_one(world):
    mock = world.mock()
    first = world.gateway_for(mock)
    c, response = begin(first, mock)
    first.signal(signal.SIGTERM)
    is_draining(first)
    second = world.gateway_for(mock, listen=f"127.0.0.1:{first.port}")
    assert second.get("/ready").status == 200, "a new version takes over while the old one drains"
    mock.step("life", "all")
    assert response.read_all().text() == numbered("life", 8)
    c.close()
    assert first.wait() == 0


def test_the_mock_ends_well_too(world):
    mock = world.mock()
    with mock.connect() as c:
        response = c.chat(chat_body("count m to 9", user="step:m"))
        response.read_until('"role"')
        mock.signal(signal.SIGINT)
        assert mock.wait() == 0
    assert "requests" in mock.stdout, "a summary"


def test_descriptors_run_out_and_come_back(world):
    """New connections are closed, those that are open go on."""
    mock = world.mock()
    gateway = world.gateway_for(mock, workers=1)
    c, response = begin(gateway, mock)
    subprocess.run(["prlimit", "--pid", str(gateway.pid), "--nofile=40:40"], check=True)
    others = []
    for _ in range(80):
        other = gateway.connect()
        other.send_request("GET", "/health")
        others.append(other)
    served = 0
    for other in others:
        try:
            served += other.read_response().read_all().status == 200
        except (raw.Closed, ConnectionResetError, BrokenPipeError):
            pass
    assert 0 < served < 80
    for other in others:
        other.close()
    mock.step("life", "all")
    assert response.read_all().text() == numbered("life", 8), "the open stream has gone on"
    c.close()
    m = gateway.metrics()
    assert m.sum("penstock_client_connections_refused_total") > 0
