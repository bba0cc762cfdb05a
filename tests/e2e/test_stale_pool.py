# SPDX-License-Identifier: Apache-2.0
"""Kept connections that the upstream has closed meanwhile: one more try on a fresh one, and only when it
is certain that nothing was begun; never after an answer's byte, never after a timeout."""
import pytest

from harness import chat_body
from raw import completion_of, stream_of


def ask(gateway, stream=False):
    with gateway.connect() as c:
        return c.chat(chat_body("hi", stream=stream)).read_all()


def ask_first(gateway, stream=False):
    """Leaves a connection in the pool."""
    assert ask(gateway, stream).status == 200
    gateway.wait_idle_upstream()


def answer(connection, request):
    if request.json().get("stream"):
        connection.send_stream(stream_of("fine"))
    else:
        connection.send_json(completion_of("fine"))


def closes_on_second(how):
    """Each connection answers once; at the second request it closes before a byte of the answer."""
    def script(connection):
        answer(connection, connection.read_request())
        if connection.read_request() and how == "RST":
            connection.reset()
        # else: FIN, by returning
    return script


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("how", ["FIN", "RST"])
def test_one_more_try_on_a_fresh_connection(world, upstream, how, stream):
    up = upstream(closes_on_second(how))
    gateway = world.gateway_for(up.base_url, workers=1)
    ask_first(gateway, stream)
    assert ask(gateway, stream).status == 200
    m = gateway.metrics()
    assert m.sum("penstock_upstream_stale_retries_total") == 1
    assert m.sum("penstock_upstream_reuses_total") == 1
    assert m.ends() == {"ok": 2}
    assert len(up.requests) == 3 and len(up.connections) == 2, "sent once more, once"


def test_a_connection_closed_while_idle_is_not_used(world, upstream):
    """The close is seen while the connection waits: no retry is needed."""
    def script(connection):
        answer(connection, connection.read_request())

    up = upstream(script)
    gateway = world.gateway_for(up.base_url, workers=1)
    assert ask(gateway).status == 200
    m = gateway.metrics()
    for _ in range(1000):  # its end is on the way; this waits for it by asking
        if m.sum("penstock_upstream_connections", state="idle") == 0:
            break
        m = gateway.metrics()
    assert m.sum("penstock_upstream_connections", state="idle") == 0
    assert ask(gateway).status == 200
    m = gateway.metrics()
    assert m.sum("penstock_upstream_stale_retries_total") == 0 and len(up.requests) == 2


def test_not_when_it_is_switched_off(world, upstream):
    up = upstream(closes_on_second("FIN"))
    gateway = world.gateway_for(up.base_url, workers=1, provider={"retry_stale": False})
    ask_first(gateway)
    response = ask(gateway)
    assert (response.status, response.error["code"]) == (502, "bad_gateway")
    assert len(up.requests) == 2 and gateway.metrics().sum("penstock_upstream_stale_retries_total") == 0


def test_not_on_a_fresh_connection(world, upstream):
    """A provider that closes at once is broken; asking twice would not mend it."""
    up = upstream(lambda connection: connection.read_request())
    gateway = world.gateway_for(up.base_url)
    response = ask(gateway)
    assert (response.status, response.error["code"]) == (502, "bad_gateway")
    assert len(up.requests) == 1
    assert gateway.metrics().ends() == {"upstream_cut": 1}


@pytest.mark.parametrize("part", [b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"])
def test_not_after_a_byte_of_the_answer(world, upstream, part):
    def script(connection):
        answer(connection, connection.read_request())
        if connection.read_request():
            connection.send(part)

    up = upstream(script)
    gateway = world.gateway_for(up.base_url, workers=1)
    ask_first(gateway)
    assert ask(gateway).status == 502
    assert len(up.requests) == 2
    assert gateway.metrics().sum("penstock_upstream_stale_retries_total") == 0


def test_not_after_a_timeout(world, upstream):
    """The provider may be working on it."""
    def script(connection):
        answer(connection, connection.read_request())
        if connection.read_request():
            connection.wait_closed()

    up = upstream(script)
    gateway = world.gateway_for(up.base_url, workers=1, provider={"first_byte_timeout": "300ms"})
    ask_first(gateway)
    response = ask(gateway)
    assert (response.status, response.error["code"]) == (504, "upstream_timeout")
    assert len(up.requests) == 2 and len(up.connections) == 1


def test_connections_are_reused(world):
    mock = world.mock()
    gateway = world.gateway_for(mock, workers=1)
    for i in range(20):
        ask_first(gateway, stream=bool(i % 2))
    m = gateway.metrics()
    assert m.sum("penstock_upstream_connects_total") == 1
    assert m.sum("penstock_upstream_reuses_total") == 19


def test_an_early_answer_with_close(world, upstream):
    """Connection: close is obeyed."""
    def script(connection):
        connection.read_request()
        connection.send_json(completion_of("once"), headers=["Connection: close"])
        connection.wait_closed()

    up = upstream(script)
    gateway = world.gateway_for(up.base_url, workers=1)
    assert [ask(gateway).status for _ in range(3)] == [200, 200, 200]
    assert len(up.connections) == 3
