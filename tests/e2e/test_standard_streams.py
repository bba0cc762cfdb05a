# SPDX-License-Identifier: Apache-2.0
"""Standard streams that are closed, full, or gone: nothing crashes, and what was not printed is not said to be."""
import os
import signal
import subprocess

import pytest

from harness import BIN, DEADLINE_S, clean_environment

PRINTING = [["version"], ["help"], ["config", "show"], ["completion", "bash"],
            ["mock", "--list-faults"], ["mock", "--docs", "scenarios"], ["mock", "--list-captures", "."],
            ["--help"], ["mock", "--help"]]


def run(world, redirection, *args):
    return subprocess.run(["bash", "-c", f'exec "$@" {redirection}', "bash", BIN, *args], cwd=world.folder,
                          env=clean_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=DEADLINE_S)


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
@pytest.mark.parametrize("args", PRINTING, ids=" ".join)
def test_what_is_not_printed_is_a_failure(world, args, redirection):
    done = run(world, redirection, *args)
    assert done.returncode == 1
    assert "cannot write to standard output" in done.stderr


def test_an_explanation_that_is_not_printed_is_a_failure(world):
    world.write("s.yaml", "- {name: s, respond: hi}\n")
    world.write("r.json", '{"model":"m","messages":[{"role":"user","content":"hi"}]}')
    args = ["mock", "--scenario", "s.yaml", "--explain", "r.json"]
    assert run(world, "", *args).returncode == 0
    assert run(world, ">/dev/full", *args).returncode == 1


def test_an_answer_that_is_not_printed_is_a_failure(world, shared):
    args = ["chat", "--url", shared.gateway.base_url, "--model", "mock-1", "echo: hello"]
    done = run(world, ">/dev/full", *args)
    assert done.returncode == 1 and "cannot write to standard output" in done.stderr
    assert run(world, "", *args).stdout == "hello\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_the_mock_lives_without_them(world, closed):
    """None of its sockets takes the place of a closed stream."""
    ready = world.path("ready.json")
    process = subprocess.Popen(["bash", "-c", f'exec "$@" {closed}', "bash", BIN, "mock", "--listen", "127.0.0.1:0",
                                "--ready-file", ready], cwd=world.folder, env=clean_environment(),
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        fds = standard_descriptors(process, ready)
        assert not [link for link in fds if link.startswith(("socket:", "anon_inode:"))], fds
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    finally:
        process.kill()
        process.wait()


def test_the_mock_ends_in_order_when_its_reader_is_gone(world):
    """What it prints at its end goes nowhere, and kills nobody: the ready file is taken away."""
    ready = world.path("ready.json")
    process = subprocess.Popen([BIN, "mock", "--listen", "127.0.0.1:0", "--ready-file", ready], cwd=world.folder,
                               env=clean_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
    try:
        process.stdout.close()
        standard_descriptors(process, ready)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
        assert not os.path.exists(ready)
    finally:
        process.kill()
        process.wait()


def standard_descriptors(process, ready):
    """Where 0, 1 and 2 lead, once it listens."""
    while process.poll() is None and not os.path.exists(ready):
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            pass
    assert process.poll() is None, "the mock did not start"
    return [os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in (0, 1, 2)]
