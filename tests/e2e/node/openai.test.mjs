// SPDX-License-Identifier: Apache-2.0
// The official `openai` package for Node, with nothing changed but its base URL.
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import OpenAI from "openai";
import { ask, collect, counters, journal, key, numbered, step, tide, url, waitCounter, weather } from "./support.mjs";

const client = new OpenAI({ baseURL: url, apiKey: key, maxRetries: 0, timeout: 60_000 });
const chat = (prompt, more) => client.chat.completions.create(ask(prompt, more));
const stream = async (prompt, more) => collect(await chat(prompt, { stream: true, ...more }));
const said = (message) => message.tool_calls.map((c) => [c.function.name, c.function.arguments]);

// Runs fn and returns what it throws, which must be of this class.
async function caught(kind, fn) {
  try {
    await fn();
  } catch (e) {
    assert.ok(e instanceof kind, `${e.constructor.name} and not ${kind.name}: ${e.message}`);
    return e;
  }
  assert.fail(`no ${kind.name}`);
}

test("text", async () => {
  const got = await stream("count apple to 40");
  const whole = await chat("count apple to 40");
  assert.equal(got.text[0], numbered("apple", 40));
  assert.equal(whole.choices[0].message.content, numbered("apple", 40));
  assert.equal(got.finish[0], "stop");
  assert.equal(got.usage, undefined);
});

test("streamed and whole say the same", async () => {
  for (const prompt of ["tell me a story", "explain rivers", "echo: Grüße, 世界 👩‍👩‍👧 \u2028 end"]) {
    assert.equal((await stream(prompt)).text[0], (await chat(prompt)).choices[0].message.content);
  }
});

test("the stream helper", async () => {
  const runner = client.chat.completions.stream(ask("count pear to 20"));
  let text = "";
  runner.on("content", (delta) => (text += delta));
  const final = await runner.finalChatCompletion();
  assert.equal(text, numbered("pear", 20));
  assert.equal(final.choices[0].message.content, numbered("pear", 20));
});

test("one tool call", async () => {
  const whole = await chat("What is the weather in Lisbon?", { tools: [weather, tide] });
  const got = await stream("What is the weather in Lisbon?", { tools: [weather, tide] });
  assert.equal(got.finish[0], "tool_calls");
  assert.deepEqual(got.calls.map((c) => [c.name, c.arguments]), said(whole.choices[0].message));
  assert.equal(JSON.parse(got.calls[0].arguments).city, "Lisbon");
});

test("parallel tool calls", async () => {
  const prompt = "Tell me the weather in Oslo and the tide at Brest";
  const whole = await chat(prompt, { tools: [weather, tide] });
  const got = await stream(prompt, { tools: [weather, tide] });
  const final = await client.chat.completions.stream(ask(prompt, { tools: [weather, tide] })).finalChatCompletion();
  assert.equal(got.calls.length, 2);
  assert.deepEqual(got.calls.map((c) => [c.name, c.arguments]), said(whole.choices[0].message));
  assert.deepEqual(said(final.choices[0].message), said(whole.choices[0].message));
});

test("a tool loop by the SDK's runner", async () => {
  const asked = [];
  const tool = {
    type: "function",
    function: {
      ...weather.function,
      parse: JSON.parse,
      function: async ({ city }) => (asked.push(city), "21 degrees"),
    },
  };
  const runner = client.chat.completions.runTools({ ...ask("What is the weather in Lisbon?"), stream: true, tools: [tool] });
  assert.match(await runner.finalContent(), /21 degrees/);
  assert.deepEqual(asked, ["Lisbon"]);
});

test("usage", async () => {
  const whole = await chat("count kiwi to 17");
  const got = await stream("count kiwi to 17", { stream_options: { include_usage: true } });
  assert.deepEqual(got.usage, whole.usage);
  assert.equal(got.usage.completion_tokens, 17);
});

test("three choices", async () => {
  const whole = await chat("tell me a story", { n: 3 });
  const got = await stream("tell me a story", { n: 3 });
  assert.deepEqual(got.finish, { 0: "stop", 1: "stop", 2: "stop" });
  for (const choice of whole.choices) assert.equal(got.text[choice.index], choice.message.content);
});

test("logprobs", async () => {
  const final = await client.chat.completions
    .stream(ask("count plum to 6", { logprobs: true, top_logprobs: 2 }))
    .finalChatCompletion();
  assert.equal(final.choices[0].logprobs.content.map((t) => t.token).join(""), numbered("plum", 6));
});

test("reasoning", async () => {
  const whole = await chat("explain tides", { reasoning_effort: "high" });
  const got = await stream("explain tides", { reasoning_effort: "high" });
  assert.ok(got.reasoning.length > 0);
  assert.equal(got.reasoning, whole.choices[0].message.reasoning_content);
});

test("models", async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.deepEqual(ids, ["mock-*", "fault/*", "gpt-*"]);
  assert.equal((await client.models.retrieve("mock-7")).id, "mock-7");
  await caught(OpenAI.NotFoundError, () => client.models.retrieve("none"));
});

