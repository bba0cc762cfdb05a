# SPDX-License-Identifier: Apache-2.0
"""The command line and the configuration, as somebody meets them who has just installed the program."""
import json
import os
import re
import subprocess
import time
import urllib.request

import pytest

from harness import BIN, DEADLINE_S, ROOT, SECRETS, Program, chat_body
from raw import completion_of

EXIT_USAGE, EXIT_CONFIG, EXIT_LISTEN = 2, 3, 4
COMMANDS = ["serve", "mock", "chat", "bench", "config", "version", "completion"]


def check(world, text, *args, env=None):
    path = world.write("penstock.yaml", text)
    return world.run("config", "check", path, *args, env=env)


GOOD = """\
listen: 127.0.0.1:0
providers:
  openai: { dialect: chat, base_url: "https://api.openai.com/v1", api_key: "${KEY:-none}" }
models:
  - { name: "gpt-4o-mini", targets: [ { provider: openai } ] }
"""


# ---- faults of a configuration ----

def test_a_good_file(world):
    done = check(world, GOOD)
    assert done.returncode == 0 and "no faults" in done.stdout


@pytest.mark.parametrize("text, line, column, words", [
    ("listen: 127.0.0.1:0\nproviders:\n  up:\n    bas_url: http://x/v1\n", 4, 5,
     ["providers.up.bas_url", "unknown", "did you mean", "base_url"]),
    ("lisen: 127.0.0.1:0\n", 1, 1, ["lisen", "did you mean", "listen"]),
    ("workers: many\n", 1, 10, ["workers", "many"]),
    ("workers: 99999\n", 1, 10, ["workers", "1024"]),
    ("drain_timeout: 5 parsecs\n", 1, 16, ["drain_timeout", "5 parsecs"]),
    ("log:\n  level: loud\n", 2, 10, ["log.level", "loud", "debug"]),
    ("log:\n  format: jsn\n", 2, 11, ["log.format", "jsn", "json"]),
    ("limits: { body: -1 }\n", 1, 17, ["limits.body", "-1"]),
    ("limits: { body: 10XB }\n", 1, 17, ["limits.body", "10XB"]),
    ("metrics: perhaps\n", 1, 10, ["metrics", "perhaps"]),
    ("log: [a, list]\n", 1, 6, ["log"]),
    ("workers: 2\nworkers: 3\n", 2, 1, ["workers", "twice"]),
    ("providers:\n  up: { base_url: \"ftp://x\", auth: none }\n", 2, 19, ["base_url", "http://"]),
    ("providers:\n  up: { dialect: chatt, base_url: \"http://x\" }\n", 2, 18, ["dialect", "chatt", "chat"]),
    (GOOD + "  - { name: other, targets: [ { provider: opnai } ] }\n", 6, 43, ["opnai", "openai"]),
    ("listen: not:an:address\n", 1, 9, ["listen", "not:an:address"]),
    ("workers: [\n", 2, 1, []),
    ("\tworkers: 1\n", 1, 1, []),
    ("listen: &a [*a]\n", 1, None, []),
], ids=lambda v: v.strip()[:40] if isinstance(v, str) else None)
def test_faults_tell_place_and_cure(world, text, line, column, words):
    done = check(world, text)
    assert done.returncode == EXIT_CONFIG, done.stdout + done.stderr
    assert not done.stdout
    place = rf"penstock\.yaml:{line}:{column if column is not None else '[0-9]+'}: "
    assert re.search(place, done.stderr), done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def test_all_faults_are_told_at_once(world):
    done = check(world, "workers: many\nlog:\n  level: loud\nlisen: x\n")
    assert done.returncode == EXIT_CONFIG
    for place in ("1:10: workers", "3:10: log.level", "4:1: lisen"):
        assert f"penstock.yaml:{place}" in done.stderr, done.stderr


def test_serve_refuses_the_same(world):
    path = world.write("penstock.yaml", "workers: many\n")
    done = world.run("serve", "--config", path)
    assert done.returncode == EXIT_CONFIG and "penstock.yaml:1:10" in done.stderr


