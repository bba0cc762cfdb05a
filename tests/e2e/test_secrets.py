# SPDX-License-Identifier: Apache-2.0
"""Keys go where they belong and nowhere else. Every other test looks for them too, in all that it has
captured; here are the places where they slip out most easily."""
import pytest

from harness import SECRETS, chat_body
from raw import completion_of, stream_of


def echoing(status):
    """A provider that repeats the credential which it refuses."""
    def script(connection):
        while request := connection.read_request():
            message = f"Incorrect API key provided: {request.header('authorization')}"
            error = {"message": message, "type": "invalid_request_error", "param": None, "code": "invalid_api_key"}
            connection.send_json({"error": error}, status, [f"x-request-id: {request.header('authorization')[7:60]}"]
                                 if status == 401 else [])
    return script


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [401, 403])
def test_a_provider_that_repeats_the_key_it_refuses(world, upstream, status, stream):
    gateway = world.gateway_for(upstream(echoing(status)).base_url)
    with gateway.connect() as c:
        response = c.chat(chat_body("hi", stream=stream)).read_all()  # looked through by the harness
    assert (response.status, response.error["code"]) == (502, "upstream_auth")
    assert "up" in response.error["message"], "the operator learns which provider it is"
    gateway.wait_for("upstream_auth")


@pytest.mark.smoke
@pytest.mark.parametrize("form", ["json", "human"])
def test_everything_that_is_logged(world, upstream, form):
    """Good and bad answers at the most talkative level, with the client's key in every place that has one."""
    turns = iter([lambda c: c.send_json(completion_of()), lambda c: c.send_stream(stream_of("a")),
                  lambda c: c.send_json(b"<html>", 500), lambda c: c.send_stream(stream_of("a", done=False)[:300]),
                  lambda c: None])

    def script(connection):
        connection.read_request()
        next(turns)(connection)

    key = SECRETS.new("client")
    gateway = world.gateway_for(upstream(script).base_url, workers=1,
                                log={"level": "debug", "format": form, "requests": "all"})
    headers = [("Authorization", f"Bearer {key}"), ("Api-Key", key), ("X-Api-Key", key), ("Cookie", f"k={key}"),
               ("OpenAI-Organization", key), ("X-Secret", key)]
    for stream in (False, True, False, True, True):
        with gateway.connect() as c:
            c.chat(chat_body(f"my key is {key}", stream=stream), headers).read_all()
    with gateway.connect() as c:
        c.send_request("POST", f"/v1/chat/completions?api-key={key}", b'{"broken": "' + key.encode(), headers)
        assert c.read_response().read_all().status == 400
    gateway.wait_for("client_error")
    assert key not in gateway.output and key not in gateway.metrics_text()


def test_no_answer_about_a_bad_request_repeats_the_key(world):
    gateway = world.gateway_for(world.mock())
    key = SECRETS.new("client")
    for lines in ([f"Authorization: Bearer {key}", "Bad Header"], [f"Authorization: Bearer {key}\x00"],
                  [f"Authorization : Bearer {key}"], [f"Authorization: Bearer {key}", f"Authorization {key}"]):
        with gateway.connect() as c:
            c.send("\r\n".join(["GET /health HTTP/1.1", "Host: localhost", *lines, "", ""]).encode("latin-1"))
            response = c.read_response("GET").read_all()
            assert response.status == 400 and key.encode() not in response.body


def test_the_providers_key_is_not_shown_at_start(world):
    key = SECRETS.new("openai")
    env = {"OPENAI_API_KEY": key, "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
    gateway = world.serve("--listen", "127.0.0.1:0", env=env)
    with gateway.connect() as c:
        assert c.chat(chat_body("hi", "gpt-4o")).read_all().status == 502
    assert key not in gateway.output


def test_a_password_in_the_url(world):
    """Refused, or at least never shown."""
    key = SECRETS.new("url")
    config = world.write_config(world.config_for(f"http://user:{key}@127.0.0.1:1/v1"))
    for command in ("check", "show"):
        world.run("config", command, config)
    url = f"http://user:{key}@127.0.0.1:1/v1"
    for command in (("chat", "--url", url, "hi"), ("bench", "--url", url), ("mock", "--record", "kept", "--upstream", url)):
        done = world.run(*command)
        assert done.returncode != 0


def test_a_key_that_no_header_can_carry(world):
    key = SECRETS.new("bad")
    config = world.write_config(world.config_for("http://127.0.0.1:1/v1", provider={"api_key": f"{key}\n"}))
    for args in (("config", "check", config), ("config", "show", config)):
        world.run(*args)
    done = world.run("chat", "--url", "http://127.0.0.1:1/v1", "--api-key", f"{key}\n", "hi")
    assert done.returncode != 0


def test_a_broken_dot_env(world):
    key = SECRETS.new("dotenv")
    world.write("here/.env", f"OPENAI_API_KEY {key}\nOTHER='{key}\n")
    world.run("config", "check", cwd=world.path("here"))
    world.run("config", "check", "--env-file", world.path("here/.env"))


def test_the_mocks_journal_masks(world):
    mock = world.mock()
    key = SECRETS.new("client")
    with mock.connect() as c:
        headers = [("Authorization", f"Bearer {key}"), ("X-Api-Key", key), ("Api-Key", key), ("Cookie", key)]
        c.chat(chat_body("hi", "fault/echo-headers", stream=False), headers).read_all()
    [entry] = mock.journal()
    assert entry["headers"]["Authorization"].startswith("Bearer sk-c***")
