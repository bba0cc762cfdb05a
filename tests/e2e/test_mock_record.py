# SPDX-License-Identifier: Apache-2.0
"""Recording a provider and playing it again, through the real program, with the official SDKs on both sides."""
import json
import os

import anthropic
import openai
import pytest

from harness import SECRETS

QUESTION = [{"role": "user", "content": "count plum to 12"}]
TOOL = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def captures(folder):
    """Every capture: the lines of its file."""
    return [[json.loads(line) for line in open(os.path.join(folder, name), encoding="utf-8")]
            for name in sorted(os.listdir(folder))]


def ask_openai(mock, key):
    """All that one client asks: streamed, whole, with a tool, by Responses, for vectors."""
    client = openai.OpenAI(base_url=mock.base_url, api_key=key, max_retries=0, timeout=60)
    with client.chat.completions.stream(model="gpt-4o", messages=QUESTION) as stream:
        events = [e.to_dict() for e in stream]
        streamed = stream.get_final_completion().to_dict()
    tools = [{"type": "function", "function": {"name": "weather", "parameters": TOOL}}]
    return [
        events, streamed,
        client.chat.completions.create(model="gpt-4o", messages=QUESTION).to_dict(),
        client.chat.completions.create(model="gpt-4o", messages=QUESTION, tools=tools, tool_choice="required").to_dict(),
        [e.to_dict() for e in client.responses.create(model="gpt-4o", input="count plum to 12", stream=True)],
        client.responses.create(model="gpt-4o", input="count plum to 12").to_dict(),
        client.embeddings.create(model="text-embedding-3-small", input="plum", dimensions=8).to_dict(),
    ]


def ask_anthropic(mock, key):
    client = anthropic.Anthropic(base_url=mock.url, api_key=key, max_retries=0, timeout=60)
    with client.messages.stream(model="claude-sonnet-4-5", max_tokens=2000, messages=QUESTION,
                                thinking={"type": "enabled", "budget_tokens": 1024}) as stream:
        events = [e.to_dict() for e in stream]
        streamed = stream.get_final_message().to_dict()
    return [events, streamed,
            client.messages.create(model="claude-sonnet-4-5", max_tokens=100, messages=QUESTION).to_dict(),
            client.messages.count_tokens(model="claude-sonnet-4-5", messages=QUESTION).to_dict()]


@pytest.mark.parametrize("ask", [ask_openai, ask_anthropic])
def test_the_same_answers_offline(world, ask):
    key = SECRETS.new("client")
    folder = world.path("captures")
    provider = world.mock("--ttft", "20ms", "--itl", "1ms", "--key", key)
    recorder = world.mock("--record", folder, "--upstream", provider.base_url)
    recorded = ask(recorder, key)
    recorder.stop()  # all is written
    n_asked = provider.counters()["requests"]
    player = world.mock("--replay", folder, "--speed", "max")
    assert ask(player, "another key") == recorded
    assert ask(player, "another key") == recorded, "the last capture of a request is played again"
    assert provider.counters()["requests"] == n_asked + 1, "only our own question came"
    for lines in captures(folder):
        assert lines[0]["penstock_capture"] == 1 and lines[-1]["end"] == "complete"
    for name in os.listdir(folder):
        SECRETS.check(name, open(os.path.join(folder, name), "rb").read())


def test_captures_that_come_while_it_runs(world):
    folder, other = world.path("captures"), world.path("played")
    os.mkdir(other)
    provider = world.mock()
    player = world.mock("--replay", other, "--speed", "max")
    client = openai.OpenAI(base_url=player.base_url, api_key="any", max_retries=0)
    ask = lambda to: to.chat.completions.create(model="gpt-4o", messages=QUESTION)
    with pytest.raises(openai.NotFoundError):
        ask(client)
    recorder = world.mock("--record", folder, "--upstream", provider.base_url)
    recorded = ask(openai.OpenAI(base_url=recorder.base_url, api_key="any", max_retries=0))
    entry = json.loads(recorder.get(f"/penstock/journal?request_id={recorded._request_id}").body)["entries"][0]
    assert (entry["answered_by"], entry["response_id"]) == ("record", recorded.id)
    recorder.stop()  # all is written
    (name,) = os.listdir(folder)
    os.rename(os.path.join(folder, name), os.path.join(other, name))
    player.wait_for("captures read again: 1")
    played = ask(client)
    assert played.to_dict() == recorded.to_dict()
    # found by the id that the recorded answer has
    entry = json.loads(player.get(f"/penstock/journal?response_id={recorded.id}&limit=1").body)["entries"][0]
    assert (entry["answered_by"], entry["request_id"]) == ("replay", recorded._request_id)
    with open(os.path.join(other, "0000-wrong.jsonl"), "w", encoding="utf-8") as f:
        f.write("{}\n")
    player.wait_for(r"the captures stay as they are: .*0000-wrong\.jsonl:1: not a capture")
    assert ask(client).to_dict() == recorded.to_dict()


