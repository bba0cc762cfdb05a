// SPDX-License-Identifier: Apache-2.0
// The official Node SDK of OpenAI, on three of its endpoints.
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { Invoice, LIMIT_MS, cached, failure, given, imageUrl } from "./common.mjs";

export { failure };

const client = cached((ask) => new OpenAI({
  baseURL: `${ask.base}/v1`, apiKey: ask.key, maxRetries: 0, timeout: LIMIT_MS, defaultHeaders: ask.headers }));
const FINISH = { stop: "end", length: "length", tool_calls: "tool" };

function usageOf(u) {
  if (!u) return null;
  const ofIn = u.prompt_tokens_details ?? u.input_tokens_details;
  const ofOut = u.completion_tokens_details ?? u.output_tokens_details;
  return {
    input: u.prompt_tokens ?? u.input_tokens,
    output: u.completion_tokens ?? u.output_tokens,
    total: u.total_tokens,
    cached: ofIn?.cached_tokens ?? null,
    reasoning: ofOut?.reasoning_tokens ?? null,
  };
}

const callsOf = (message) => (message.tool_calls ?? []).map((c) => ({
  id: c.id, name: c.function.name, args: JSON.parse(c.function.arguments) }));

const chat = {
  first(ask) {
    const text = { type: "text", text: ask.prompt };
    const more = [];
    if (ask.image) more.push({ type: "image_url", image_url: { url: imageUrl(ask) } });
    if (ask.audio) more.push({ type: "input_audio", input_audio: { data: ask.audio, format: "wav" } });
    return [{ role: "user", content: more.length ? [text, ...more] : ask.prompt }];
  },

  request(ask, messages) {
    return given({
      model: ask.model,
      messages,
      max_completion_tokens: ask.max_tokens,
      tools: ask.tools?.map((t) => ({
        type: "function", function: { name: t.name, description: t.description, parameters: t.schema } })),
      tool_choice: ask.choice && { type: "function", function: { name: ask.choice } },
      response_format: ask.is_object ? zodResponseFormat(Invoice, "invoice") : undefined,
      stop: ask.stop,
      reasoning_effort: ask.effort,
      n: ask.n,
      logprobs: ask.logprobs ? true : undefined,
      top_logprobs: ask.logprobs ? 2 : undefined,
    });
  },

  async turn(ask, history, { signal, onText }) {
    const rq = this.request(ask, history);
    let thinking = "", done;
    if (ask.streamed) {
      const runner = client(ask).chat.completions.stream(
        { ...rq, stream_options: { include_usage: true } }, { signal });
      runner.on("content", onText);
      runner.on("chunk", (chunk) => (thinking += chunk.choices[0]?.delta.reasoning_content ?? ""));
      done = await runner.finalChatCompletion();
    } else {
      const how = ask.is_object ? "parse" : "create";
      done = await client(ask).chat.completions[how](rq, { signal });
      thinking = done.choices[0].message.reasoning_content ?? "";
    }
    const { message, finish_reason, logprobs } = done.choices[0];
    return { native: done, got: {
      text: message.content ?? "",
      thinking,
      calls: callsOf(message),
      finish: FINISH[finish_reason] ?? finish_reason,
      usage: usageOf(done.usage),
      choices: done.choices.map((c) => c.message.content),
      object: message.parsed ?? null,
      logprobs: logprobs?.content?.map((t) => t.token),
    } };
  },

  follow(ask, history, native) {
    return [...history, native.choices[0].message, ...this.first(ask)];
  },

  add(ask, history, native, results) {
    history.push(native.choices[0].message);
    for (const [call, content] of results) history.push({ role: "tool", tool_call_id: call.id, content });
  },

  async loop(ask) {
    const steps = [];
    const tools = ask.tools.map((t) => ({ type: "function", function: {
      name: t.name, description: t.description, parameters: t.schema, parse: JSON.parse,
      function: async () => ask.results[t.name] } }));
    const runner = client(ask).chat.completions.runTools(
      { ...this.request(ask, this.first(ask)), tools, stream: ask.streamed }, { maxChatCompletions: 4 });
    runner.on("message", (message) => {
      if (message.role === "assistant") steps.push({ text: message.content ?? "", calls: callsOf(message) });
    });
    return { text: await runner.finalContent(), steps };
  },
};

