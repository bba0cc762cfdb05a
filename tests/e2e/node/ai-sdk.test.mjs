// SPDX-License-Identifier: Apache-2.0
// Vercel's `ai` with `@ai-sdk/openai-compatible`.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, RetryError, generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { counters, journal, key, numbered, step, url, waitCounter } from "./support.mjs";

const provider = createOpenAICompatible({ name: "penstock", baseURL: url, apiKey: key, includeUsage: true });
const model = provider("mock-1");
const quiet = { maxRetries: 0, onError() {} };

const weather = tool({
  description: "Weather of a city",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `${city}: 21 degrees`,
});

async function parts(result) {
  const list = [];
  for await (const part of result.fullStream) list.push(part);
  return list;
}

test("text", async () => {
  const result = streamText({ model, prompt: "count apple to 40", ...quiet });
  const deltas = [];
  for await (const delta of result.textStream) deltas.push(delta);
  assert.equal(deltas.join(""), numbered("apple", 40));
  assert.equal(deltas.length, 40);
  assert.equal(await result.finishReason, "stop");
  assert.equal((await result.usage).outputTokens, 40);
});

test("generateText", async () => {
  const { text, finishReason, usage, response } = await generateText({ model, prompt: "count apple to 40", maxRetries: 0 });
  assert.equal(text, numbered("apple", 40));
  assert.equal(finishReason, "stop");
  assert.equal(usage.outputTokens, 40);
  assert.ok(response.headers["x-request-id"]);
});

test("reasoning comes as its own parts", async () => {
  const result = streamText({
    model, prompt: "explain tides", providerOptions: { penstock: { reasoningEffort: "high" } }, ...quiet });
  const list = await parts(result);
  const kinds = list.map((p) => p.type);
  assert.ok(kinds.includes("reasoning-delta") && kinds.includes("text-delta"));
  assert.ok(kinds.indexOf("reasoning-delta") < kinds.indexOf("text-delta"));
  assert.ok(!kinds.includes("error"));
});

test("a tool loop", async () => {
  const result = streamText({
    model, prompt: "What is the weather in Lisbon?", tools: { get_weather: weather }, stopWhen: stepCountIs(5), ...quiet });
  const list = await parts(result);
  assert.deepEqual(list.filter((p) => p.type === "tool-call").map((p) => p.input), [{ city: "Lisbon" }]);
  assert.deepEqual(list.filter((p) => p.type === "tool-result").map((p) => p.output), ["Lisbon: 21 degrees"]);
  assert.match(await result.text, /Lisbon: 21 degrees/);
  assert.equal((await result.steps).length, 2, "the loop ends");
});

test("a tool loop with parallel calls, not streamed", async () => {
  const tide = tool({ inputSchema: z.object({ port: z.string() }), execute: async ({ port }) => `${port}: low` });
  const result = await generateText({
    model, prompt: "Tell me the weather in Oslo and the tide at Brest", tools: { get_weather: weather, get_tide: tide },
    stopWhen: stepCountIs(5), maxRetries: 0 });
  assert.deepEqual(result.steps[0].toolCalls.map((c) => c.toolName), ["get_weather", "get_tide"]);
  assert.equal(result.steps.length, 2);
  assert.ok(result.text.length > 0);
});

test("structured output", async () => {
  const schema = z.object({ title: z.string(), amount: z.number().int(), paid: z.boolean() });
  const strict = createOpenAICompatible({ name: "penstock", baseURL: url, apiKey: key, supportsStructuredOutputs: true });
  const { object } = await generateObject({ model: strict("mock-1"), schema, prompt: "an invoice for 3 lamps", maxRetries: 0 });
  assert.equal(typeof object.title, "string");
});

test("errors before the stream", async () => {
  for (const [name, status] of [["no-such-model", 404], ["fault/400", 400], ["fault/429", 429], ["fault/500", 500], ["fault/401", 502]]) {
    const list = await parts(streamText({ model: provider(name), prompt: "hi", ...quiet }));
    const error = list.find((p) => p.type === "error").error;
    assert.ok(APICallError.isInstance(error), String(error));
    assert.equal(error.statusCode, status);
    await assert.rejects(generateText({ model: provider(name), prompt: "hi", maxRetries: 0 }), (e) => {
      assert.ok(APICallError.isInstance(e));
      assert.equal(e.statusCode, status);
      assert.ok(e.message.length > 0);
      return true;
    });
  }
});

test("errors in mid-stream are error parts", async () => {
  for (const fault of ["error-event", "cut", "fin"]) {
    const list = await parts(streamText({ model: provider(`fault/${fault}`), prompt: "count lime to 9", ...quiet }));
    const text = list.filter((p) => p.type === "text-delta").map((p) => p.text).join("");
    assert.equal(text, numbered("lime", 3));
    assert.ok(list.some((p) => p.type === "error"), `${fault}: no error part`);
    assert.equal(list.at(-1).type === "finish" ? list.at(-1).finishReason : "error", "error");
  }
});

test("retries that the SDK does by itself", async () => {
  const before = (await journal()).length;
  await assert.rejects(generateText({ model: provider("fault/503"), prompt: "hi", maxRetries: 1 }), (e) => {
    assert.ok(RetryError.isInstance(e), String(e));
    return true;
  });
  assert.equal((await journal()).length, before + 2);
});

test("abort cancels the provider", async () => {
  const { cancelled } = await counters();
  const abort = new AbortController();
  const result = streamText({ model, prompt: "count on to 1000000000", abortSignal: abort.signal, ...quiet });
  for await (const part of result.fullStream) {
    if (part.type === "text-delta") abort.abort();
    if (part.type === "abort") break;
  }
  await waitCounter("cancelled", cancelled + 1);
});

// The mock sends token k + 1 only when token k has been read here.
test("token by token", async () => {
  const stepped = createOpenAICompatible({
    name: "penstock", baseURL: url, apiKey: key,
    fetch: (to, init) => fetch(to, { ...init, body: JSON.stringify({ ...JSON.parse(init.body), user: "step:ai" }) }) });
  const result = streamText({ model: stepped("mock-1"), prompt: "count tok to 20", ...quiet });
  const deltas = result.textStream[Symbol.asyncIterator]();
  for (const word of numbered("tok", 20).split(" ")) {
    await step("ai");
    assert.equal((await deltas.next()).value.trim(), word);
  }
  await step("ai");
  assert.equal((await deltas.next()).done, true);
});
