# SPDX-License-Identifier: Apache-2.0
"""What the matrix runs on: a mock and a scripted upstream, a gateway for each upstream dialect, and one
Node process for each SDK."""
import importlib
import json
import os
import subprocess
import threading

from harness import SECRETS, clean_environment
from matrix.cases import SCENARIOS
from matrix.cells import UPSTREAMS
from scripted import Scripted

NODE = os.environ.get("PENSTOCK_NODE", "node")
NODE_FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "node", "matrix")
PYTHON_DRIVERS = {"openai-python": "matrix.drive_openai", "anthropic-python": "matrix.drive_anthropic"}
DEADLINE_S = 110


class NodeSide:
    """One process that runs all of an SDK's cells. Results are read as they come."""

    def __init__(self, sdk, asks, env):
        self.sdk, self.results, self.changed = sdk, {}, threading.Condition()
        self.process = subprocess.Popen([NODE, "run.mjs", sdk], cwd=NODE_FOLDER, env=env, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.stderr, self.is_over = "", False
        self.threads = [threading.Thread(target=target, args=args, daemon=True) for target, args in (
            (self._write, (json.dumps(asks),)), (self._read, ()), (self._read_errors, ()))]
        for thread in self.threads:
            thread.start()

    def _write(self, text):
        try:
            self.process.stdin.write(text)
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # it has died: its stderr says why

    def _read(self):
        for line in self.process.stdout:
            SECRETS.check(f"node {self.sdk}", line)
            result = json.loads(line)
            with self.changed:
                self.results[result["id"]] = result["got"]
                self.changed.notify_all()
        with self.changed:
            self.is_over = True
            self.changed.notify_all()

    def _read_errors(self):
        for line in self.process.stderr:
            self.stderr += line

    def result(self, cell_id):
        with self.changed:
            self.changed.wait_for(lambda: cell_id in self.results or self.is_over, DEADLINE_S)
            assert cell_id in self.results, f"node {self.sdk} has not run it: {self.stderr[-4000:]}"
            return self.results[cell_id]

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for thread in self.threads:
            thread.join(DEADLINE_S)


class Stack:
    def __init__(self, world, cells):
        self.world, self.key = world, SECRETS.new("client")
        self.scripted = Scripted(SCENARIOS)
        self.mock = world.mock()
        self.gateways = {dialect: world.gateway(self._config(dialect)) for dialect in UPSTREAMS}
        self.node = {}
        self.asks = {cell.id: {"id": cell.id, **cell.case.whole_ask(cell, self)} for cell in cells}
        self._start_node(cells)

    def _config(self, dialect):
        """Providers: the mock (once more with the client's own key), and the scripted upstream, whose chat
        takes reasoning back as OpenRouter's does."""
        tail = "" if dialect == "messages" else "/v1"
        quirks = {"quirks": {"reasoning_history": "reasoning_details"}} if dialect == "chat" else {}
        config = self.world.config_for(self.mock.url + tail, provider={"dialect": dialect, "keeps_responses": False},
                                       check_order=True)
        up = config["providers"]["up"]
        config["providers"]["own"] = {**up, "api_key": None, "auth": "passthrough"}
        config["providers"]["scripted"] = {**up, "base_url": self.scripted.url + tail, **quirks}
        for name, provider in config["providers"].items():
            config["providers"][name] = {k: v for k, v in provider.items() if v is not None}
        config["models"] = [
            {"name": "own-key", "targets": [{"provider": "own", "model": "fault/401"}]},
            {"name": "scripted/*", "targets": [{"provider": "scripted"}]},
            {"name": "*", "targets": [{"provider": "up"}]},
        ]
        return config

    def _start_node(self, cells):
        env = clean_environment({"PENSTOCK_E2E_KEY": self.key, "PENSTOCK_E2E_CONTROL": self.scripted.url,
                                 "HOME": self.world.folder, "AI_SDK_LOG_WARNINGS": "false"})
        by_sdk = {}
        for cell in cells:
            if not cell.row.is_python:
                by_sdk.setdefault(cell.row.sdk, []).append(self.asks[cell.id])
        for sdk, asks in by_sdk.items():
            self.node[sdk] = NodeSide(sdk, asks, env)

    def run(self, cell):
        if not cell.row.is_python:
            return self.node[cell.row.sdk].result(cell.id)
        ask = {**self.asks[cell.id], "key": self.key,
               "wait_arrived": lambda: self.scripted.wait("arrived", cell.id)}
        got = importlib.import_module(PYTHON_DRIVERS[cell.row.sdk]).run(ask)
        SECRETS.check(cell.id, json.dumps(got))
        return got

    def stop(self):
        for side in self.node.values():
            side.stop()
        self.scripted.stop()