def test_a_key_of_our_own_for_the_upstream(world):
    key = SECRETS.new("upstream")
    provider = world.mock("--key", key)
    recorder = world.mock("--record", world.path("captures"), "--upstream", provider.base_url,
                          "--upstream-key", "PROVIDERS_KEY", env={"PROVIDERS_KEY": key})
    client = openai.OpenAI(base_url=recorder.base_url, api_key="none", max_retries=0)
    said = client.chat.completions.create(model="m", messages=[{"role": "user", "content": f"echo: it is {key}."}])
    assert said.choices[0].message.content == f"it is {key}."
    recorder.stop()
    (name,) = os.listdir(world.path("captures"))
    SECRETS.check(name, open(os.path.join(world.path("captures"), name), "rb").read())
    claude = world.mock("--record", world.path("more"), "--upstream", provider.base_url,
                        "--upstream-key", "PROVIDERS_KEY", env={"PROVIDERS_KEY": key})
    assert anthropic.Anthropic(base_url=claude.url, api_key="none", max_retries=0).messages.create(
        model="m", max_tokens=50, messages=QUESTION).content[0].text.startswith("plumn1 plumn2")


def test_recorded_by_one_sdk_played_to_the_other(world):
    folder = world.path("captures")
    provider = world.mock()
    recorder = world.mock("--record", folder, "--upstream", provider.base_url)
    client = openai.OpenAI(base_url=recorder.base_url, api_key="any", max_retries=0)
    words = client.chat.completions.create(model="gpt-4o", messages=QUESTION).choices[0].message.content
    recorder.stop()
    player = world.mock("--replay", folder, "--speed", "max")
    claude = anthropic.Anthropic(base_url=player.url, api_key="any", max_retries=0)
    with claude.messages.stream(model="gpt-4o", max_tokens=100, messages=QUESTION) as stream:
        pieces = list(stream.text_stream)
        message = stream.get_final_message()
    assert "".join(pieces) == words and len(pieces) > 5
    assert message.stop_reason == "end_turn" and message.usage.output_tokens > 0
    other = openai.OpenAI(base_url=player.base_url, api_key="any", max_retries=0)
    assert other.responses.create(model="gpt-4o", input="count plum to 12").output_text == words


def loop_with_tools(mock):
    """An agent's turns, its thoughts given back with their signatures; what was said in all of them."""
    client = anthropic.Anthropic(base_url=mock.url, api_key="any", max_retries=0)
    messages, said = [{"role": "user", "content": "what is the weather in Bern?"}], []
    tools = [{"name": "weather", "input_schema": TOOL}]
    for _ in range(4):
        message = client.messages.create(model="claude-opus-4-5", max_tokens=3000, messages=messages, tools=tools,
                                         thinking={"type": "enabled", "budget_tokens": 1024})
        said.append(message.to_dict())
        calls = [b for b in message.content if b.type == "tool_use"]
        if not calls:
            return said
        messages += [{"role": "assistant", "content": message.content},
                     {"role": "user", "content": [{"type": "tool_result", "tool_use_id": c.id, "content": "rain"} for c in calls]}]
    raise AssertionError("the loop does not end")


def test_an_agents_loop(world):
    provider = world.mock()
    recorder = world.mock("--record", world.path("captures"), "--upstream", provider.base_url)
    recorded = loop_with_tools(recorder)
    recorder.stop()
    assert len(recorded) > 1 and recorded[0]["content"][0]["signature"]
    assert loop_with_tools(world.mock("--replay", world.path("captures"), "--speed", "max")) == recorded


def test_a_miss(world):
    folder = world.path("captures")
    provider = world.mock()
    both = ["--record", folder, "--replay", folder, "--upstream", provider.base_url, "--on-miss", "record"]
    for _ in range(2):  # the first run records, the second plays
        recorder = world.mock(*both)
        client = openai.OpenAI(base_url=recorder.base_url, api_key="any", max_retries=0)
        client.chat.completions.create(model="gpt-4o", messages=QUESTION)
        recorder.stop()
    assert len(captures(folder)) == 1
    player = world.mock("--replay", folder)
    client = openai.OpenAI(base_url=player.base_url, api_key="any", max_retries=0)
    with pytest.raises(openai.NotFoundError) as e:
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "count plum to 13"}])
    assert e.value.code == "capture_not_found"
    assert "0001-chat-gpt-4o-" in e.value.message and "count plum to 13" in e.value.message


def test_recordings_are_listed(world):
    folder = world.path("captures")
    provider = world.mock()
    recorder = world.mock("--record", folder, "--upstream", provider.base_url)
    openai.OpenAI(base_url=recorder.base_url, api_key="any", max_retries=0).chat.completions.create(model="gpt-4o", messages=QUESTION)
    recorder.stop()
    listed = world.run("mock", "--list-captures", folder)
    assert listed.returncode == 0
    assert "0001-chat-gpt-4o-" in listed.stdout and "whole" in listed.stdout and "complete" in listed.stdout


def test_wrong_options(world):
    for args, words in [(["--record", "x"], "--upstream"),
                        (["--replay", "/no/such/folder"], "/no/such/folder"),
                        (["--speed", "fast"], "expected a speed"),
                        (["--scrub", "(oops"], "(oops"),
                        (["--upstream", "http://127.0.0.1:1", "--upstream-key", "NOT_SET"], "NOT_SET is not set")]:
        ended = world.run("mock", "--listen", "127.0.0.1:0", *args)
        assert ended.returncode == 2 and words in ended.stderr, ended
