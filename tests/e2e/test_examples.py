# SPDX-License-Identifier: Apache-2.0
"""The examples for users' tests run as they are written: pytest's and Vitest's, each in a copy of its folder."""
import os
import re
import shutil
import subprocess
import sys

from harness import BIN, ROOT, clean_environment

NODE = os.environ.get("PENSTOCK_NODE", "node")
NODE_MODULES = os.path.join(ROOT, "tests", "e2e", "node", "node_modules")
LIMIT_S = 110


def run(world, example, command):
    folder = world.path(example)
    shutil.copytree(os.path.join(ROOT, "examples", example), folder, ignore=shutil.ignore_patterns("__pycache__"))
    if example == "vitest":
        os.symlink(NODE_MODULES, os.path.join(folder, "node_modules"))
    env = clean_environment({"PENSTOCK_BIN": BIN, "HOME": world.folder, "CI": "1", "NO_COLOR": "1",
                             "AI_SDK_LOG_WARNINGS": "false"})
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def cases_of(path, pattern):
    with open(os.path.join(ROOT, "examples", path), encoding="utf-8") as f:
        return len(re.findall(pattern, f.read(), re.M))


def test_pytest(world):
    said = run(world, "pytest", [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"])
    assert f"{cases_of('pytest/test_app.py', '^def test_')} passed" in said


def test_vitest(world):
    said = run(world, "vitest", [NODE, "node_modules/vitest/vitest.mjs", "run"])
    assert re.search(rf"Tests +{cases_of('vitest/app.test.mjs', '^test')} passed", said), said
