# SPDX-License-Identifier: Apache-2.0
"""Fixtures: every test gets programs of its own on free ports, unless it shares its module's stack."""
import resource
import signal

import pytest

import harness
import raw

TEST_LIMIT_S = 120  # no test waits longer than this, whatever is broken


def pytest_configure(config):
    if not harness.BIN:
        raise pytest.UsageError("PENSTOCK_BIN must name the program (tests/run e2e sets it)")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    def on_alarm(signo, frame):
        raise TimeoutError(f"the test took more than {TEST_LIMIT_S} s")

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(TEST_LIMIT_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def no_secret_leaks():
    """Whatever has been captured since the last test: no key may be in it."""
    yield
    harness.SECRETS.assert_kept()


@pytest.fixture
def world(tmp_path):
    """Starts programs for one test, stops and checks them afterwards."""
    w = harness.World(str(tmp_path))
    yield w
    w.stop()


@pytest.fixture(scope="module")
def module_world(tmp_path_factory):
    w = harness.World(str(tmp_path_factory.mktemp("module")))
    yield w
    w.stop()


def make_stack(world, mock_args=(), **settings):
    mock = world.mock(*mock_args)
    return harness.Stack(world, mock, world.gateway_for(mock, **settings))


@pytest.fixture
def stack(world):
    """A mock and a gateway for one test."""
    return make_stack(world)


@pytest.fixture(scope="module")
def shared(module_world):
    """A mock and a gateway for the tests of one module that don't count anything."""
    return make_stack(module_world)


@pytest.fixture
def upstream():
    """upstream(script): a provider that does what the script says."""
    started = []

    def start(script):
        started.append(raw.Upstream(script))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def secret():
    return harness.SECRETS.new