const completions = {
  first: (ask) => [ask.prompt],

  async turn(ask, [prompt], { signal, onText }) {
    const rq = given({
      model: ask.model, prompt, max_tokens: ask.max_tokens, stop: ask.stop, n: ask.n,
      logprobs: ask.logprobs ? 2 : undefined });
    const texts = [];
    let finish, usage, logprobs;
    if (ask.streamed) {
      const stream = await client(ask).completions.create(
        { ...rq, stream: true, stream_options: { include_usage: true } }, { signal });
      for await (const chunk of stream) {
        usage = chunk.usage ?? usage;
        for (const choice of chunk.choices) {
          texts[choice.index] = (texts[choice.index] ?? "") + choice.text;
          if (choice.index !== 0) continue;
          if (choice.text) onText(choice.text);
          if (choice.logprobs) logprobs = [...(logprobs ?? []), ...choice.logprobs.tokens];
          finish = choice.finish_reason ?? finish;
        }
      }
      if (signal?.aborted) finish = "abort"; // the SDK's way to say it: the iteration ends
    } else {
      const done = await client(ask).completions.create(rq, { signal });
      for (const choice of done.choices) texts[choice.index] = choice.text;
      finish = done.choices[0].finish_reason;
      logprobs = done.choices[0].logprobs?.tokens;
      usage = done.usage;
    }
    return { got: {
      text: texts[0], thinking: "", calls: [], finish: FINISH[finish] ?? finish, usage: usageOf(usage), choices: texts,
      logprobs } };
  },
};

const responses = {
  first(ask) {
    const text = { type: "input_text", text: ask.prompt };
    const image = { type: "input_image", detail: "auto", image_url: imageUrl(ask) };
    return [{ role: "user", content: ask.image ? [text, image] : ask.prompt }];
  },

  request(ask, input) {
    return given({
      model: ask.model,
      input,
      max_output_tokens: ask.max_tokens,
      tools: ask.tools?.map((t) => ({
        type: "function", name: t.name, description: t.description, parameters: t.schema, strict: true })),
      tool_choice: ask.choice && { type: "function", name: ask.choice },
      text: ask.is_object ? { format: zodTextFormat(Invoice, "invoice") } : undefined,
      reasoning: ask.effort && { effort: ask.effort, summary: "auto" },
      store: ask.effort ? false : undefined,
      include: ask.effort ? ["reasoning.encrypted_content"]
        : ask.logprobs ? ["message.output_text.logprobs"] : undefined,
      top_logprobs: ask.logprobs ? 2 : undefined,
      previous_response_id: ask.previous,
    });
  },

  async turn(ask, history, { signal, onText }) {
    const rq = this.request(ask, history);
    let done;
    if (ask.streamed) {
      const runner = client(ask).responses.stream(rq, { signal });
      runner.on("response.output_text.delta", (event) => onText(event.delta));
      done = await runner.finalResponse();
    } else {
      done = await client(ask).responses[ask.is_object ? "parse" : "create"](rq, { signal });
    }
    const of = (type) => done.output.filter((item) => item.type === type);
    const calls = of("function_call").map((c) => ({ id: c.call_id, name: c.name, args: JSON.parse(c.arguments) }));
    const logprobs = of("message").flatMap((m) => m.content.flatMap((part) => part.logprobs ?? [])).map((t) => t.token);
    const finish = done.status === "completed" ? (calls.length ? "tool" : "end")
      : done.incomplete_details?.reason === "max_output_tokens" ? "length" : done.status;
    return { native: done, got: {
      text: done.output_text,
      thinking: of("reasoning").flatMap((item) => item.summary.map((part) => part.text)).join("\n\n"),
      calls,
      finish,
      usage: usageOf(done.usage),
      object: done.output_parsed ?? null,
      logprobs: logprobs.length ? logprobs : undefined,
    } };
  },

  // The turn before is named, not repeated.
  follow(ask, history, native) {
    ask.previous = native.id;
    return this.first(ask);
  },

  add(ask, history, native, results) {
    history.push(...native.output);
    for (const [call, output] of results) history.push({ type: "function_call_output", call_id: call.id, output });
  },
};

export const surfaces = { chat, completions, responses };
