# SPDX-License-Identifier: Apache-2.0
"""An upstream that answers in three dialects, as a scenario tells it, and remembers what it was asked.

A request's model is `scripted/SCENARIO/KEY`: the scenario makes the answer, the key finds the requests
again, however many clients run at once. What is known of each dialect's wire stands here and nowhere
else, written by hand from the vendors' documents, so that no code of ours can agree with itself.
"""
import json
import threading
import urllib.parse

import raw
from proofs import FORMAT

DIALECT_OF_PATH = {"/v1/chat/completions": "chat", "/v1/responses": "responses", "/v1/messages": "messages"}
NO_USAGE = {"input": 9, "cache_read": 0, "cache_write": 0, "output": 4, "reasoning": 0}


class Answer:
    """Blocks are ("thinking", text, proof), ("hidden", proof), ("text", text) and ("call", id, name, arguments
    as JSON)."""

    def __init__(self, *blocks, stop="end", usage=None):
        self.blocks, self.usage = blocks, usage or NO_USAGE
        self.stop = "tool" if any(block[0] == "call" for block in blocks) else stop

    def of(self, kind):
        return [block for block in self.blocks if block[0] == kind]


HANG = object()  # a scenario's answer: a little of a stream, and then nothing until the gateway leaves


def has_result(dialect, body):
    """Whether a tool's result is in the history."""
    if dialect == "chat":
        return any(message["role"] == "tool" for message in body["messages"])
    if dialect == "responses":
        items = body["input"] if isinstance(body["input"], list) else []
        return any(item.get("type") in ("function_call_output", "custom_tool_call_output") for item in items)
    return any(part.get("type") == "tool_result" for message in body["messages"]
               if isinstance(message["content"], list) for part in message["content"])


def halves(text):
    """Two pieces, so that every text comes in more than one event."""
    middle = len(text) // 2
    return [piece for piece in (text[:middle], text[middle:]) if piece]


def data_frame(value):
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def event_frame(value):
    return b"event: " + value["type"].encode() + b"\n" + data_frame(value)


# --- chat -------------------------------------------------------------------------------------

CHAT_STOPS = {"end": "stop", "tool": "tool_calls", "length": "length"}


def chat_usage(u):
    prompt = u["input"] + u["cache_read"] + u["cache_write"]
    return {"prompt_tokens": prompt, "completion_tokens": u["output"], "total_tokens": prompt + u["output"],
            "prompt_tokens_details": {"cached_tokens": u["cache_read"]},
            "completion_tokens_details": {"reasoning_tokens": u["reasoning"]}}


def chat_reasoning(block):
    """OpenRouter's form of a thought with a proof."""
    if block[0] == "hidden":
        return [{"type": "reasoning.encrypted", "data": block[1], "format": FORMAT, "index": 0}]
    return [{"type": "reasoning.text", "text": block[1], "signature": block[2], "format": FORMAT, "index": 0}]


def chat_whole(model, answer):
    message = {"role": "assistant", "content": "".join(b[1] for b in answer.of("text")) or None, "refusal": None}
    for block in answer.of("thinking"):
        message.update(reasoning=block[1], reasoning_details=chat_reasoning(block))
    for block in answer.of("hidden"):
        message.update(reasoning_details=chat_reasoning(block))
    calls = [{"id": b[1], "type": "function", "function": {"name": b[2], "arguments": b[3]}}
             for b in answer.of("call")]
    if calls:
        message["tool_calls"] = calls
    return {"id": "chatcmpl-up", "object": "chat.completion", "created": 1763683200, "model": model,
            "choices": [{"index": 0, "message": message, "logprobs": None,
                         "finish_reason": CHAT_STOPS[answer.stop]}],
            "usage": chat_usage(answer.usage)}


def chat_stream(model, answer):
    def chunk(delta, finish=None):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return data_frame({**base, "choices": [choice]})

    base = {"id": "chatcmpl-up", "object": "chat.completion.chunk", "created": 1763683200, "model": model}
    yield chunk({"role": "assistant", "content": ""})
    n_calls = 0
    for block in answer.blocks:
        if block[0] == "thinking":
            for piece in halves(block[1]):
                yield chunk({"reasoning": piece, "reasoning_details": [
                    {"type": "reasoning.text", "text": piece, "format": FORMAT, "index": 0}]})
            yield chunk({"reasoning_details": [{"type": "reasoning.text", "signature": block[2], "format": FORMAT,
                                                "index": 0}]})
        elif block[0] == "hidden":
            yield chunk({"reasoning_details": chat_reasoning(block)})
        elif block[0] == "text":
            for piece in halves(block[1]):
                yield chunk({"content": piece})
        else:
            yield chunk({"tool_calls": [{"index": n_calls, "id": block[1], "type": "function",
                                         "function": {"name": block[2], "arguments": ""}}]})
            for piece in halves(block[3]):
                yield chunk({"tool_calls": [{"index": n_calls, "function": {"arguments": piece}}]})
            n_calls += 1
    yield chunk({}, CHAT_STOPS[answer.stop])
    yield data_frame({**base, "choices": [], "usage": chat_usage(answer.usage)})
    yield b"data: [DONE]\n\n"


