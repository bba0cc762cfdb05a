# SPDX-License-Identifier: Apache-2.0
"""What the official Python SDKs make of each fault in a stream: an exception where one is due, and no worse
than the table of faults (docs/faults.md) admits."""
import json
import os
import time

import anthropic
import openai
import pytest

from harness import DEADLINE_S
from test_mock_faults import FAULTS, TEXT

READ_TIMEOUT_S = 2.5
SDKS = ("chat", "responses", "messages")


@pytest.fixture(scope="module")
def mock(module_world):
    return module_world.mock()


def chat(mock, model):
    client = openai.OpenAI(base_url=mock.base_url, api_key="any", max_retries=0, timeout=READ_TIMEOUT_S)
    text, finish, usage = "", None, None
    with client.chat.completions.create(model=model, messages=[{"role": "user", "content": "echo: " + TEXT}],
                                        stream=True, stream_options={"include_usage": True}) as stream:
        for chunk in stream:
            usage = chunk.usage.completion_tokens if chunk.usage else usage
            for choice in chunk.choices:
                if choice.index == 0:
                    text += choice.delta.content or ""
                    finish = choice.finish_reason or finish
    return text, finish, usage


def responses(mock, model):
    client = openai.OpenAI(base_url=mock.base_url, api_key="any", max_retries=0, timeout=READ_TIMEOUT_S)
    text, status, usage = "", None, None
    with client.responses.create(model=model, input="echo: " + TEXT, stream=True) as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                text += event.delta
            elif event.type == "response.completed":
                status = event.response.status
                usage = event.response.usage.output_tokens if event.response.usage else None
    return text, status, usage


def messages(mock, model):
    client = anthropic.Anthropic(base_url=mock.url, api_key="any", max_retries=0, timeout=READ_TIMEOUT_S)
    with client.messages.stream(model=model, max_tokens=4000,
                                messages=[{"role": "user", "content": "echo: " + TEXT}]) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    return text, final.stop_reason, final.usage.output_tokens


ASK = {"chat": chat, "responses": responses, "messages": messages}
WELL = {}


def wait_for_the_doors(mock):
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        try:
            if mock.get("/health").status == 200:
                return
        except Exception:  # refused, reset, tripped
            time.sleep(0.05)


def outcome(mock, sdk, name):
    try:
        got = ASK[sdk](mock, f"fault/{name}")
    except (openai.APIStatusError, anthropic.APIStatusError):
        return "x"
    except (openai.APITimeoutError, anthropic.APITimeoutError):
        return "t"
    except Exception as e:  # whatever: the caller knows
        return "t" if "timed out" in str(e) else "x"
    return "=" if got == WELL[sdk] else "~"


def test_without_a_fault(mock):
    for sdk in SDKS:
        WELL[sdk] = ASK[sdk](mock, "m")
        assert WELL[sdk][0] == TEXT and WELL[sdk][1] in ("stop", "completed", "end_turn") and WELL[sdk][2] > 0


SHOWN = [name for name in FAULTS if name != "echo-headers"]


@pytest.mark.parametrize("name", SHOWN)
def test_what_sdks_make_of_it(mock, name):
    if not WELL:
        test_without_a_fault(mock)
    got = ""
    for sdk in SDKS:
        got += outcome(mock, sdk, name)
        if FAULTS[name]["level"] == "connection":
            wait_for_the_doors(mock)
    if path := os.environ.get("FAULT_MATRIX"):  # to renew the table
        with open(path, "a", encoding="utf-8") as f:
            f.write(json.dumps([name, got]) + "\n")
        return
    assert got == FAULTS[name]["sdk"]


def test_the_page_lists_the_silent_ones():
    """Harmful faults that an SDK passes over in silence: none is missing on the page, none is forgotten."""
    silent = {name for name, f in FAULTS.items() if f["rule"] and f["sdk"] and "~" in f["sdk"]}
    path = os.path.join(os.environ["PENSTOCK_SOURCE_ROOT"], "docs", "faults.md")
    with open(path, encoding="utf-8") as page:
        line = next(line for line in page if line.startswith("What SDKs take for a good answer"))
    assert silent == set(line.split("`")[1::2])