def test_a_file_that_is_not_there(world):
    done = world.run("serve", "--config", world.path("none.yaml"))
    assert done.returncode == EXIT_CONFIG and "none.yaml" in done.stderr


def test_a_key_in_a_fault_is_not_printed(world):
    """The line with the fault holds a secret: it is not quoted."""
    key = SECRETS.new("config")
    text = f'providers:\n  up: {{ base_url: "http://x/v1", api_key: ["{key}"] }}\n'
    assert check(world, text).returncode == EXIT_CONFIG
    assert check(world, f'providers:\n  up: {{ base_url: "http://x/v1", api_key: "{key}", nonsense: 1 }}\n'
                 ).returncode == EXIT_CONFIG


# ---- show ----

def test_show_masks_and_tells_where_from(world):
    key = SECRETS.new("config")
    path = world.write("penstock.yaml", GOOD + "workers: 3\n")
    env = {"KEY": key, "PENSTOCK_LOG_LEVEL": "warn"}
    done = world.run("config", "show", path, "--set", "timeouts.idle=2m", env=env)
    assert done.returncode == 0, done.stderr
    assert key not in done.stdout and "***" in done.stdout

    def origin(setting):
        return next(line for line in done.stdout.splitlines() if re.match(rf"\s*{setting}:", line))

    assert "3" in origin("workers") and "penstock.yaml:" in origin("workers")
    assert "warn" in origin("level") and "PENSTOCK_LOG_LEVEL" in origin("level")
    assert "2m" in origin("idle") and "--set" in origin("idle")
    assert "default" in origin("drain_timeout")


def test_what_show_prints_loads(world):
    path = world.write("penstock.yaml", GOOD)
    shown = world.run("config", "show", path, env={"KEY": "a"}).stdout
    again = world.write("again.yaml", shown)
    done = world.run("config", "show", again, env={"KEY": "a"})
    assert done.returncode == 0, done.stderr

    def values(text):
        return [line.split("  #")[0].rstrip() for line in text.splitlines() if not line.lstrip().startswith("#")]

    assert values(done.stdout) == values(shown)


def test_precedence(world):
    """Flag over environment over file over default."""
    def workers(*args, text="", env=None):
        path = world.write("penstock.yaml", GOOD + text)
        shown = world.run("config", "show", path, *args, env=env).stdout
        return re.search(r"^workers: *(\w+)", shown, re.M).group(1)

    assert workers() == "auto"
    assert workers(text="workers: 2\n") == "2"
    assert workers(text="workers: 2\n", env={"PENSTOCK_WORKERS": "3"}) == "3"
    assert workers("--workers", "4", text="workers: 2\n", env={"PENSTOCK_WORKERS": "3"}) == "4"


def test_a_fault_in_flag_or_environment(world):
    path = world.write("penstock.yaml", GOOD)
    done = world.run("config", "check", path, env={"PENSTOCK_WORKERS": "lots"})
    assert done.returncode == EXIT_CONFIG and "PENSTOCK_WORKERS" in done.stderr
    done = world.run("config", "check", path, "--set", "no.such=1")
    assert done.returncode in (EXIT_USAGE, EXIT_CONFIG) and "no.such" in done.stderr


# ---- variables ----

def key_that_arrives(world, upstream, text, env=None, files=()):
    """The Authorization header at a provider whose api_key is this text."""
    up = upstream(lambda c: c.read_request() and c.send_json(completion_of()))
    config = world.config_for(up.base_url, provider={"api_key": text})
    folder = os.path.join(world.folder, "cwd")
    for name, content in files:
        world.write(f"cwd/{name}", content)
    os.makedirs(folder, exist_ok=True)
    gateway = world.serve("--config", world.write_config(config), cwd=folder, env=env)
    with gateway.connect() as c:
        assert c.chat(chat_body("hi", stream=False)).read_all().status == 200
    return up.requests[0].header("authorization")


def test_environment_variables_in_values(world, upstream):
    key = SECRETS.new("env")
    assert key_that_arrives(world, upstream, "${MY_KEY}", {"MY_KEY": key}) == f"Bearer {key}"
    assert key_that_arrives(world, upstream, "a-${MY_KEY:-b}-c") == "Bearer a-b-c"
    assert key_that_arrives(world, upstream, "a$$b") == "Bearer a$b"


