# SPDX-License-Identifier: Apache-2.0
"""Real coding agents, as their vendors publish them, through the gateway to each kind of upstream: a turn,
and a loop in which the agent runs a command and sends its output back."""
import json
import os
import platform
import subprocess

import pytest

import proofs
from harness import SECRETS, clean_environment
from scripted import Answer, Scripted, has_result

FOLDER = os.path.dirname(os.path.abspath(__file__))
MODULES = os.path.join(FOLDER, "node_modules")
ARCH = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
LIMIT_S = 100
MARKER = "marker-42"
COMMAND = "echo marker-$((6 * 7))"  # the marker is in its output, not in itself
FINAL = "The command has run."
UPSTREAMS = ("chat", "responses", "messages")


def tools_of(dialect, body):
    """Names of the tools that the upstream is offered."""
    tools = body.get("tools") or ()
    return [tool["function"]["name"] if dialect == "chat" else tool.get("name") for tool in tools]


def results_of(dialect, body):
    """All that tools have answered, as text."""
    if dialect == "chat":
        found = [message["content"] for message in body["messages"] if message["role"] == "tool"]
    elif dialect == "responses":
        found = [item["output"] for item in body["input"] if item.get("type") == "function_call_output"]
    else:
        found = [part["content"] for message in body["messages"] if isinstance(message["content"], list)
                 for part in message["content"] if part["type"] == "tool_result"]
    return json.dumps(found)


class Codex:
    """The Codex CLI, a client of Responses."""
    name, model, tool, arguments = "codex", "gpt-5", "exec_command", {"cmd": COMMAND}

    @staticmethod
    def command(prompt):
        triple = {"x64": "x86_64", "arm64": "aarch64"}.get(ARCH, ARCH) + "-unknown-linux-musl"
        program = f"{MODULES}/@openai/codex-linux-{ARCH}/vendor/{triple}/bin/codex"
        return [program, "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", prompt]

    @staticmethod
    def prepare(home, gateway, key):
        """Writes its settings; returns its environment."""
        os.mkdir(f"{home}/.codex")
        with open(f"{home}/.codex/config.toml", "w", encoding="utf-8") as f:
            f.write(f"""model = "gpt-5"
model_provider = "penstock"
model_reasoning_effort = "high"
[model_providers.penstock]
name = "penstock"
base_url = "{gateway.base_url}"
env_key = "PENSTOCK_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
""")
        return {"PENSTOCK_KEY": key}

    @staticmethod
    def said(stdout):
        return stdout.strip()


class Claude:
    """Claude Code, a client of Messages."""
    name, model, tool, arguments = "claude", None, "Bash", {"command": COMMAND, "description": "Print a marker"}

    @staticmethod
    def command(prompt):
        program = f"{MODULES}/@anthropic-ai/claude-code-linux-{ARCH}/claude"
        return [program, "-p", prompt, "--dangerously-skip-permissions", "--output-format", "json"]

    @staticmethod
    def prepare(home, gateway, key):
        return {"ANTHROPIC_BASE_URL": gateway.url, "ANTHROPIC_API_KEY": key, "IS_SANDBOX": "1",
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1"}

    @staticmethod
    def said(stdout):
        result = json.loads(stdout)
        result = result[-1] if isinstance(result, list) else result
        assert not result["is_error"], result
        return result["result"]


AGENTS = [Codex, Claude]


class Run:
    """One agent on one task."""

    def __init__(self, world, agent, dialect, scenario):
        self.scripted = Scripted({"any": scenario})
        quirks = {"quirks": {"reasoning_history": "reasoning_details"}} if dialect == "chat" else {}
        url = self.scripted.url + ("" if dialect == "messages" else "/v1")
        self.gateway = world.gateway_for(url, models=("*",), check_order=True, provider={
            "dialect": dialect, "keeps_responses": False, **quirks})
        self.dialect, self.agent, self.home = dialect, agent, world.path("home")
        os.makedirs(f"{world.folder}/work")
        os.mkdir(self.home)
        self.work = f"{world.folder}/work"

    def __call__(self, prompt):
        """What the agent says in the end."""
        env = clean_environment(self.agent.prepare(self.home, self.gateway, SECRETS.new("client")))
        env = {**env, "HOME": self.home, "TERM": "dumb"}
        done = subprocess.run(self.agent.command(prompt), cwd=self.work, env=env, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=LIMIT_S)
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}\n{self.asked()}"
        assert set(self.gateway.metrics().ends()) == {"ok"}, f"some were not answered: {self.gateway.output[-3000:]}"
        return self.agent.said(done.stdout)

    def asked(self):
        """What has come upstream, most of it left out: for failures."""
        return [(key, [json.dumps(body)[-600:] for _, body, _ in requests])
                for key, requests in self.scripted.asked.items()]

    def requests(self):
        """Bodies of the agent's own requests: those that offer its tool."""
        return [body for requests in self.scripted.asked.values() for dialect, body, _ in requests
                if self.agent.tool in tools_of(dialect, body)]


def no_asides(agent, scenario):
    """What agents ask on the side, a title or a summary, is no part of a scenario."""
    def answer(dialect, body, key):
        return scenario(dialect, body, key) if agent.tool in tools_of(dialect, body) else Answer(("text", "An aside."))
    return answer


@pytest.fixture
def run(world):
    started = []

    def start(agent, dialect, scenario):
        started.append(Run(world, agent, dialect, no_asides(agent, scenario)))
        return started[-1]

    yield start
    for one in started:
        one.scripted.stop()


@pytest.mark.parametrize("dialect", UPSTREAMS)
@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_turn(run, agent, dialect):
    task = run(agent, dialect, lambda *_: Answer(("text", "A short answer, no more.")))
    assert task("Say something short.") == "A short answer, no more."
    sent = json.dumps(task.requests()[0])
    assert "Say something short." in sent
    if agent is Claude and dialect != "messages":
        assert "x-anthropic-billing-header" not in sent, "it differs each time, and defeats the upstream's cache"


@pytest.mark.parametrize("dialect", UPSTREAMS)
@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_tool_loop(run, agent, dialect):
    def think_and_call(dialect, body, key):
        if has_result(dialect, body):
            return Answer(("text", FINAL))
        return Answer(proofs.THINKING, ("call", proofs.call_id(key), agent.tool, json.dumps(agent.arguments)))

    task = run(agent, dialect, think_and_call)
    assert task("Print the marker.") == FINAL
    first, second = task.requests()
    assert not has_result(dialect, first)
    assert MARKER in results_of(dialect, second), "the command's output has come back"
    proofs.assert_came_back(dialect, second, second["model"])


@pytest.mark.parametrize("dialect", ["chat", "messages"])
def test_namespace_tool(run, dialect):
    """Codex offers tools in a namespace, which only Responses knows: flattened upstream, and found again by it."""
    name = "multi_agent_v1__close_agent"

    def call_it(dialect, body, key):
        if has_result(dialect, body):
            return Answer(("text", FINAL))
        return Answer(("call", proofs.call_id(key), name, json.dumps({"target": "nobody"})))

    task = run(Codex, dialect, call_it)
    assert task("Close it.") == FINAL
    first, second = task.requests()
    assert name in tools_of(dialect, first)
    assert "invalid agent id nobody" in results_of(dialect, second), "the tool itself has answered"
