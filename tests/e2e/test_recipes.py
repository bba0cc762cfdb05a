# SPDX-License-Identifier: Apache-2.0
"""docs/recipes.md works as it is written: each section's blocks are run in their order, in a folder of its own.

A block of `penstock mock` lines starts each of them (the last one stays), on a free port that later blocks get in
place of 8000; a file is what YAML with its name on top is; ```text is what the block before it has printed.
"""
import os
import re
import shlex
import subprocess
import sys

import pytest

from harness import BIN, DEADLINE_S, ROOT, SECRETS, Program, clean_environment
from test_examples import NODE, NODE_MODULES

PROVIDER = "https://api.openai.com/v1"


def sections():
    with open(os.path.join(ROOT, "docs", "recipes.md"), encoding="utf-8") as f:
        for text in f.read().split("\n## ")[1:]:
            yield text.split("\n", 1)[0], re.findall(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S)


RECIPES = {title: blocks for title, blocks in sections() if blocks}


class Kitchen:
    def __init__(self, world):
        self.world, self.folder, self.mock, self.printed = world, world.folder, None, ""
        self.port = "8000"
        self.environment = {"PATH": f"{os.path.dirname(BIN)}:{os.environ['PATH']}", "HOME": world.folder, "NO_COLOR": "1",
                            "AI_SDK_LOG_WARNINGS": "false"}
        os.symlink(NODE_MODULES, world.path("node_modules"))

    def cook(self, language, text):
        getattr(self, language)(text)

    def sh(self, text):
        lines = text.replace("\\\n", " ").splitlines()
        if lines[0].startswith("penstock mock"):
            for line in lines:
                self.start(shlex.split(line, comments=True)[1:])
        elif lines[0].startswith("export "):
            self.environment.update(word.split("=", 1) for line in lines for word in self.here(line).split()[1:])
        else:
            self.run(["bash", "-e", "-o", "pipefail", "-c", self.here(text)])

    def start(self, args):
        if self.mock:
            self.mock.stop()
        if PROVIDER in args:
            args = [self.world.mock("--echo").base_url if arg == PROVIDER else arg for arg in args]
        self.mock = Program([*args, "--listen", "127.0.0.1:0"], self.folder)
        self.world.running.append(self.mock)
        self.port = self.mock.wait_for(r"answers on http://127.0.0.1:(\d+)/v1").group(1)

    def python(self, text):
        self.run([sys.executable, self.world.write("recipe.py", self.here(text))])

    def js(self, text):
        self.run([NODE, self.world.write("recipe.mjs", self.here(text))])

    def yaml(self, text):
        """Scenarios must be right; other files must be YAML, which the reader of settings tells before it misses its own."""
        name = re.match(r"# (\S+)\n", text).group(1)
        path = self.world.write(os.path.basename(name), text)
        if name.startswith("."):
            done = self.world.run("mock", "--config", path)
            assert "unknown setting" in done.stderr and "not valid YAML" not in done.stderr
            return
        done = self.world.run("mock", "--scenario", path, "--explain", "-", stdin='{"model":"m","messages":[{"role":"user","content":"?"}]}')
        assert done.returncode in (0, 1), done.stderr

    def text(self, expected):
        assert self.printed == expected

    def here(self, text):
        return text.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}")

    def run(self, command):
        done = subprocess.run(command, cwd=self.folder, env=clean_environment(self.environment), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=DEADLINE_S)
        SECRETS.check(command[0], done.stdout + done.stderr)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout, "a recipe that prints nothing shows nothing"
        self.printed = done.stdout


@pytest.mark.parametrize("title", RECIPES)
def test_recipe(world, title):
    kitchen = Kitchen(world)
    for language, text in RECIPES[title]:
        kitchen.cook(language, text)


def test_a_run_is_the_same_again(world):
    """What "Deterministic runs" promises of its file."""
    kitchen = Kitchen(world)
    stories = []
    for _ in range(2):
        for language, text in RECIPES["Deterministic runs"]:
            kitchen.cook(language, text)
        stories.append(kitchen.printed)
    assert stories[0] == stories[1] and '"created":1735689600' in stories[0]