# --- responses --------------------------------------------------------------------------------

def responses_usage(u):
    tokens = u["input"] + u["cache_read"] + u["cache_write"]
    return {"input_tokens": tokens, "output_tokens": u["output"], "total_tokens": tokens + u["output"],
            "input_tokens_details": {"cached_tokens": u["cache_read"], "cache_write_tokens": u["cache_write"]},
            "output_tokens_details": {"reasoning_tokens": u["reasoning"]}}


def responses_item(block, n):
    if block[0] == "thinking":
        return {"type": "reasoning", "id": f"rs_up{n}", "summary": [{"type": "summary_text", "text": block[1]}],
                "encrypted_content": block[2]}
    if block[0] == "hidden":
        return {"type": "reasoning", "id": f"rs_up{n}", "summary": [], "encrypted_content": block[1]}
    if block[0] == "text":
        return {"type": "message", "id": f"msg_up{n}", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": block[1], "annotations": [], "logprobs": []}]}
    return {"type": "function_call", "id": f"fc_up{n}", "call_id": block[1], "name": block[2],
            "arguments": block[3], "status": "completed"}


def responses_object(model, answer, status, items=()):
    is_cut = status == "incomplete"
    return {"id": "resp_up", "object": "response", "created_at": 1763683200, "status": status, "model": model,
            "error": None, "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
            "instructions": None, "metadata": {}, "output": list(items), "parallel_tool_calls": True,
            "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0,
            "usage": None if status == "in_progress" else responses_usage(answer.usage)}


def responses_end(answer):
    return "incomplete" if answer.stop == "length" else "completed"


def responses_whole(model, answer):
    items = [responses_item(block, n) for n, block in enumerate(answer.blocks)]
    return responses_object(model, answer, responses_end(answer), items)


def _responses_thinking(block, item, at):
    where = {"item_id": item["id"], "output_index": at, "summary_index": 0}
    yield {"type": "response.output_item.added", "output_index": at, "item": {**item, "summary": []}}
    yield {"type": "response.reasoning_summary_part.added", **where, "part": {"type": "summary_text", "text": ""}}
    for piece in halves(block[1]):
        yield {"type": "response.reasoning_summary_text.delta", **where, "delta": piece}
    yield {"type": "response.reasoning_summary_text.done", **where, "text": block[1]}
    yield {"type": "response.reasoning_summary_part.done", **where, "part": item["summary"][0]}


def _responses_hidden(block, item, at):
    yield {"type": "response.output_item.added", "output_index": at, "item": item}


def _responses_text(block, item, at):
    where = {"item_id": item["id"], "output_index": at, "content_index": 0}
    yield {"type": "response.output_item.added", "output_index": at,
           "item": {**item, "status": "in_progress", "content": []}}
    yield {"type": "response.content_part.added", **where, "part": {**item["content"][0], "text": ""}}
    for piece in halves(block[1]):
        yield {"type": "response.output_text.delta", **where, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **where, "text": block[1], "logprobs": []}
    yield {"type": "response.content_part.done", **where, "part": item["content"][0]}


def _responses_call(block, item, at):
    where = {"item_id": item["id"], "output_index": at}
    yield {"type": "response.output_item.added", "output_index": at,
           "item": {**item, "status": "in_progress", "arguments": ""}}
    for piece in halves(block[3]):
        yield {"type": "response.function_call_arguments.delta", **where, "delta": piece}
    yield {"type": "response.function_call_arguments.done", **where, "name": block[2], "arguments": block[3]}


def responses_events(model, answer):
    begun = responses_object(model, answer, "in_progress")
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    writers = {"thinking": _responses_thinking, "hidden": _responses_hidden, "text": _responses_text,
               "call": _responses_call}
    items = [responses_item(block, n) for n, block in enumerate(answer.blocks)]
    for at, (block, item) in enumerate(zip(answer.blocks, items)):
        yield from writers[block[0]](block, item, at)
        yield {"type": "response.output_item.done", "output_index": at, "item": item}
    end = responses_end(answer)
    yield {"type": f"response.{end}", "response": responses_object(model, answer, end, items)}


def responses_stream(model, answer):
    for number, event in enumerate(responses_events(model, answer)):
        yield event_frame({"type": event.pop("type"), "sequence_number": number, **event})


# --- messages ---------------------------------------------------------------------------------

MESSAGES_STOPS = {"end": "end_turn", "tool": "tool_use", "length": "max_tokens"}


def messages_usage(u):
    return {"input_tokens": u["input"], "cache_creation_input_tokens": u["cache_write"],
            "cache_read_input_tokens": u["cache_read"], "output_tokens": u["output"],
            "output_tokens_details": {"thinking_tokens": u["reasoning"]}}


def messages_block(block):
    if block[0] == "thinking":
        return {"type": "thinking", "thinking": block[1], "signature": block[2]}
    if block[0] == "hidden":
        return {"type": "redacted_thinking", "data": block[1]}
    if block[0] == "text":
        return {"type": "text", "text": block[1]}
    return {"type": "tool_use", "id": block[1], "name": block[2], "input": json.loads(block[3])}


def messages_whole(model, answer):
    return {"id": "msg_up", "type": "message", "role": "assistant", "model": model,
            "content": [messages_block(block) for block in answer.blocks],
            "stop_reason": MESSAGES_STOPS[answer.stop], "stop_sequence": None,
            "usage": messages_usage(answer.usage)}


def messages_deltas(block):
    """(the block as it starts, its deltas)"""
    if block[0] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in halves(block[1])]
        return ({"type": "thinking", "thinking": "", "signature": ""},
                [*deltas, {"type": "signature_delta", "signature": block[2]}])
    if block[0] == "hidden":
        return messages_block(block), []
    if block[0] == "text":
        return {"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in halves(block[1])]
    return ({**messages_block(block), "input": {}},
            [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *halves(block[3])]])


