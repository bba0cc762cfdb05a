# SPDX-License-Identifier: Apache-2.0
"""Client gone, upstream gone: at once, counted as the client's doing and not as an error. And the other
way round: an upstream that dies in mid-stream never ends a stream in silence."""
import pytest

import certs
from harness import chat_body, numbered

ENDLESS = {"metadata": {"tokens": "1000000000", "itl": "1ms"}}
FLOOD = {"metadata": {"tokens": "1000000000", "itl": "0"}}
FIRST_TOKEN = '"content":"'


def leave(connection, how):
    if how == "FIN":
        connection.half_close()
    elif how == "close":
        connection.close()
    else:
        connection.reset()


def assert_gone(gateway, mock, n=1):
    mock.wait_counter("cancelled", n)
    gateway.wait_metric("penstock_requests_total", n, end="client_gone")
    m = gateway.wait_at_rest()
    assert m.ends() == {"client_gone": n}, "gone, and no error besides"
    assert m.sum("penstock_upstream_cancels_total") == n


@pytest.mark.smoke
@pytest.mark.parametrize("how", ["FIN", "close", "RST"])
def test_a_client_that_was_reading(world, how):
    mock = world.mock()
    gateway = world.gateway_for(mock)
    with gateway.connect() as c:
        response = c.chat(chat_body("go on", **ENDLESS))
        response.read_until(FIRST_TOKEN)
        leave(c, how)
        assert_gone(gateway, mock)


@pytest.mark.parametrize("how", ["FIN", "close", "RST"])
def test_a_client_that_had_stopped_reading(world, how):
    """The gateway is not reading its upstream then, nor writing to the client: leaving is seen nevertheless."""
    mock = world.mock()
    gateway = world.gateway_for(mock)
    with gateway.connect(receive_buffer=4096) as c:
        c.chat(chat_body("go on", **FLOOD)).read_until(FIRST_TOKEN)
        gateway.wait_metric("penstock_stalls_total", 1)
        leave(c, how)
        assert_gone(gateway, mock)


@pytest.mark.parametrize("how", ["FIN", "RST"])
def test_before_the_first_byte(world, how):
    """Nothing has come yet: a whole answer is being waited for."""
    mock = world.mock()
    gateway = world.gateway_for(mock)
    with gateway.connect() as c:
        c.send_request("POST", "/v1/chat/completions", chat_body("hi", "fault/stall", stream=False))
        mock.wait_counter("started", 1)
        leave(c, how)
        assert_gone(gateway, mock)


@pytest.mark.parametrize("how", ["FIN", "close", "RST"])
def test_over_tls(world, how):
    cert, key = certs.make(world.folder)
    mock = world.mock("--tls-cert", cert, "--tls-key", key, tls_ca=cert)
    config = world.config_for(mock, provider={"ca_file": cert}, tls={"cert": cert, "key": key})
    gateway = world.gateway(config, tls_ca=cert)
    with gateway.connect() as c:
        c.chat(chat_body("go on", **ENDLESS)).read_until(FIRST_TOKEN)
        leave(c, how)
        assert_gone(gateway, mock)


def test_one_leaves_and_the_others_go_on(world):
    mock = world.mock()
    gateway = world.gateway_for(mock, workers=1)
    with gateway.connect() as stays, gateway.connect() as leaves:
        staying = stays.chat(chat_body("count kept to 5", user="step:stays"))
        staying.read_until('"role"')
        leaves.chat(chat_body("go on", **ENDLESS)).read_until(FIRST_TOKEN)
        leaves.reset()
        mock.wait_counter("cancelled", 1)
        mock.step("stays", "all")
        assert staying.read_all().text() == numbered("kept", 5)
    m = gateway.metrics()
    assert m.ends() == {"client_gone": 1, "ok": 1}


def test_drain_reads_on_for_the_usage(world):
    """on_client_gone: drain. The provider is read to its end, and what it reports is counted."""
    mock = world.mock()
    gateway = world.gateway_for(mock, provider={"on_client_gone": "drain"})
    with gateway.connect() as c:
        response = c.chat(chat_body("count more to 50", user="step:drain"))
        mock.step("drain", 3)
        response.read_until("moren3")
        c.reset()
        gateway.wait_metric("penstock_client_connections_total", 1)
        mock.step("drain", "all")
        counters = mock.wait_counter("completed", 1)
        assert counters["cancelled"] == 0
    m = gateway.wait_metric("penstock_requests_total", 1, end="client_gone")
    assert m.sum("penstock_tokens_total", kind="output") == 50
    assert m.ends() == {"client_gone": 1}