def test_dot_env(world, upstream):
    key, other = SECRETS.new("dotenv"), SECRETS.new("real")
    files = [(".env", f"# keys\nexport MY_KEY='{key}'\nEMPTY=\n")]
    assert key_that_arrives(world, upstream, "${MY_KEY}", files=files) == f"Bearer {key}"
    assert key_that_arrives(world, upstream, "${MY_KEY}", {"MY_KEY": other}, files) == f"Bearer {other}"


def test_a_variable_that_is_not_set(world):
    done = check(world, GOOD.replace("${KEY:-none}", "${NO_SUCH_KEY}"))
    assert done.returncode == EXIT_CONFIG
    assert "NO_SUCH_KEY" in done.stderr and "penstock.yaml:3:" in done.stderr


# ---- embedded defaults ----

def test_no_key_at_all_is_the_mock_and_says_so(world):
    gateway = world.serve("--listen", "127.0.0.1:0", env={"NO_COLOR": "1"})
    assert "built-in mock" in gateway.stdout and "x-penstock-mock" in gateway.stdout
    assert "curl -N http" in gateway.stdout and "penstock chat" in gateway.stdout
    assert re.search(r"\d+ descriptors.*streams", gateway.stdout)
    with gateway.connect() as c:
        for model in ("gpt-4o-mini", "anything/at-all", "mock"):
            response = c.chat(chat_body("ping", model, stream=False, metadata={"ttft": "0"})).read_all()
            assert response.status == 200 and response.header("x-penstock-mock") == "1"
            assert response.json()["choices"][0]["message"]["content"] == "pong"
        response = c.chat(chat_body("ping", metadata={"ttft": "0", "itl": "0"})).read_all()
        assert response.header("x-penstock-mock") == "1" and response.text() == "pong"


def test_the_printed_curl_line_works(world):
    gateway = world.serve("--listen", "127.0.0.1:0", env={"NO_COLOR": "1"})
    gateway.wait_for(r"penstock chat")
    command = re.search(r"(curl -N .*?)\n *or ", gateway.stdout, re.S).group(1)
    command = command.replace("tell me a story", "ping")
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30, check=True,
                          env={"PATH": os.environ["PATH"]})
    assert "pong" in done.stdout and done.stdout.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("where", ["environment", ".env"])
def test_with_a_key_nothing_is_faked(world, where):
    """gpt-* goes to where the key belongs; unknown models are 404; no mock answers."""
    mock = world.mock()
    key = SECRETS.new("openai")
    values = {"OPENAI_API_KEY": key, "OPENAI_BASE_URL": mock.base_url}
    if where == ".env":
        world.write("keyed/.env", "".join(f"{name}={value}\n" for name, value in values.items()))
        env, cwd = {}, world.path("keyed")
    else:
        env, cwd = values, None
    gateway = world.serve("--listen", "127.0.0.1:0", env=env, cwd=cwd)
    assert "built-in mock" not in gateway.stdout and key not in gateway.output
    with gateway.connect() as c:
        for model in ("gpt-4o", "o1-mini", "o3", "chatgpt-4o-latest"):
            response = c.chat(chat_body("ping", model, stream=False)).read_all()
            assert response.status == 200, response.body
        for model in ("mock", "mock-1", "claude-3", "llama", "open", "o"):
            response = c.chat(chat_body("ping", model, stream=False)).read_all()
            assert (response.status, response.error["code"]) == (404, "model_not_found"), model
    assert [e["model"] for e in mock.journal()] == ["gpt-4o", "o1-mini", "o3", "chatgpt-4o-latest"]
    assert all("***" in e["headers"]["authorization"] for e in mock.journal())


def test_the_mock_beside_a_key_when_asked_for(world):
    up = world.mock()
    env = {"OPENAI_API_KEY": SECRETS.new("openai"), "OPENAI_BASE_URL": up.base_url}
    gateway = world.serve("--listen", "127.0.0.1:0", "--mock", env=env)
    with gateway.connect() as c:
        response = c.chat(chat_body("ping", "mock-7", stream=False, metadata={"ttft": "0"})).read_all()
        assert response.status == 200 and response.header("x-penstock-mock") == "1"
        assert c.chat(chat_body("ping", "gpt-4o", stream=False)).read_all().status == 200
        assert c.chat(chat_body("ping", "llama", stream=False)).read_all().status == 404
    assert [e["model"] for e in up.journal()] == ["gpt-4o"]


