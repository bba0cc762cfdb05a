# SPDX-License-Identifier: Apache-2.0
"""How a program that starts the mock learns where it listens, and that it goes when its parent does."""
import json
import os
import select
import subprocess
import sys

import pytest

from harness import BIN, Program, clean_environment

FREE = "127.0.0.1:0"


def start(world, *args):
    """Stopped with the world, whatever becomes of the test."""
    world.running.append(Program(["mock", *args], world.folder))
    return world.running[-1]


def ready_line(program):
    return json.loads(program.wait_for(r"\{.*\}\n").group(0))


def test_json(world):
    mock = start(world, "--listen", FREE, "--name", "one", "--listen", FREE, "--listen", f"unix:{world.path('s')}", "--json")
    ready = ready_line(mock)
    one, two, unix = ready["providers"]
    assert (ready["pid"], ready["url"], ready["port"]) == (mock.pid, one["url"], one["port"])
    assert one["name"] == "one" and two["name"] is None and one["port"] != two["port"]
    assert one["base_url"] == f"http://127.0.0.1:{one['port']}/v1" and one["addresses"] == [f"127.0.0.1:{one['port']}"]
    assert unix["port"] is None and unix["url"].startswith("http+unix://")
    mock.stop()
    first, last = mock.stdout.splitlines()
    assert json.loads(first) == ready and json.loads(last)["requests"] == 0


@pytest.mark.parametrize("args, said", [
    ([], "first token after 200ms, then one every 20ms; seed 0; any model name"),
    (["--ttft", "0", "--itl", "0"], "first token at once, then as fast as it is read;"),
    (["--tps", "30"], "first token after 200ms, then 30 a second;"),
    (["--max-batch", "8"], "first token after a seat in a batch of 8, then one every 20ms;"),
    (["--fault", "429:rate=5%", "--fault", "stall"], "faults: 429:rate=5%; stall\n"),
    (["--replay", "."], "0 captures of ., played at 1x; what they do not answer is 404\n"),
    (["--upstream", "http://127.0.0.1:1/v1", "--record", "kept"],
     "what is not answered here goes to http://127.0.0.1:1/v1, and is kept in kept\n"),
])
def test_the_banner_says_what_it_will_do(world, args, said):
    mock = start(world, "--listen", FREE, *args)
    mock.wait_for("try: ")
    assert f"\n  {said}" in mock.stdout


def test_nothing_is_said_when_it_cannot_listen(world):
    taken = world.mock()
    done = world.run("mock", "--listen", f"127.0.0.1:{taken.port}", "--json", "--ready-file", "ready.json")
    assert (done.returncode, done.stdout) == (4, "") and str(taken.port) in done.stderr
    assert not os.path.exists(world.path("ready.json"))


def test_ready_file(world):
    path = world.write("ready.json", "of an earlier run")
    mock = start(world, "--listen", FREE, "--ready-file", "ready.json")
    url = mock.wait_for(r"answers on (\S+)/v1").group(1)
    with open(path, encoding="utf-8") as f:
        assert json.load(f)["url"] == url
    mock.stop()
    assert not os.path.exists(path)


def test_ready_file_that_cannot_be(world):
    done = world.run("mock", "--listen", FREE, "--ready-file", "nowhere/ready.json")
    assert done.returncode == 1 and "nowhere/ready.json" in done.stderr


PARENT = """
import subprocess, sys
mock = subprocess.Popen([sys.argv[1], "mock", "--listen", "127.0.0.1:0", "--json", "--exit-with-parent"], stdout=subprocess.PIPE)
sys.stdout.buffer.write(mock.stdout.readline())
sys.stdout.flush()
sys.stdin.read()
"""


def test_it_goes_with_a_parent_that_is_killed(world):
    parent = subprocess.Popen([sys.executable, "-c", PARENT, BIN], cwd=world.folder, env=clean_environment(),
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    pid = json.loads(parent.stdout.readline())["pid"]
    watch = os.pidfd_open(pid)
    parent.kill()
    parent.wait()
    poll = select.poll()
    poll.register(watch, select.POLLIN)
    assert poll.poll(30_000), "the mock is left behind"
    os.close(watch)
    parent.stdin.close()
    parent.stdout.close()
