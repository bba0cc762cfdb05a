# SPDX-License-Identifier: Apache-2.0
"""The Node tests (node/*.test.mjs, run by the pinned Node), each as a case of its own here."""
import glob
import os
import re
import subprocess

import pytest

from conftest import make_stack
from harness import SECRETS, clean_environment

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "node")
NODE = os.environ.get("PENSTOCK_NODE", "node")
FILE_LIMIT_S = 100


def cases():
    for path in sorted(glob.glob(f"{FOLDER}/*.test.mjs")):
        with open(path, encoding="utf-8") as f:
            for name in re.findall(r'^test\("([^"]+)"', f.read(), re.M):
                yield pytest.param(path, name, id=f"{os.path.basename(path)[:-9]}: {name}",
                                   marks=[pytest.mark.smoke] if name == "text" else [])


@pytest.fixture(scope="module")
def run(module_world):
    """run(path): {case: (passed, what was printed)}; a file is run once."""
    done = {}
    stack = make_stack(module_world, provider={"forward_headers": ["x-stainless-retry-count"]})
    env = clean_environment({"PENSTOCK_E2E_URL": stack.base_url, "PENSTOCK_E2E_MOCK": stack.mock.url,
                             "PENSTOCK_E2E_KEY": stack.key, "HOME": module_world.folder})

    def run_file(path):
        if path not in done:
            process = subprocess.run([NODE, "--test", "--test-reporter=tap", "--test-timeout=30000", path],
                                     cwd=FOLDER, env=env, capture_output=True, text=True, timeout=FILE_LIMIT_S)
            SECRETS.check(f"node {os.path.basename(path)}", process.stdout + process.stderr)
            done[path] = results(process.stdout), process.stdout + process.stderr
        return done[path]

    return run_file


def results(tap):
    """{case: (passed, its YAML block)} of node:test's TAP output."""
    found = {}
    for match in re.finditer(r"^ *(not ok|ok) \d+ - (.*?)(?: # .*)?\n((?: +---\n.*?\n +\.\.\.\n)?)", tap, re.M | re.S):
        found[match.group(2).replace("\\#", "#")] = match.group(1) == "ok", match.group(3)
    return found


@pytest.mark.parametrize("path, name", list(cases()))
def test_node(run, path, name):
    found, everything = run(path)
    assert name in found, everything
    passed, details = found[name]
    assert passed, details