def test_a_config_without_a_mock_has_none(world):
    gateway = world.gateway(world.config_for("http://127.0.0.1:1/v1", models=("real",)))
    with gateway.connect() as c:
        assert c.chat(chat_body("ping", "mock")).read_all().status == 404


def test_a_config_may_name_the_mock(world):
    config = {"listen": "127.0.0.1:0", "providers": {"fake": {"dialect": "chat", "mock": True}},
              "models": [{"name": "demo", "targets": [{"provider": "fake"}]}]}
    gateway = world.gateway(config)
    with gateway.connect() as c:
        response = c.chat(chat_body("ping", "demo", stream=False, metadata={"ttft": "0"})).read_all()
        assert response.status == 200 and response.header("x-penstock-mock") == "1"
        assert c.chat(chat_body("ping", "mock")).read_all().status == 404


def test_an_anthropic_key_brings_claude_in_any_dialect(world):
    mock = world.mock()
    url = mock.base_url.removesuffix("/v1")
    key = SECRETS.new("anthropic")
    gateway = world.serve("--listen", "127.0.0.1:0", env={"ANTHROPIC_API_KEY": key, "ANTHROPIC_BASE_URL": url})
    with gateway.connect() as c:
        answer = c.chat(chat_body("echo: ping", "claude-sonnet-4-5")).read_all()
        assert answer.status == 200 and b"ping" in answer.body
        for model in ("mock", "gpt-4o"):
            assert c.chat(chat_body("ping", model)).read_all().status == 404
    assert mock.journal()[-1]["path"] == "/v1/messages"


# ---- routes ----

def test_routing_exact_name_then_patterns_in_order(world):
    mock = world.mock()
    config = {**world.config_for(mock), "models": [
        {"name": "a-*", "targets": [{"provider": "up", "model": "first-pattern"}]},
        {"name": "a-b*", "targets": [{"provider": "up", "model": "second-pattern"}]},
        {"name": "a-exact", "targets": [{"provider": "up", "model": "exact"}]},
        {"name": "[xy]?z", "targets": [{"provider": "up"}]},
        {"name": "short", "provider": "up", "model": "short-form"}]}
    gateway = world.gateway(config)
    for model in ("a-bc", "a-exact", "xyz", "short"):
        with gateway.connect() as c:
            assert c.chat(chat_body("ping", model, stream=False)).read_all().status == 200
    assert [e["model"] for e in mock.journal()] == ["first-pattern", "exact", "xyz", "short-form"]
    with gateway.connect() as c:
        for model in ("A-bc", "zyz", "xyyz", ""):
            assert c.chat(chat_body("ping", model)).read_all().status in (400, 404)


# ---- listening ----

@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_in_use(world, workers):
    """Also with several workers: a second instance must not share the port in silence."""
    first = world.serve("--listen", "127.0.0.1:0", "--workers", workers)
    done = world.run("serve", "--listen", f"127.0.0.1:{first.port}", "--workers", workers)
    assert done.returncode == EXIT_LISTEN
    assert str(first.port) in done.stderr and "in use" in done.stderr
    assert first.get("/health").status == 200
    done = world.run("mock", "--listen", f"127.0.0.1:{first.port}", "--workers", workers)
    assert done.returncode == EXIT_LISTEN and str(first.port) in done.stderr


def test_an_address_that_is_not_ours(world):
    done = world.run("serve", "--listen", "192.0.2.1:8080")
    assert done.returncode == EXIT_LISTEN and "192.0.2.1" in done.stderr


def has_ipv6():
    try:
        with open("/proc/net/if_inet6", encoding="ascii") as f:
            return "00000000000000000000000000000001 " in f.read()
    except FileNotFoundError:
        return False


