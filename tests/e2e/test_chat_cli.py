# SPDX-License-Identifier: Apache-2.0
"""`penstock chat`: prints an answer as it comes, and ends with a code that tells."""
import json
import os
import pty
import re
import signal
import subprocess

import pytest

import certs
import harness
from harness import SECRETS, Program, numbered
from raw import stream_of

FAILED, USAGE, UNREACHABLE = 1, 2, 5


def chat(world, gateway, *args, **options):
    return world.run("chat", "--url", gateway.base_url, "--model", "mock-1", *args, **options)


@pytest.mark.smoke
def test_prints_the_text(world, stack):
    done = chat(world, stack.gateway, "count", "word", "to", "30")
    assert (done.returncode, done.stdout, done.stderr) == (0, numbered("word", 30) + "\n", "")
    whole = chat(world, stack.gateway, "--no-stream", "count word to 30")
    assert whole.stdout == done.stdout
    assert [e["stream"] for e in stack.mock.journal()] == [True, False]


def test_a_hint_where_the_address_is_wrong(world):
    mock = world.mock("--replay", ".")
    missing = world.run("chat", "--url", mock.base_url, "--model", "m", "hello")
    nothing = world.run("chat", "--url", mock.url + "/v2", "--model", "m", "hello")
    assert (missing.returncode, nothing.returncode) == (FAILED, FAILED)
    assert "No capture answers" in missing.stderr and "hint" not in missing.stderr
    assert "hint: does the base URL end in /v1?" in nothing.stderr


def test_reads_standard_input(world, stack):
    for args in (["-"], []):
        done = chat(world, stack.gateway, *args, stdin="echo: from a pipe\n")
        assert (done.returncode, done.stdout) == (0, "from a pipe\n")
    assert chat(world, stack.gateway, "-", stdin=" \n").returncode == USAGE


def test_the_text_grows(world, stack):
    """Token k is on the pipe before token k + 1 exists."""
    mock = world.mock("--step")
    gateway = world.gateway_for(mock)
    program = Program(["chat", "--url", gateway.base_url, "--model", "mock-1", "count grow to 12"], world.folder)
    words = numbered("grow", 12).split(" ")
    for k in range(12):
        mock.step("")
        program.wait_for(rf"^{' '.join(words[:k + 1])}$")
    mock.step("")
    assert program.wait() == 0
    assert program.stdout == " ".join(words) + "\n"


def test_json_prints_what_came(world, stack):
    done = chat(world, stack.gateway, "--json", "count j to 5")
    *chunks, end = done.stdout.splitlines()
    assert end == "[DONE]"
    text = "".join(c["delta"].get("content") or "" for line in chunks for c in json.loads(line)["choices"])
    assert text == numbered("j", 5)
    whole = chat(world, stack.gateway, "--json", "--no-stream", "count j to 5")
    assert json.loads(whole.stdout)["choices"][0]["message"]["content"] == numbered("j", 5)


def test_stats(world, stack):
    done = chat(world, stack.gateway, "--stats", "count s to 25")
    assert done.returncode == 0 and done.stdout == numbered("s", 25) + "\n"
    assert re.search(r"\b25\b", done.stderr) and "token" in done.stderr


def test_system_and_bounds(world, stack):
    done = chat(world, stack.gateway, "--system", "be brief", "--max-tokens", "4", "count s to 25")
    assert done.returncode == 0 and done.stdout.startswith(numbered("s", 4)) and "sn5" not in done.stdout


def test_the_key_is_sent_and_not_printed(world, upstream):
    up = upstream(lambda c: c.read_request() and c.send_stream(stream_of("hi")))
    key = SECRETS.new("chat")
    for args, env in ((["--api-key", key], {}), ([], {"OPENAI_API_KEY": key})):
        done = world.run("chat", "--url", up.base_url, "hello", *args, env=env)
        assert (done.returncode, done.stdout) == (0, "hi\n"), done.stderr
    assert [r.header("authorization") for r in up.requests] == [f"Bearer {key}"] * 2