def test_drain_has_a_bound(world):
    """An endless answer is not read for ever for a client that has left."""
    mock = world.mock()
    gateway = world.gateway_for(mock, provider={"on_client_gone": {"drain": {"bytes": "64KiB", "time": "5m"}}})
    with gateway.connect() as c:
        c.chat(chat_body("go on", **FLOOD)).read_until(FIRST_TOKEN)
        c.reset()
        mock.wait_counter("cancelled", 1)
    assert gateway.wait_metric("penstock_requests_total", 1, end="client_gone").ends() == {"client_gone": 1}


# ---- the upstream ----

def test_an_upstream_killed_in_mid_stream(world):
    mock = world.mock()
    gateway = world.gateway_for(mock)
    with gateway.connect() as c:
        response = c.chat(chat_body("count seen to 1000", user="step:kill"))
        mock.step("kill", 7)
        response.read_until("seenn7")
        mock.kill()
        response.read_all()  # ends in good order: with its last chunk
        assert response.text() == numbered("seen", 7), "what had come is all there"
        last = response.events()[-1]
        assert last["error"]["type"] == "server_error" and last["error"]["code"] == "bad_gateway"
        assert last["error"]["message"]
        # The connection is still good, and the next failure has a status, for now nothing has been sent.
        for stream in (True, False):
            response = c.chat(chat_body("hi", stream=stream)).read_all()
            assert (response.status, response.error["code"]) == (502, "bad_gateway")
        assert c.send_request("GET", "/health") is None and c.read_response().read_all().status == 200
    assert gateway.metrics().ends() == {"upstream_cut": 1, "upstream_connect": 2}


def test_an_upstream_killed_under_many_streams(world):
    mock = world.mock()
    gateway = world.gateway_for(mock)
    connections = [gateway.connect() for _ in range(50)]
    responses = [c.chat(chat_body("count seen to 1000", user="step:kill")) for c in connections]
    mock.step("kill", 3)
    for response in responses:
        response.read_until("seenn3")
    mock.kill()
    for response, connection in zip(responses, connections):
        assert "error" in response.read_all().events()[-1]
        connection.close()
    assert gateway.metrics().ends() == {"upstream_cut": 50}


def test_silence_is_an_error_event(world):
    """providers.*.idle_timeout: a stalled provider ends the stream with an error, and is let go."""
    mock = world.mock()
    gateway = world.gateway_for(mock, provider={"idle_timeout": "300ms"})
    with gateway.connect() as c:
        response = c.chat(chat_body("count seen to 9", "fault/stall")).read_all()
    assert response.text() == numbered("seen", 3)
    assert response.events()[-1]["error"]["code"] == "upstream_timeout"
    mock.wait_counter("cancelled", 1)
    assert gateway.metrics().ends() == {"upstream_timeout": 1}


def test_no_first_byte_is_a_504(world):
    mock = world.mock()
    gateway = world.gateway_for(mock, provider={"first_byte_timeout": "300ms"})
    with gateway.connect() as c:
        response = c.chat(chat_body("hi", "fault/stall", stream=False)).read_all()
    assert (response.status, response.error["code"]) == (504, "upstream_timeout")
    mock.wait_counter("cancelled", 1)


def test_a_late_head_is_bridged_by_comments(world):
    """timeouts.hold, then timeouts.heartbeat: the stream is open, and says so, before its first event."""
    mock = world.mock(ttft="2s")
    gateway = world.gateway_for(mock, timeouts={"hold": "100ms", "heartbeat": "100ms"})
    with gateway.connect() as c:
        response = c.chat(chat_body("count late to 3"))
        assert response.status == 200
        response.read_until(b"\n\n")
        assert response.body.startswith(b":"), "a comment, so that nobody on the way gives up"
        assert response.read_all().text() == numbered("late", 3)
        assert response.body.count(b":") > 2