def messages_stream(model, answer):
    begun = {**messages_whole(model, answer), "content": [], "stop_reason": None}
    begun["usage"] = {**begun["usage"], "output_tokens": 1}
    yield event_frame({"type": "message_start", "message": begun})
    yield event_frame({"type": "ping"})
    for at, block in enumerate(answer.blocks):
        start, deltas = messages_deltas(block)
        yield event_frame({"type": "content_block_start", "index": at, "content_block": start})
        for delta in deltas:
            yield event_frame({"type": "content_block_delta", "index": at, "delta": delta})
        yield event_frame({"type": "content_block_stop", "index": at})
    yield event_frame({"type": "message_delta",
                       "delta": {"stop_reason": MESSAGES_STOPS[answer.stop], "stop_sequence": None},
                       "usage": messages_usage(answer.usage)})
    yield event_frame({"type": "message_stop"})


WHOLE = {"chat": chat_whole, "responses": responses_whole, "messages": messages_whole}
STREAM = {"chat": chat_stream, "responses": responses_stream, "messages": messages_stream}
ENDING_FRAMES = {"chat": 3, "responses": 4, "messages": 3}  # of a stream with one text: what follows its deltas


class Scripted:
    """scenarios: {name: fn(dialect, body, key) -> Answer or HANG}; other models are the scenario `any`, and
    their name is the key.

    Node programs ask it for what they cannot see: GET /control/arrived?key=K answers when a request of
    that key is here, /control/closed?key=K when the gateway has closed the connection of a hanging one.
    """

    def __init__(self, scenarios):
        self.scenarios = scenarios
        self.changed = threading.Condition()
        self.asked, self.closed = {}, set()
        self.upstream = raw.Upstream(self._serve)
        self.url = f"http://127.0.0.1:{self.upstream.port}"

    def stop(self):
        self.upstream.stop()

    def requests(self, key):
        """[(dialect, body, headers)] in the order in which they came."""
        with self.changed:
            return list(self.asked.get(key, ()))

    def wait(self, what, key, timeout=raw.TIMEOUT_S - 5):
        known = self.asked if what == "arrived" else self.closed
        with self.changed:
            return self.changed.wait_for(lambda: key in known, timeout)

    def _serve(self, connection):
        while request := connection.read_request():
            path, _, query = request.target.partition("?")
            if request.method == "HEAD":
                connection.send_head(200, length=0)
            elif path.startswith("/control/"):
                key = urllib.parse.parse_qs(query)["key"][0]
                is_so = self.wait(path.rsplit("/", 1)[1], key)
                connection.send_json({}, 200 if is_so else 504)
            elif path in DIALECT_OF_PATH:
                if not self._answer(connection, request, DIALECT_OF_PATH[path]):
                    return
            else:
                connection.send_json({"error": {"message": f"no such path: {path}"}}, 404)

    def _answer(self, connection, request, dialect):
        """False when the connection is over."""
        body = request.json()
        parts = body["model"].split("/", 2)
        name, key = parts[1:] if parts[0] == "scripted" else ("any", body["model"])
        with self.changed:
            self.asked.setdefault(key, []).append((dialect, body, dict(request.headers)))
            self.changed.notify_all()
        answer = self.scenarios[name](dialect, body, key)
        if answer is HANG:
            if body.get("stream"):
                frames = list(STREAM[dialect](body["model"], Answer(("text", "one two"))))
                connection.send_head()
                connection.send_chunk(b"".join(frames[:-ENDING_FRAMES[dialect]]))
            connection.wait_closed()
            with self.changed:
                self.closed.add(key)
                self.changed.notify_all()
            return False
        if body.get("stream"):
            connection.send_head()
            for frame in STREAM[dialect](body["model"], answer):
                connection.send_chunk(frame)
            connection.end_chunks()
        else:
            connection.send_json(WHOLE[dialect](body["model"], answer))
        return True
