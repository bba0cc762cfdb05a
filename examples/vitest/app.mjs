// SPDX-License-Identifier: Apache-2.0
// Something to test: a program that asks models. It knows nothing of mocks.
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";

const model = () => createOpenAI({ baseURL: process.env.OPENAI_BASE_URL }).chat("gpt-4o");

// An agent: asks, looks up what the model wants to know, and asks again.
export async function answer(question, lookUp) {
  const { text } = await generateText({
    model: model(),
    prompt: question,
    stopWhen: stepCountIs(5),
    tools: {
      get_weather: tool({
        description: "Weather of a city",
        inputSchema: jsonSchema({ type: "object", properties: { city: { type: "string" } }, required: ["city"] }),
        execute: ({ city }) => lookUp(city),
      }),
    },
  });
  return text;
}

// Streams a headline, word by word.
export async function* headline(text) {
  const result = streamText({ model: model(), prompt: `Headline for: ${text}`, onError() {} });
  for await (const part of result.fullStream) {
    if (part.type === "text-delta") yield part.text;
    if (part.type === "error") throw part.error;
  }
}
