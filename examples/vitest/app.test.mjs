// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { answer, headline } from "./app.mjs";
import { Mock } from "./mock.mjs";

let mock;
beforeAll(async () => { mock = await Mock.start("--ttft", "0", "--itl", "0"); });
beforeEach(() => mock.reset());
afterAll(() => mock?.stop());

const all = async (stream) => { const list = []; for await (const one of stream) list.push(one); return list; };

test("the agent looks up what it is asked for", async () => {
  // Nothing is scripted: the mock calls the tool with arguments that fit, and answers with the result.
  const asked = [];
  const text = await answer("What is the weather in Lisbon?", (city) => { asked.push(city); return "21 degrees and windy"; });
  expect(text).toContain("21 degrees and windy");
  expect(asked).toEqual(["Lisbon"]);
  await mock.expect({ match: { tool: "get_weather" }, count: 2 });
  await mock.expect({ match: { tool_result: { contains: "windy" } }, count: 1 });
});

test("a scripted answer", async () => {
  await mock.push({ text: ["Rain ", "stops ", "play"] }); // a list streams as it is written, piece for piece
  expect(await all(headline("the match was called off"))).toEqual(["Rain ", "stops ", "play"]);
});

test("the SDK tries again", async () => {
  await mock.push({ error: { status: 429, retry_after: 0 } }, "Rain stops play");
  expect((await all(headline("the match was called off"))).join("")).toBe("Rain stops play");
  await mock.expect({ count: 2 });
});

test("a stream that breaks", async () => {
  await mock.push({ text: "Rain stops play and nobody minds", fault: "error-event" });
  await expect(all(headline("the match was called off"))).rejects.toBeDefined();
});
