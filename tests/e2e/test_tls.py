# SPDX-License-Identifier: Apache-2.0
"""TLS on both sides, and Unix sockets."""
import os
import ssl
import stat

import openai
import pytest

import certs
import raw
import sdk
from harness import chat_body, numbered


def listening_with_tls(world, mock, **settings):
    cert, key = certs.make(world.folder, "listener")
    return world.gateway(world.config_for(mock, tls={"cert": cert, "key": key}, **settings), tls_ca=cert), cert


@pytest.mark.smoke
def test_a_tls_listener(world):
    gateway, _ = listening_with_tls(world, world.mock())
    assert gateway.url.startswith("https://")
    with gateway.connect() as c:
        for stream in (True, False, True):
            response = c.chat(chat_body("count tls to 300", stream=stream)).read_all()
            text = response.text() if stream else response.json()["choices"][0]["message"]["content"]
            assert text == numbered("tls", 300)
        assert c.sock.version() == "TLSv1.3"


def test_large_bodies_both_ways(world):
    """Records, not reads: a megabyte up, a megabyte down."""
    gateway, _ = listening_with_tls(world, world.mock())
    text = "0123456789abcdef" * 65536
    with gateway.connect() as c:
        response = c.chat(chat_body("echo: " + text, stream=False)).read_all()
    assert response.json()["choices"][0]["message"]["content"] == text


def test_plain_http_at_a_tls_listener(world):
    gateway, _ = listening_with_tls(world, world.mock())
    with raw.Connection("127.0.0.1", gateway.port) as c:
        c.send(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        try:
            while c.sock.recv(65536):
                pass  # an alert, or nothing
        except ConnectionResetError:
            pass
    assert gateway.get("/health").status == 200


def test_a_handshake_that_is_cut(world):
    gateway, _ = listening_with_tls(world, world.mock())
    for piece in (b"\x16\x03\x01\x02\x00\x01\x00", b"\x16\x03\x01\xff\xff" + bytes(100)):
        with raw.Connection("127.0.0.1", gateway.port) as c:
            c.send(piece)
            c.reset()
    assert gateway.get("/health").status == 200


def test_an_unknown_certificate_is_refused_by_the_client(world):
    gateway, _ = listening_with_tls(world, world.mock())
    other, _ = certs.make(world.folder, "other")
    with pytest.raises(ssl.SSLCertVerificationError):
        raw.Connection("127.0.0.1", gateway.port, ca_file=other)
    assert gateway.get("/health").status == 200


def tls_mock(world):
    cert, key = certs.make(world.folder, "upstream")
    return world.mock("--tls-cert", cert, "--tls-key", key, tls_ca=cert), cert


def test_a_tls_upstream(world):
    mock, cert = tls_mock(world)
    gateway = world.gateway_for(mock, provider={"ca_file": cert}, workers=1)
    for i in range(5):
        with gateway.connect() as c:
            assert c.chat(chat_body(f"count up{i}x to 50")).read_all().text() == numbered(f"up{i}x", 50)
        gateway.wait_idle_upstream()
    m = gateway.metrics()
    assert m.sum("penstock_upstream_connects_total") == 1 and m.sum("penstock_upstream_reuses_total") == 4


def test_an_upstream_that_cannot_be_verified_is_a_502(world):
    mock, _ = tls_mock(world)
    other, _ = certs.make(world.folder, "other")
    for provider in ({}, {"ca_file": other}):
        gateway = world.gateway_for(mock, provider=provider)
        with gateway.connect() as c:
            for stream in (False, True):
                response = c.chat(chat_body("hi", stream=stream)).read_all()
                assert (response.status, response.error["code"]) == (502, "bad_gateway")
                assert "certificate" in response.error["message"].lower()
        assert gateway.metrics().ends() == {"upstream_connect": 2}
    assert mock.counters()["started"] == 0, "nothing was sent to a stranger, the key least of all"


def test_a_certificate_for_another_name_is_a_502(world):
    cert, key = certs.make(world.folder, "upstream")
    mock = world.mock("--tls-cert", cert, "--tls-key", key, tls_ca=cert)
    gateway = world.gateway(world.config_for(f"https://127.0.0.2:{mock.port}/v1", provider={"ca_file": cert}))
    with gateway.connect() as c:
        assert c.chat(chat_body("hi")).read_all().status == 502
    assert mock.counters()["started"] == 0


def test_verification_can_be_turned_off(world):
    mock, _ = tls_mock(world)
    gateway = world.gateway_for(mock, provider={"tls_verify": False})
    with gateway.connect() as c:
        assert c.chat(chat_body("ping", stream=False)).read_all().status == 200


def test_tls_to_a_plain_upstream_is_a_502(world):
    mock = world.mock()
    gateway = world.gateway(world.config_for(f"https://127.0.0.1:{mock.port}/v1"))
    with gateway.connect() as c:
        assert c.chat(chat_body("hi")).read_all().status == 502


def test_a_name_for_the_upstream(world):
    """localhost is looked up; both of its addresses may be tried."""
    mock, cert = tls_mock(world)
    gateway = world.gateway(world.config_for(f"https://localhost:{mock.port}/v1", provider={"ca_file": cert}))
    with gateway.connect() as c:
        assert c.chat(chat_body("count name to 5")).read_all().text() == numbered("name", 5)


def test_a_name_that_is_none(world):
    gateway = world.gateway(world.config_for("http://nobody.invalid/v1"))
    with gateway.connect() as c:
        response = c.chat(chat_body("hi")).read_all()
    assert (response.status, response.error["code"]) == (502, "bad_gateway")


def test_unix_sockets_on_both_sides(world):
    up, down = world.path("up.sock"), world.path("down.sock")
    mock = world.mock(listen="127.0.0.1:0,unix:" + up)
    config = world.config_for("http+unix://" + up.replace("/", "%2F") + "/v1",
                              listen=["127.0.0.1:0", "unix:" + down])
    gateway = world.gateway(config)
    assert stat.S_IMODE(os.stat(down).st_mode) == 0o660
    for _ in range(2):
        with raw.Connection(None, None, unix=down) as c:
            assert c.chat(chat_body("count sock to 30")).read_all().text() == numbered("sock", 30)
    assert mock.counters()["completed"] == 2
    gateway.stop()
    assert not os.path.exists(down), "removed at the end"


def test_a_stale_socket_file_is_taken_over_and_a_live_one_is_not(world):
    path = world.path("one.sock")
    mock = world.mock()
    config = world.write_config(world.config_for(mock, listen=["127.0.0.1:0", "unix:" + path]))
    first = world.gateway(config)
    second = world.run("serve", "--config", config)
    assert second.returncode == 4 and path in second.stderr
    with raw.Connection(None, None, unix=path) as c:
        c.send_request("GET", "/health")
        assert c.read_response().read_all().status == 200, "the first one still has it"
    first.kill()
    assert os.path.exists(path)
    world.gateway(config)
    with raw.Connection(None, None, unix=path) as c:
        c.send_request("GET", "/health")
        assert c.read_response().read_all().status == 200


def test_the_python_sdk_over_tls(world):
    gateway, cert = listening_with_tls(world, world.mock())
    context = ssl.create_default_context(cafile=cert)
    http = openai.DefaultHttpxClient(verify=context)
    with openai.OpenAI(base_url=gateway.base_url, api_key="sk-any", http_client=http) as client:
        stream = client.chat.completions.create(**sdk.ask("count tls to 40"), stream=True)
        assert sdk.collect(stream).text[0] == numbered("tls", 40)
