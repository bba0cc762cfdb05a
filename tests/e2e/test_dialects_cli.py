# SPDX-License-Identifier: Apache-2.0
"""`penstock chat` and `penstock bench` in every dialect, straight at the mock."""
import json

import pytest

from harness import numbered

PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages",
         "completions": "/v1/completions"}
KEYS = {"chat": "OPENAI_API_KEY", "responses": "OPENAI_API_KEY", "messages": "ANTHROPIC_API_KEY",
        "completions": "OPENAI_API_KEY"}


@pytest.mark.parametrize("dialect", PATHS)
def test_chat(world, dialect):
    mock = world.mock()
    ask = ["chat", "--url", mock.base_url, "--dialect", dialect, "--stats", "count word to 30"]
    for args in ([], ["--no-stream"]):
        done = world.run(*ask, *args, env={KEYS[dialect]: "a-key"})
        assert (done.returncode, done.stdout) == (0, numbered("word", 30) + "\n")
        assert "30 out" in done.stderr
    for entry, stream in zip(mock.journal(), (True, False), strict=True):
        assert (entry["path"], entry["stream"]) == (PATHS[dialect], stream)
        assert ("x-api-key" in entry["headers"]) == (dialect == "messages")
        assert ("anthropic-version" in entry["headers"]) == (dialect == "messages")
        assert ("authorization" in entry["headers"]) == (dialect != "messages")


@pytest.mark.parametrize("dialect", PATHS)
def test_chat_says_what_went_wrong(world, dialect):
    mock = world.mock()
    for model in ("fault/429", "fault/error-event", "fault/fin"):
        done = world.run("chat", "--url", mock.base_url, "--dialect", dialect, "--model", model,
                         "tell me a story", env={})
        assert done.returncode == 1, done.stderr
        assert "penstock chat: " in done.stderr


@pytest.mark.parametrize("dialect", ["chat", "responses", "messages"])
def test_chat_shows_thoughts(world, dialect):
    mock = world.mock()
    done = world.run("chat", "--url", mock.base_url, "--dialect", dialect, "--reasoning-effort", "low",
                     "echo: the answer")
    assert done.returncode == 0
    assert done.stdout.startswith("(thinking) ")
    assert done.stdout.endswith("\n\nthe answer\n")


def test_completions_have_no_effort(world):
    done = world.run("chat", "--url", world.mock().base_url, "--dialect", "completions",
                     "--reasoning-effort", "low", "hi")
    assert done.returncode == 2
    assert "no reasoning effort" in done.stderr


@pytest.mark.parametrize("mode", ["stream", "requests"])
@pytest.mark.parametrize("dialect", PATHS)
def test_bench(world, dialect, mode):
    mock = world.mock()
    done = world.run("bench", "--url", mock.base_url, "--dialect", dialect, "--mode", mode, "-c", "4",
                     "-n", "40", "--verify", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["completed"], report["verified"], report["failed"]) == (40, 40, 0)
    assert {e["path"] for e in mock.journal()} == {PATHS[dialect]}
