# SPDX-License-Identifier: Apache-2.0
"""The official Python SDK of OpenAI, on three of its endpoints."""
import openai

from matrix.driver import Driver, call
from matrix.schema import Invoice

FINISH = {"stop": "end", "length": "length", "tool_calls": "tool"}
LIMIT_S = 60


def options(ask):
    return {"base_url": ask["base"] + "/v1", "api_key": ask["key"], "max_retries": 0, "timeout": LIMIT_S,
            "default_headers": ask.get("headers")}


def usage_of(u):
    if u is None:
        return None
    is_chat = hasattr(u, "prompt_tokens")
    came_in, went_out = (u.prompt_tokens, u.completion_tokens) if is_chat else (u.input_tokens, u.output_tokens)
    of_in = u.prompt_tokens_details if is_chat else u.input_tokens_details
    of_out = u.completion_tokens_details if is_chat else u.output_tokens_details
    return {"input": came_in, "output": went_out, "total": u.total_tokens,
            "cached": of_in.cached_tokens if of_in else None,
            "reasoning": of_out.reasoning_tokens if of_out else None}


class Surface(Driver):
    api_error = openai.APIError

    def __init__(self):
        self.clients = {}

    def client(self, ask):
        key = (ask["base"], ask["key"], str(ask.get("headers")))
        if key not in self.clients:
            self.clients[key] = openai.OpenAI(**options(ask))
        return self.clients[key]

    def follow(self, history, native, ask):
        """The history behind an answer, with the next question."""
        self.add(ask, history, native, [])
        return [*history, *self.first(ask)]

    def turn(self, ask, history, got=None):
        got = {"text": "", "deltas": 0} if got is None else got
        do = self.streamed if ask["streamed"] else self.whole
        native = do(self.client(ask), self.request(ask, history), got)
        self.read(native, got)
        return got, native

    @staticmethod
    def read_text(got, text):
        """The answer's text; and what came in pieces, if it did."""
        got["streamed_text"], got["text"] = got["text"] if got["deltas"] else text, text

    def leave_stream(self, ask):
        client = self.client(ask)
        with self.open(client, {**self.request(ask, self.first(ask)), "stream": True}) as stream:
            for event in stream:
                if self.delta(event):
                    return
        raise AssertionError("the stream ended")

    async def cancel_whole(self, ask):
        async with openai.AsyncOpenAI(**options(ask)) as client:
            await self.open(client, self.request(ask, self.first(ask)))


class Chat(Surface):
    def first(self, ask):
        content = ask["prompt"]
        if "image" in ask:
            url = f"data:image/png;base64,{ask['image']}"
            content = [{"type": "text", "text": content}, {"type": "image_url", "image_url": {"url": url}}]
        if "audio" in ask:
            content = [{"type": "text", "text": content},
                       {"type": "input_audio", "input_audio": {"data": ask["audio"], "format": "wav"}}]
        return [{"role": "user", "content": content}]

    def request(self, ask, history):
        rq = {"model": ask["model"], "messages": history, "max_completion_tokens": ask["max_tokens"]}
        if ask.get("tools"):
            rq["tools"] = [{"type": "function", "function": {
                "name": t["name"], "description": t["description"], "parameters": t["schema"]}} for t in ask["tools"]]
        if ask.get("choice"):
            rq["tool_choice"] = {"type": "function", "function": {"name": ask["choice"]}}
        if ask.get("is_object"):
            rq["response_format"] = Invoice
        if ask.get("stop"):
            rq["stop"] = ask["stop"]
        if ask.get("effort"):
            rq["reasoning_effort"] = ask["effort"]
        if ask.get("n"):
            rq["n"] = ask["n"]
        if ask.get("logprobs"):
            rq |= {"logprobs": True, "top_logprobs": 2}
        return rq

    def open(self, client, rq):
        return client.chat.completions.create(**rq)

    def delta(self, chunk):
        return chunk.choices and chunk.choices[0].delta.content

    def whole(self, client, rq, got):
        if "response_format" in rq:
            return client.chat.completions.parse(**rq)
        return client.chat.completions.create(**rq)

    def streamed(self, client, rq, got):
        got["thinking"] = ""
        with client.chat.completions.stream(**rq, stream_options={"include_usage": True}) as stream:
            try:
                for event in stream:
                    self.see(event, got)
                return stream.get_final_completion()
            except openai.LengthFinishReasonError as e:
                return e.completion  # the helper's way to say it

    def see(self, event, got):
        if event.type == "content.delta":
            got["text"] += event.delta
            got["deltas"] += 1
        elif event.type == "chunk" and event.chunk.choices:
            got["thinking"] += getattr(event.chunk.choices[0].delta, "reasoning_content", None) or ""

    def read(self, done, got):
        choice = done.choices[0]
        self.read_text(got, choice.message.content or "")
        got.setdefault("thinking", getattr(choice.message, "reasoning_content", None) or "")
        got["calls"] = [call(c.function.name, c.function.arguments, c.id) for c in choice.message.tool_calls or ()]
        got["finish"] = FINISH.get(choice.finish_reason, choice.finish_reason)
        got["usage"] = usage_of(done.usage)
        got["choices"] = [c.message.content for c in done.choices]
        parsed = getattr(choice.message, "parsed", None)
        got["object"] = parsed.model_dump() if parsed else None
        if choice.logprobs and choice.logprobs.content:
            got["logprobs"] = [t.token for t in choice.logprobs.content]

    def add(self, ask, history, native, results):
        history.append(native.choices[0].message.model_dump(exclude_none=True, exclude={"parsed"}))
        history += [{"role": "tool", "tool_call_id": c["id"], "content": text} for c, text in results]


