# SPDX-License-Identifier: Apache-2.0
"""Same seed, same program, same bytes: the official SDKs run twice against the mock, through something that keeps
every byte that the mock sends."""
import json
import socket
import threading

import anthropic
import openai
import pytest

from harness import Program
from sdk import WEATHER

QUESTION = "What is the weather in Lisbon?"


class Recorder:
    """Passes connections on, and keeps what comes back: a list of bytes, one a connection, in the order of coming."""

    def __init__(self, port):
        self.to, self.kept, self.threads = port, [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self._start(self._accept)

    def _start(self, target, *args):
        thread = threading.Thread(target=target, args=args, daemon=True)
        self.threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            upstream = socket.create_connection(("127.0.0.1", self.to))
            kept = bytearray()
            self.kept.append(kept)
            self._start(self._copy, client, upstream, None)
            self._start(self._copy, upstream, client, kept)

    @staticmethod
    def _copy(source, target, kept):
        try:
            while chunk := source.recv(65536):
                if kept is not None:
                    kept += chunk
                target.sendall(chunk)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def transcript(self):
        """All connections are over."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(30)
        return [bytes(kept) for kept in self.kept]


def chat_program(url):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        client.models.list()
        messages = [{"role": "user", "content": QUESTION}]
        with client.chat.completions.stream(model="gpt-4o", messages=messages, tools=[WEATHER]) as stream:
            call = stream.get_final_completion().choices[0].message
        messages += [call.model_dump(exclude_none=True),
                     {"role": "tool", "tool_call_id": call.tool_calls[0].id, "content": "windy"}]
        client.chat.completions.create(model="gpt-4o", messages=messages, tools=[WEATHER])
        client.chat.completions.create(model="gpt-4o", n=2, logprobs=True, messages=messages[:1])
        client.completions.create(model="gpt-4o", prompt="Once upon a time", max_tokens=30)
        client.embeddings.create(model="text-embedding-3-small", input="a text")
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(model="fault/429", messages=messages[:1])


def responses_program(url):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        with client.responses.stream(model="o3", input=QUESTION, reasoning={"effort": "high", "summary": "auto"}) as stream:
            first = stream.get_final_response()
        client.responses.create(model="o3", input="And the tide?", previous_response_id=first.id)
        client.responses.retrieve(first.id)


def messages_program(url):
    with anthropic.Anthropic(base_url=url, api_key="any", max_retries=0) as client:
        asks = {"model": "claude-sonnet-4-5", "max_tokens": 6000, "thinking": {"type": "enabled", "budget_tokens": 2048},
                "messages": [{"role": "user", "content": QUESTION}]}
        with client.messages.stream(**asks) as stream:
            stream.get_final_message()
        client.messages.create(**asks)
        client.messages.count_tokens(**{k: v for k, v in asks.items() if k != "max_tokens"})
        with pytest.raises(anthropic.OverloadedError):
            client.messages.create(**{**asks, "model": "fault/529"})


PROGRAMS = {"chat": chat_program, "responses": responses_program, "messages": messages_program}


def record(world, program, seed):
    mock = Program(["mock", "--listen", "127.0.0.1:0", "--clock", "virtual", "--json", "--ttft", "lognormal(200ms, 0.3)",
                    "--itl", "20ms:20%", "--seed", seed], world.folder)
    port = json.loads(mock.wait_for(r"\{.*\}\n").group(0))["port"]
    recorder = Recorder(port)
    try:
        program(f"http://127.0.0.1:{recorder.port}")
        return recorder.transcript()
    finally:
        mock.stop()


@pytest.mark.parametrize("name", PROGRAMS)
def test_same_seed_same_bytes(world, name):
    first, second = (record(world, PROGRAMS[name], 7) for _ in range(2))
    assert first and all(first), "something was said"
    assert first == second
    assert record(world, PROGRAMS[name], 8) != first, "the seed is not looked at"
