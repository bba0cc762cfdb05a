# SPDX-License-Identifier: Apache-2.0
"""A fake provider for your tests: one `penstock mock` for the whole run, emptied before each test.

PENSTOCK_BIN says where the program is, if it is not on the PATH.
"""
import json
import os
import subprocess
import urllib.error
import urllib.request

import pytest

PENSTOCK = os.environ.get("PENSTOCK_BIN", "penstock")


class Mock:
    def __init__(self, *flags):
        # Port 0: the system chooses a free one, and the first line of output tells which.
        command = [PENSTOCK, "mock", "--listen", "127.0.0.1:0", "--json", "--exit-with-parent", *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        ready = self.process.stdout.readline()
        if not ready:
            raise RuntimeError(f"the mock did not start: {' '.join(command)}")
        self.url = json.loads(ready)["url"]
        self.base_url = self.url + "/v1"  # what OpenAI's SDK wants; Anthropic's wants url

    def control(self, method, path, body=None):
        """One of the mock's endpoints for tests: /penstock/…"""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json"}, method=method)
        with urllib.request.urlopen(request) as response:
            return json.loads(response.read() or b"null")

    def push(self, *answers):
        """What the next requests are answered with, in this order: a text each, or a map as docs/scenarios.md has it."""
        self.control("POST", "/penstock/scenarios", [{"respond": answer} for answer in answers])

    def expect(self, **expectation):
        """Fails unless such requests have come: expect(match={"user": "hello"}, count=2)."""
        try:
            return self.control("POST", "/penstock/expect", expectation)
        except urllib.error.HTTPError as e:
            raise AssertionError(e.read().decode()) from None

    def reset(self):
        self.control("DELETE", "/penstock/scenarios?reset=1")
        self.control("DELETE", "/penstock/journal")

    def stop(self):
        self.process.terminate()
        self.process.wait()


@pytest.fixture(scope="session")
def mock_process():
    mock = Mock("--ttft", "0", "--itl", "0")
    yield mock
    mock.stop()


@pytest.fixture
def mock(mock_process, monkeypatch):
    """Code under test that makes its own clients finds the mock by the SDKs' environment variables."""
    mock_process.reset()
    monkeypatch.setenv("OPENAI_BASE_URL", mock_process.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", mock_process.url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "any")
    return mock_process
