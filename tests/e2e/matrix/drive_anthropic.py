# SPDX-License-Identifier: Apache-2.0
"""The official Python SDK of Anthropic."""
import anthropic

from matrix.driver import Driver, call
from matrix.schema import Invoice

FINISH = {"end_turn": "end", "max_tokens": "length", "tool_use": "tool", "stop_sequence": "stop"}
LIMIT_S = 60


def options(ask):
    return {"base_url": ask["base"], "api_key": ask["key"], "max_retries": 0, "timeout": LIMIT_S,
            "default_headers": ask.get("headers")}


class Messages(Driver):
    api_error = anthropic.APIError

    def __init__(self):
        self.clients = {}

    def client(self, ask):
        key = (ask["base"], ask["key"], str(ask.get("headers")))
        if key not in self.clients:
            self.clients[key] = anthropic.Anthropic(**options(ask))
        return self.clients[key]

    def first(self, ask):
        content = ask["prompt"]
        if "image" in ask:
            content = [{"type": "image", "source": {"type": "base64", "media_type": "image/png",
                                                    "data": ask["image"]}},
                       {"type": "text", "text": content}]
        return [{"role": "user", "content": content}]

    def follow(self, history, native, ask):
        self.add(ask, history, native, [])
        return [*history[:-1], *self.first(ask)]

    def request(self, ask, history):
        rq = {"model": ask["model"], "messages": history, "max_tokens": ask["max_tokens"]}
        if ask.get("tools"):
            rq["tools"] = [{"name": t["name"], "description": t["description"], "input_schema": t["schema"]}
                           for t in ask["tools"]]
        if ask.get("choice"):
            rq["tool_choice"] = {"type": "tool", "name": ask["choice"]}
        if ask.get("is_object"):
            rq["output_format"] = Invoice
        if ask.get("stop"):
            rq["stop_sequences"] = ask["stop"]
        if ask.get("effort"):
            rq["thinking"] = {"type": "enabled", "budget_tokens": ask["budget"]}
        return rq

    def turn(self, ask, history, got=None):
        got = {"text": "", "deltas": 0} if got is None else got
        client, rq = self.client(ask), self.request(ask, history)
        if ask["streamed"]:
            native = self.streamed(client, rq, got)
        elif "output_format" in rq:
            native = client.messages.parse(**rq)
        else:
            native = client.messages.create(**rq)
        self.read(native, got)
        return got, native

    def streamed(self, client, rq, got):
        with client.messages.stream(**rq) as stream:
            for text in stream.text_stream:
                got["text"] += text
                got["deltas"] += 1
            return stream.get_final_message()

    def read(self, done, got):
        text = "".join(block.text for block in done.content if block.type == "text")
        got["streamed_text"], got["text"] = got["text"] if got["deltas"] else text, text
        got["thinking"] = "".join(block.thinking for block in done.content if block.type == "thinking")
        got["calls"] = [call(b.name, b.input, b.id) for b in done.content if b.type == "tool_use"]
        got["finish"] = FINISH.get(done.stop_reason, done.stop_reason)
        got["stop_sequence"] = done.stop_sequence
        u = done.usage
        details = getattr(u, "output_tokens_details", None)
        got["usage"] = {"input": u.input_tokens, "cached": u.cache_read_input_tokens,
                        "written": u.cache_creation_input_tokens, "output": u.output_tokens,
                        "reasoning": details.thinking_tokens if details else None}
        parsed = getattr(done, "parsed_output", None)
        got["object"] = parsed.model_dump() if parsed else None

    def add(self, ask, history, native, results):
        history.append({"role": "assistant", "content": native.content})
        history.append({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": c["id"], "content": text} for c, text in results]})

    def run_count(self, ask):
        rq = self.request(ask, self.first(ask))
        del rq["max_tokens"]
        return {"count": self.client(ask).messages.count_tokens(**rq).input_tokens}

    def leave_stream(self, ask):
        rq = self.request(ask, self.first(ask))
        with self.client(ask).messages.stream(**rq) as stream:
            for text in stream.text_stream:
                if text:
                    return
        raise AssertionError("the stream ended")

    async def cancel_whole(self, ask):
        async with anthropic.AsyncAnthropic(**options(ask)) as client:
            await client.messages.create(**self.request(ask, self.first(ask)))


DRIVER = Messages()


def run(ask):
    return DRIVER.run(ask)