def test_where_it_goes_by_itself(world, stack):
    """To PENSTOCK_URL; not to OPENAI_BASE_URL, which is where the gateway goes."""
    elsewhere = {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
    for env in ({"PENSTOCK_MODEL": "mock-9"}, {}):
        done = world.run("chat", "ping", env={"PENSTOCK_URL": stack.base_url, **elsewhere, **env})
        assert (done.returncode, done.stdout) == (0, "pong\n")
    assert [e["model"] for e in stack.mock.journal()] == ["mock-9", "gpt-4o-mini"]


@pytest.mark.parametrize("model, words", [("no-such-model", ["404", "no-such-model"]), ("fault/429", ["429"]),
                                          ("fault/500", ["500"]), ("fault/error-event", ["middle of its answer"]),
                                          ("fault/cut", []), ("fault/401", ["502"])])
@pytest.mark.parametrize("stream", ["--stream", "--no-stream"])
def test_errors(world, stack, model, words, stream):
    done = chat(world, stack.gateway, "--model", model, stream, "count e to 9")
    assert done.returncode == FAILED
    assert "penstock chat:" in done.stderr
    for word in words if stream == "--stream" or "middle" not in str(words) else []:
        assert word in done.stderr, done.stderr
    if model in ("fault/cut", "fault/error-event") and stream == "--stream":
        assert done.stdout.startswith(numbered("e", 3)), "what came is shown"


def test_an_answer_that_contradicts_itself(world, upstream):
    """Its pieces and what is said again of them differ: what came is shown, and it is no success."""
    def events(*pieces):
        item = {"output_index": 0, "item_id": "m", "content_index": 0}
        yield {"type": "response.created", "response": {"id": "r", "status": "in_progress", "model": "m"}}
        for piece in pieces:
            yield {"type": "response.output_text.delta", "delta": piece, **item}
        yield {"type": "response.output_text.done", "text": "one two three", **item}
        yield {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": []}}

    streams = [events("one ", "two ", "three"), events("one ", "three")]
    up = upstream(lambda c: c.read_request() and c.send_stream(
        b"".join(b"data: " + json.dumps(e).encode() + b"\n\n" for e in streams.pop(0))))
    ask = ("chat", "--url", up.base_url, "--api-key", "k", "--dialect", "responses", "count")
    whole, broken = world.run(*ask), world.run(*ask)
    assert (whole.returncode, whole.stdout, whole.stderr) == (0, "one two three\n", "")
    assert (broken.returncode, broken.stdout) == (FAILED, "one three\n")
    assert "contradicts itself" in broken.stderr and broken.stderr.count("penstock chat:") == 1


def test_nobody_there(world):
    done = world.run("chat", "--url", "http://127.0.0.1:1/v1", "hello")
    assert done.returncode == UNREACHABLE and "hint" in done.stderr and not done.stdout


def test_wrong_usage(world):
    for args in (["--max-tokens", "x", "hi"], ["--url", "ftp://x", "hi"], ["--nonsense", "hi"]):
        assert world.run("chat", *args).returncode == USAGE, args


def test_tls(world):
    cert, key = certs.make(world.folder)
    gateway = world.gateway(world.config_for(world.mock(), tls={"cert": cert, "key": key}), tls_ca=cert)
    assert chat(world, gateway, "--ca-file", cert, "ping").stdout == "pong\n"
    assert chat(world, gateway, "--insecure", "ping").stdout == "pong\n"
    refused = chat(world, gateway, "ping")
    assert refused.returncode == UNREACHABLE and "ca-file" in refused.stderr


def test_an_interrupt_ends_it(world, stack):
    program = Program(["chat", "--url", stack.base_url, "--model", "mock-1", "count on to 100000000"], world.folder,
                      name="chat")
    program.wait_for("onn100 ")
    program.signal(signal.SIGINT)
    assert program.wait() == 130
    stack.mock.wait_counter("cancelled", 1)


def test_a_reader_that_leaves(world, stack):
    """penstock chat … | head: ends, and lets the provider go."""
    command = f"{harness.BIN} chat --url {stack.base_url} --model mock-1 'count on to 100000000' | head -c 100"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=harness.DEADLINE_S,
                          env=harness.clean_environment())
    assert len(done.stdout) == 100
    stack.mock.wait_counter("cancelled", 1)


def test_the_terminal_is_not_steered(world, stack):
    """Into a pipe the bytes go as they are; a terminal gets no control characters of the model's."""
    done = chat(world, stack.gateway, "echo: a\x1b[31mb")
    assert done.stdout == "a\x1b[31mb\n"
    main, other = pty.openpty()
    process = subprocess.Popen([harness.BIN, "chat", "--url", stack.base_url, "--model", "mock-1", "--no-color",
                                "echo: a\x1b[31mb\x07"], stdin=subprocess.DEVNULL, stdout=other, stderr=other,
                               env=harness.clean_environment({"TERM": "xterm"}))
    os.close(other)
    shown = b""
    while True:
        try:
            if not (piece := os.read(main, 4096)):
                break
        except OSError:
            break  # the terminal's other end is closed
        shown += piece
    os.close(main)
    assert process.wait(harness.DEADLINE_S) == 0
    assert b"\x1b" not in shown and b"\x07" not in shown and b"a" in shown and b"b" in shown