def test_several_addresses(world):
    second = "[::1]:0" if has_ipv6() else "127.0.0.2:0"
    gateway = world.serve("--listen", "127.0.0.1:0", "--listen", second)
    other = gateway.wait_for(r"listening on .*\n.*listening on http://(\S+)").group(1)
    assert gateway.get("/health").status == 200
    with urllib.request.urlopen(f"http://{other}/health", timeout=DEADLINE_S) as answer:
        assert answer.status == 200


def test_quiet_start(world):
    config = world.write_config(world.config_for("http://127.0.0.1:1/v1", listen="unix:" + world.path("q.sock")))
    program = Program(["serve", "--config", config, "--no-banner"], world.folder)
    world.running.append(program)
    deadline = time.monotonic() + DEADLINE_S
    while not os.path.exists(world.path("q.sock")):
        assert time.monotonic() < deadline and program.process.poll() is None
        time.sleep(0.01)
    program.stop()
    assert program.stdout == ""


# ---- help, version, completion ----

def test_version(world):
    done = world.run("version")
    with open(os.path.join(ROOT, "VERSION"), encoding="utf-8") as f:
        assert done.stdout.startswith(f"penstock {f.read().strip()}\n")
    as_json = json.loads(world.run("version", "--json").stdout)
    assert {"penstock", "libuv", "openssl"} <= set(as_json)
    assert world.run("--version").returncode == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(world, command):
    for args in ([command, "--help"], [command, "-h"], ["help", command]):
        done = world.run(*args)
        assert done.returncode == 0 and not done.stderr
        assert f"penstock {command}" in done.stdout
    if command not in ("config", "version"):
        assert "xample" in done.stdout, "with examples"


def test_help_of_all(world):
    for args in (["--help"], ["help"], ["-h"]):
        done = world.run(*args)
        assert done.returncode == 0
        for command in COMMANDS:
            assert re.search(rf"^\s+{command}\b", done.stdout, re.M), command
    done = world.run()
    assert done.returncode in (0, EXIT_USAGE) and "serve" in done.stdout + done.stderr


def test_wrong_usage(world):
    for args, words in ((["serv"], ["serv", "serve"]), (["serve", "--worker", "2"], ["--worker", "--workers"]),
                        (["serve", "--workers"], ["--workers"]), (["serve", "extra"], ["extra"]),
                        (["mock", "--itl", "quick"], ["itl", "quick"]), (["mock", "--tokens", "-1"], ["tokens"]),
                        (["config", "chek"], ["chek", "check"]), (["completion", "fish"], ["bash", "zsh"]),
                        (["mock", "--tls-cert", "x"], ["key"])):
        done = world.run(*args)
        assert done.returncode == EXIT_USAGE, (args, done.stderr)
        for word in words:
            assert word in done.stderr, (args, done.stderr)
        assert not done.stdout
    assert world.run("serve", "--workers", "x").returncode in (EXIT_USAGE, EXIT_CONFIG)


def test_completion_for_bash(world):
    script = world.run("completion", "bash").stdout
    test = script + """
complete_line() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
  "$(complete -p penstock | sed 's/.*-F \\([^ ]*\\).*/\\1/')" penstock "${COMP_WORDS[COMP_CWORD]}" ""; echo "${COMPREPLY[*]}"; }
complete_line penstock se
complete_line penstock serve --work
complete_line penstock config ch
complete_line penstock serve --log-format j
"""
    done = subprocess.run(["bash", "-c", test], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert [line.split() for line in done.stdout.splitlines()] == [["serve"], ["--workers"], ["check"], ["json"]]


def test_completion_for_zsh_parses(world):
    script = world.run("completion", "zsh").stdout
    assert script.startswith("#compdef penstock") and "serve" in script


def test_the_mock_lists_its_faults(world):
    done = world.run("mock", "--list-faults")
    assert done.returncode == 0
    for fault in ("429", "500", "cut", "stall", "error-event", "no-done"):
        assert f"fault/{fault}" in done.stdout


def test_closed_output_is_no_crash(world):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([BIN, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=30,
                              env={"PATH": os.environ["PATH"]})
    assert done.returncode in (0, 1) and "Sanitizer" not in done.stderr