test("headers", async () => {
  for (const streamed of [true, false]) {
    const { response, request_id } = await client.chat.completions
      .create(ask("ping", { stream: streamed }), { headers: { "x-request-id": "node-1" } })
      .withResponse();
    assert.equal(request_id, "node-1");
    assert.match(response.headers.get("x-upstream-request-id"), /^req_/);
    assert.equal(response.headers.get("x-penstock-mock"), "1");
  }
});

test("errors before the stream", async () => {
  const e = await caught(OpenAI.NotFoundError, () => chat("hi", { model: "no-such-model" }));
  assert.deepEqual([e.status, e.code, e.type, e.param], [404, "model_not_found", "invalid_request_error", "model"]);
  assert.ok(e.requestID);
  await caught(OpenAI.BadRequestError, () => client.chat.completions.create({ model: "mock-1" }));
  for (const streamed of [true, false]) {
    const fail = (status) => () => chat("hi", { model: `fault/${status}`, stream: streamed });
    assert.equal((await caught(OpenAI.BadRequestError, fail(400))).param, "temperature");
    assert.equal((await caught(OpenAI.ConflictError, fail(409))).status, 409);
    assert.equal((await caught(OpenAI.RateLimitError, fail(429))).code, "rate_limit_exceeded");
    assert.equal((await caught(OpenAI.InternalServerError, fail(500))).status, 500);
    assert.equal((await caught(OpenAI.InternalServerError, fail(503))).code, "server_overloaded");
    const refused = await caught(OpenAI.InternalServerError, fail(401));
    assert.deepEqual([refused.status, refused.code], [502, "upstream_auth"]);
  }
});

test("retries that the SDK does by itself", async () => {
  const before = (await journal()).length;
  const patient = client.withOptions({ maxRetries: 1 });
  const e = await caught(OpenAI.InternalServerError, () =>
    patient.chat.completions.create(ask("hi", { model: "fault/500", stream: true })));
  assert.equal(e.status, 500);
  const tries = (await journal()).slice(before).map((entry) => entry.headers["x-stainless-retry-count"]);
  assert.deepEqual(tries, ["0", "1"]);
});

test("connection error", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  const nobody = new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: "sk-any", maxRetries: 0 });
  await caught(OpenAI.APIConnectionError, () => nobody.chat.completions.create(ask("hi")));
});

test("timeout", async () => {
  const { cancelled } = await counters();
  const hasty = client.withOptions({ timeout: 300 });
  await caught(OpenAI.APIConnectionTimeoutError, () => hasty.chat.completions.create(ask("hi", { model: "fault/stall" })));
  await waitCounter("cancelled", cancelled + 1);
});

test("errors in mid-stream", async () => {
  for (const fault of ["error-event", "cut", "fin"]) {
    let text = "";
    const e = await caught(OpenAI.APIError, async () => {
      for await (const chunk of await chat("count lime to 9", { model: `fault/${fault}`, stream: true })) {
        text += chunk.choices[0]?.delta?.content ?? "";
      }
    });
    assert.equal(text, numbered("lime", 3));
    assert.ok(!(e instanceof OpenAI.APIConnectionError), "an error event, not a broken connection");
    assert.equal(e.code, fault === "error-event" ? "upstream_error" : "bad_gateway");
  }
});

test("a missing end mark is put in", async () => {
  const got = await stream("count lime to 9", { model: "fault/no-done" });
  assert.equal(got.text[0], numbered("lime", 9));
  assert.equal(got.finish[0], "stop");
});

test("leaving early cancels the provider", async () => {
  const { cancelled } = await counters();
  for await (const chunk of await chat("count on to 1000000000", { stream: true })) {
    if (chunk.choices[0]?.delta?.content) break;
  }
  await waitCounter("cancelled", cancelled + 1);
});

test("abort cancels the provider", async () => {
  const { started, cancelled } = await counters();
  const abort = new AbortController();
  const waiting = client.chat.completions.create(ask("hi", { model: "fault/stall" }), { signal: abort.signal });
  await waitCounter("started", started + 1);
  abort.abort();
  await caught(OpenAI.APIUserAbortError, () => waiting);
  await waitCounter("cancelled", cancelled + 1);
});

// The mock sends token k + 1 only when token k has been read here.
test("token by token", async () => {
  const words = numbered("tok", 30).split(" ");
  const chunks = (await chat("count tok to 30", { stream: true, user: "step:node" }))[Symbol.asyncIterator]();
  const next = async () => (await chunks.next()).value.choices[0];
  assert.equal((await next()).delta.role, "assistant");
  for (const word of words) {
    await step("node");
    assert.equal((await next()).delta.content.trim(), word);
  }
  await step("node");
  assert.equal((await next()).finish_reason, "stop");
  assert.equal((await chunks.next()).done, true);
});

test("many at once", async () => {
  const texts = await Promise.all(
    Array.from({ length: 60 }, async (_, i) => (await stream(`count m${i}x to ${(i % 17) + 1}`)).text[0]));
  assert.deepEqual(texts, Array.from({ length: 60 }, (_, i) => numbered(`m${i}x`, (i % 17) + 1)));
});
