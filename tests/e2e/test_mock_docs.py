# SPDX-License-Identifier: Apache-2.0
"""What the mock's pages say can be typed: every `penstock mock` starts, every curl is answered, `--explain` and broken
files say what docs/scenarios.md shows, the snippets of tests stand in the examples, which run (test_examples.py).
docs/recipes.md has test_recipes.py."""
import json
import os
import re
import shlex
import subprocess

import pytest

from harness import ROOT, Program, clean_environment

PAGES = ("docs/mock.md", "docs/timing.md", "docs/faults.md", "docs/scenarios.md", "docs/demo/README.md", "README.md")


def page(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def blocks(path, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", page(path), re.M | re.S)


def lines(path):
    """Lines of the page's shell, those that go on behind a backslash put together."""
    for block in blocks(path, "sh"):
        yield from block.replace("\\\n", " ").splitlines()


def commands(program):
    """Those that can be run as they stand, and are not the gateway's."""
    return sorted({line.strip() for path in PAGES for line in lines(path)
                   if line.startswith(program) and not re.search("…|:8080|--explain", line)})


@pytest.fixture
def folder(world):
    world.write("answers/a.yaml", "- name: a\n  respond: hello\n")
    world.write("mock.yaml", blocks("docs/mock.md", "yaml")[-1])
    world.write("greeting.yaml", blocks("docs/scenarios.md", "yaml")[0])
    return world.folder


@pytest.mark.parametrize("command", commands("penstock mock"))
def test_it_starts(world, folder, command):
    """On free ports, and says that it listens, as a program would want to know."""
    args = shlex.split(command, comments=True)[1:]
    args = [re.sub(r"^127\.0\.0\.1:\d+", "127.0.0.1:0", arg) for arg in args]
    if "--config" in args:
        world.write("mock.yaml", re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:0", page(f"{folder}/mock.yaml")))
    elif "--listen" not in args:
        args += ["--listen", "127.0.0.1:0"]
    mock = Program([*args, "--json"], folder)
    world.running.append(mock)
    ready = json.loads(mock.wait_for(r"\{.*\}\n").group(0))
    assert len(ready["providers"]) == max(args.count("--listen"), 2 if "--config" in args else 1)
    mock.stop()


@pytest.mark.parametrize("command", commands("curl"))
def test_it_is_answered(world, command):
    mock = world.mock("--text", "hello")
    asked = re.sub(r"(http://)?(127\.0\.0\.1|localhost):8000", mock.url, re.sub(r" {2,}#.*", "", command)).rstrip("& ")
    if "/penstock/step" in asked or '"user":"step:' in asked:
        return test_steps(world)
    if "within_ms" in asked:
        asked = asked.replace("5000", "1")
    done = subprocess.run(["bash", "-c", f"{asked} -sS -w '\\n%{{http_code}}'"], env=clean_environment(),
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    body, status = done.stdout.rsplit("\n", 1)
    expected = "429" if "fault/429" in asked else "417" if "/penstock/expect" in asked else "200"
    assert status == expected, body


def test_explain(world, folder):
    """The page shows what it says of a greeting that does not fit, and of a file with two typing errors."""
    explained, faults = blocks("docs/scenarios.md", "text")
    ask = next(line for line in lines("docs/scenarios.md") if "--explain" in line)
    world.write("request.json", '{"model": "m", "messages": [{"role": "user", "content": "good morning"}]}')
    assert world.run(*shlex.split(ask)[1:]).stdout == explained
    broken = page(f"{folder}/greeting.yaml").replace("regex:", "regexp:").replace("{{model}}", "{{modle}}")
    world.write("greeting.yaml", broken)
    assert world.run("mock", "--scenario", "greeting.yaml").stderr.startswith(faults)


def test_steps(world):
    mock = world.mock()
    ask = next(line for line in commands("curl") if '"user":"step:' in line)
    body = shlex.split(ask.rstrip("& "))[-1]
    with mock.connect() as c:
        c.send_request("POST", "/v1/chat/completions", body.encode())
        c.read_response()
        mock.step("demo", 1)
        mock.step("demo", "all")


@pytest.mark.parametrize("language, file", [("python", "pytest/test_app.py"), ("js", "vitest/app.test.mjs")])
def test_snippets_are_of_the_examples(language, file):
    example = page(f"examples/{file}")
    wanted = [re.sub(r"\s+(#|//) .*", "", line) for block in blocks("docs/mock.md", language) for line in block.splitlines()]
    for line in filter(None, (line.strip() for line in wanted)):
        assert line in example
