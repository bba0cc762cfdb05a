// SPDX-License-Identifier: Apache-2.0
// The official Node SDK of Anthropic.
import Anthropic from "@anthropic-ai/sdk";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { Invoice, LIMIT_MS, cached, failure, given } from "./common.mjs";

export { failure };

const client = cached((ask) => new Anthropic({
  baseURL: ask.base, apiKey: ask.key, maxRetries: 0, timeout: LIMIT_MS, defaultHeaders: ask.headers }));
const FINISH = { end_turn: "end", max_tokens: "length", tool_use: "tool", stop_sequence: "stop" };

function read(done) {
  const of = (type) => done.content.filter((block) => block.type === type);
  const u = done.usage;
  return {
    text: of("text").map((block) => block.text).join(""),
    thinking: of("thinking").map((block) => block.thinking).join(""),
    calls: of("tool_use").map((block) => ({ id: block.id, name: block.name, args: block.input })),
    finish: FINISH[done.stop_reason] ?? done.stop_reason,
    stop_sequence: done.stop_sequence,
    usage: {
      input: u.input_tokens,
      cached: u.cache_read_input_tokens,
      written: u.cache_creation_input_tokens,
      output: u.output_tokens,
      reasoning: u.output_tokens_details?.thinking_tokens ?? null,
    },
    object: done.parsed_output ?? null,
  };
}

const messages = {
  first(ask) {
    const text = { type: "text", text: ask.prompt };
    const image = { type: "image", source: { type: "base64", media_type: "image/png", data: ask.image } };
    return [{ role: "user", content: ask.image ? [image, text] : ask.prompt }];
  },

  request(ask, history) {
    return given({
      model: ask.model,
      messages: history,
      max_tokens: ask.max_tokens,
      tools: ask.tools?.map((t) => ({ name: t.name, description: t.description, input_schema: t.schema })),
      tool_choice: ask.choice && { type: "tool", name: ask.choice },
      output_config: ask.is_object ? { format: zodOutputFormat(Invoice) } : undefined,
      stop_sequences: ask.stop,
      thinking: ask.effort && { type: "enabled", budget_tokens: ask.budget },
    });
  },

  async turn(ask, history, { signal, onText }) {
    const rq = this.request(ask, history);
    let done;
    if (ask.streamed) {
      const stream = client(ask).messages.stream(rq, { signal });
      stream.on("text", onText);
      done = await stream.finalMessage();
    } else {
      done = await client(ask).messages[ask.is_object ? "parse" : "create"](rq, { signal });
    }
    return { native: done, got: read(done) };
  },

  follow(ask, history, native) {
    return [...history, { role: "assistant", content: native.content }, ...this.first(ask)];
  },

  add(ask, history, native, results) {
    history.push({ role: "assistant", content: native.content });
    history.push({ role: "user", content: results.map(([call, content]) => ({
      type: "tool_result", tool_use_id: call.id, content })) });
  },

  async count(ask) {
    const { max_tokens: _, ...rq } = this.request(ask, this.first(ask));
    return (await client(ask).messages.countTokens(rq)).input_tokens;
  },

  // Goes to /v1/messages?beta=true.
  async loop(ask) {
    const steps = [];
    const rq = this.request(ask, this.first(ask));
    rq.tools = rq.tools.map((t) => ({ ...t, run: async () => ask.results[t.name] }));
    const runner = client(ask).beta.messages.toolRunner({ ...rq, stream: ask.streamed, max_iterations: 4 });
    for await (const step of runner) steps.push(read(ask.streamed ? await step.finalMessage() : step));
    return { steps, text: steps.at(-1).text };
  },
};

export const surfaces = { messages };