class Completions(Surface):
    def first(self, ask):
        return [ask["prompt"]]

    def request(self, ask, history):
        rq = {"model": ask["model"], "prompt": history[0], "max_tokens": ask["max_tokens"]}
        if ask.get("stop"):
            rq["stop"] = ask["stop"]
        if ask.get("n"):
            rq["n"] = ask["n"]
        if ask.get("logprobs"):
            rq["logprobs"] = 2
        return rq

    def open(self, client, rq):
        return client.completions.create(**rq)

    def delta(self, chunk):
        return chunk.choices and chunk.choices[0].text

    def whole(self, client, rq, got):
        done = client.completions.create(**rq)
        return {"texts": {c.index: c.text for c in done.choices}, "finish": done.choices[0].finish_reason,
                "usage": done.usage, "logprobs": done.choices[0].logprobs and done.choices[0].logprobs.tokens}

    def streamed(self, client, rq, got):
        done = {"texts": {}, "finish": None, "usage": None, "logprobs": []}
        for chunk in client.completions.create(**rq, stream=True, stream_options={"include_usage": True}):
            done["usage"] = chunk.usage or done["usage"]
            for c in chunk.choices:
                done["texts"][c.index] = done["texts"].get(c.index, "") + c.text
                got["deltas"] += bool(c.text)
                if c.index == 0:
                    got["text"] += c.text
                    done["logprobs"] += c.logprobs.tokens if c.logprobs else []
                    done["finish"] = c.finish_reason or done["finish"]
        return done

    def read(self, done, got):
        got["text"] = got["streamed_text"] = done["texts"].get(0, "")
        got["calls"], got["thinking"] = [], ""
        got["finish"] = FINISH.get(done["finish"], done["finish"])
        got["usage"] = usage_of(done["usage"])
        got["choices"] = [text for _, text in sorted(done["texts"].items())]
        if done["logprobs"]:
            got["logprobs"] = done["logprobs"]


class Responses(Surface):
    def first(self, ask):
        content = ask["prompt"]
        if "image" in ask:
            content = [{"type": "input_text", "text": content}, {
                "type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{ask['image']}"}]
        return [{"role": "user", "content": content}]

    def request(self, ask, history):
        rq = {"model": ask["model"], "input": history, "max_output_tokens": ask["max_tokens"]}
        if ask.get("tools"):
            rq["tools"] = [{"type": "function", "name": t["name"], "description": t["description"],
                            "parameters": t["schema"], "strict": True} for t in ask["tools"]]
        if ask.get("choice"):
            rq["tool_choice"] = {"type": "function", "name": ask["choice"]}
        if ask.get("is_object"):
            rq["text_format"] = Invoice
        if ask.get("effort"):
            rq |= {"reasoning": {"effort": ask["effort"], "summary": "auto"}, "store": False,
                   "include": ["reasoning.encrypted_content"]}
        if ask.get("logprobs"):
            rq |= {"top_logprobs": 2, "include": ["message.output_text.logprobs"]}
        if ask.get("previous"):
            rq["previous_response_id"] = ask["previous"]
        return rq

    def open(self, client, rq):
        return client.responses.create(**rq)

    def delta(self, event):
        return event.type == "response.output_text.delta"

    def whole(self, client, rq, got):
        if "text_format" in rq:
            return client.responses.parse(**rq)
        return client.responses.create(**rq)

    def streamed(self, client, rq, got):
        with client.responses.stream(**rq) as stream:
            for event in stream:
                if event.type == "response.output_text.delta":
                    got["text"] += event.delta
                    got["deltas"] += 1
                elif event.type == "response.incomplete":
                    return event.response  # get_final_response() wants a complete one
            return stream.get_final_response()

    def read(self, done, got):
        self.read_text(got, done.output_text)
        got["thinking"] = "\n\n".join(part.text for item in done.output if item.type == "reasoning"
                                      for part in item.summary)
        got["calls"] = [call(item.name, item.arguments, item.call_id) for item in done.output
                        if item.type == "function_call"]
        got["finish"] = done.status
        if done.status == "completed":
            got["finish"] = "tool" if got["calls"] else "end"
        elif done.status == "incomplete" and done.incomplete_details.reason == "max_output_tokens":
            got["finish"] = "length"
        got["usage"] = usage_of(done.usage)
        parsed = getattr(done, "output_parsed", None)
        got["object"] = parsed.model_dump() if parsed else None
        logprobs = [t.token for item in done.output if item.type == "message" for part in item.content
                    if part.type == "output_text" for t in part.logprobs or ()]
        if logprobs:
            got["logprobs"] = logprobs

    def follow(self, history, native, ask):
        """The turn before is named, not repeated."""
        ask["previous"] = native.id
        return self.first(ask)

    def add(self, ask, history, native, results):
        history += [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in native.output]
        history += [{"type": "function_call_output", "call_id": c["id"], "output": text} for c, text in results]


SURFACES = {"chat": Chat(), "completions": Completions(), "responses": Responses()}


def run(ask):
    return SURFACES[ask["surface"]].run(ask)
