// SPDX-License-Identifier: Apache-2.0
// Where the gateway and its mock are, and the mock's levers.
export const url = process.env.PENSTOCK_E2E_URL;
export const mock = process.env.PENSTOCK_E2E_MOCK;
export const key = process.env.PENSTOCK_E2E_KEY;

export const numbered = (tag, n) => Array.from({ length: n }, (_, i) => `${tag}n${i + 1}`).join(" ");
export const ask = (prompt, more = {}) => ({ model: "mock-1", messages: [{ role: "user", content: prompt }], ...more });

export const weather = {
  type: "function",
  function: {
    name: "get_weather",
    description: "Weather of a city",
    parameters: {
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
      additionalProperties: false,
    },
  },
};
export const tide = {
  type: "function",
  function: {
    name: "get_tide",
    parameters: { type: "object", properties: { port: { type: "string" } }, required: ["port"] },
  },
};

async function json(method, path) {
  const response = await fetch(mock + path, { method });
  const body = await response.json();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${JSON.stringify(body)}`);
  return body;
}

export const counters = () => json("GET", "/penstock/wait?requests=0");
// Answers when the counter has got there; fails after half a minute.
export const waitCounter = (name, n) => json("GET", `/penstock/wait?${name}=${n}&timeout_ms=25000`);
export const step = (stepKey, n = 1) => json("POST", `/penstock/step?key=${stepKey}&n=${n}&timeout_ms=25000`);
export const journal = async () => (await json("GET", "/penstock/journal")).entries;

// A stream put together by hand: {text, calls, finish, usage, …} of choice 0, texts of all.
export async function collect(stream) {
  const got = { text: {}, reasoning: "", calls: [], finish: {}, usage: undefined, chunks: 0 };
  for await (const chunk of stream) {
    got.chunks++;
    if (chunk.usage) got.usage = chunk.usage;
    for (const { index, delta, finish_reason } of chunk.choices) {
      got.text[index] = (got.text[index] ?? "") + (delta.content ?? "");
      got.reasoning += delta.reasoning_content ?? "";
      for (const call of delta.tool_calls ?? []) {
        got.calls[call.index] ??= { id: call.id, name: call.function.name, arguments: "" };
        got.calls[call.index].arguments += call.function.arguments ?? "";
      }
      if (finish_reason) got.finish[index] = finish_reason;
    }
  }
  return got;
}
