// SPDX-License-Identifier: Apache-2.0
// Vercel's `ai` with its providers for OpenAI, for what is compatible with it, and for Anthropic.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { Output, generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import { Invoice, cached, given, parsed } from "./common.mjs";

const openai = cached((ask) => createOpenAI({ baseURL: `${ask.base}/v1`, apiKey: ask.key, headers: ask.headers }));
const compatible = cached((ask) => createOpenAICompatible({
  name: "penstock", baseURL: `${ask.base}/v1`, apiKey: ask.key, headers: ask.headers, includeUsage: true,
  supportsStructuredOutputs: true }));
const anthropic = cached((ask) => createAnthropic({
  baseURL: `${ask.base}/v1`, apiKey: ask.key, headers: ask.headers }));
const FINISH = { stop: "end", length: "length", "tool-calls": "tool" };

export function failure(e) {
  let body = e?.data ?? e; // what the provider's schema made of an error's body, or an error part
  try {
    body = e.responseBody ? parsed(e.responseBody) : body;
  } catch {}
  const error = body?.error ?? body;
  return {
    class: e?.name ?? (e instanceof Object ? "error part" : typeof e),
    status: e?.statusCode ?? null,
    type: error?.type ?? null,
    code: error?.code ?? null,
    param: error?.param ?? null,
    message: e?.message ?? String(e),
    retry_after: e?.responseHeaders?.["retry-after"] ?? null,
    stack: e?.statusCode === undefined ? e?.stack : undefined,
  };
}

const usageOf = (u) => ({
  input: u.inputTokens,
  output: u.outputTokens,
  total: u.totalTokens,
  cached: u.inputTokenDetails.cacheReadTokens ?? null,
  written: u.inputTokenDetails.cacheWriteTokens ?? null,
  reasoning: u.outputTokenDetails.reasoningTokens ?? null,
});

const callsOf = (step) => step.toolCalls.map((c) => ({ id: c.toolCallId, name: c.toolName, args: c.input }));

function toolsOf(ask, withResults) {
  if (!ask.tools) return undefined;
  return Object.fromEntries(ask.tools.map((t) => [t.name, tool(given({
    description: t.description, inputSchema: jsonSchema(t.schema),
    execute: withResults ? async () => ask.results[t.name] : undefined }))]));
}

function make(modelOf, providerOptions) {
  const request = (ask, more) => given({
    model: modelOf(ask),
    maxOutputTokens: ask.max_tokens,
    maxRetries: 0,
    toolChoice: ask.choice && { type: "tool", toolName: ask.choice },
    stopSequences: ask.stop,
    output: ask.is_object ? Output.object({ schema: Invoice }) : undefined,
    providerOptions: providerOptions(ask),
    ...more,
  });

  const first = (ask) => [{ role: "user", content: [
    { type: "text", text: ask.prompt },
    ...(ask.image ? [{ type: "image", image: ask.image, mediaType: "image/png" }] : [])] }];

  // Runs it to its end; an error part is thrown.
  async function streamed(rq, signal, onText) {
    let isAborted = false;
    const result = streamText({ ...rq, abortSignal: signal, onError() {} });
    for await (const part of result.fullStream) {
      if (part.type === "text-delta") onText(part.text);
      if (part.type === "error") throw part.error;
      isAborted ||= part.type === "abort";
    }
    if (isAborted) return { isAborted };
    const all = { steps: await result.steps, text: await result.text };
    return rq.output ? { ...all, output: await result.output } : all;
  }

  const ask1 = async (ask, rq, signal, onText) =>
    ask.streamed ? streamed(rq, signal, onText) : generateText({ ...rq, abortSignal: signal });

  const read = (step, result) => ({
    text: step.text,
    thinking: step.reasoningText ?? "",
    calls: callsOf(step),
    finish: FINISH[step.finishReason] ?? step.finishReason,
    raw_finish: step.rawFinishReason,
    usage: usageOf(step.usage),
    object: result?.output ?? null,
  });

  return {
    first,

    async turn(ask, messages, { signal, onText }) {
      const result = await ask1(ask, request(ask, { messages, tools: toolsOf(ask) }), signal, onText);
      if (result.isAborted) return { got: { finish: "abort" } };
      const step = result.steps[0];
      return { native: step, got: read(step, ask.is_object ? result : null) };
    },

    follow(ask, history, native) {
      ask.previous = native.providerMetadata?.openai?.responseId;
      return ask.previous ? first(ask) : [...history, ...native.response.messages, ...first(ask)];
    },

    async loop(ask) {
      const rq = request(ask, { messages: first(ask), tools: toolsOf(ask, true), stopWhen: stepCountIs(4) });
      let text = "";
      const result = await ask1(ask, rq, undefined, (delta) => (text += delta));
      const steps = result.steps.map((step) => read(step));
      if (ask.streamed && text !== steps.map((step) => step.text).join("")) throw new Error("not what was streamed");
      return { text: result.text, steps };
    },
  };
}

export const surfaces = {
  "openai chat": make((ask) => openai(ask).chat(ask.model), (ask) => ({ openai: given({
    reasoningEffort: ask.effort, forceReasoning: ask.effort ? true : undefined }) })),
  "openai completions": make((ask) => openai(ask).completion(ask.model), () => ({})),
  "openai responses": make((ask) => openai(ask).responses(ask.model), (ask) => ({ openai: given({
    reasoningEffort: ask.effort, reasoningSummary: ask.effort && "auto", forceReasoning: ask.effort ? true : undefined,
    store: ask.effort ? false : undefined, previousResponseId: ask.previous }) })),
  "compatible chat": make((ask) => compatible(ask)(ask.model), (ask) => ({ penstock: given({
    reasoningEffort: ask.effort }) })),
  "compatible completions": make((ask) => compatible(ask).completionModel(ask.model), () => ({})),
  "anthropic messages": make((ask) => anthropic(ask)(ask.model), (ask) => ({ anthropic: given({
    thinking: ask.effort && { type: "enabled", budgetTokens: ask.budget },
    structuredOutputMode: ask.is_object ? "outputFormat" : undefined }) })),
};
