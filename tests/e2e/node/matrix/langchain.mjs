// SPDX-License-Identifier: Apache-2.0
// LangChain JS: @langchain/openai on three endpoints, and @langchain/anthropic.
import { ChatAnthropic } from "@langchain/anthropic";
import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { ChatOpenAI, OpenAI } from "@langchain/openai";
import { Invoice, LIMIT_MS, failure, given, imageUrl } from "./common.mjs";

export { failure };

const FINISH = {
  stop: "end", length: "length", tool_calls: "tool",
  end_turn: "end", max_tokens: "length", tool_use: "tool", stop_sequence: "stop",
};

const common = (ask, more) => given({
  model: ask.model, apiKey: ask.key, maxTokens: ask.max_tokens, maxRetries: 0, timeout: LIMIT_MS, ...more });
const toOpenAI = (ask) => ({ baseURL: `${ask.base}/v1`, defaultHeaders: ask.headers });

function usageOf(u) {
  if (!u) return null;
  return {
    input: u.input_tokens, output: u.output_tokens, total: u.total_tokens,
    cached: u.input_token_details?.cache_read ?? null,
    written: u.input_token_details?.cache_creation ?? null,
    reasoning: u.output_token_details?.reasoning ?? null,
  };
}

const texts = (blocks, type, field) => blocks.filter((b) => b.type === type).map((b) => b[field]).join("");

function finishOf(message) {
  const meta = message.response_metadata, extra = message.additional_kwargs;
  const word = meta.finish_reason ?? meta.stop_reason ?? extra.stop_reason;
  if (word) return FINISH[word] ?? word;
  if (meta.status === "completed") return message.tool_calls.length ? "tool" : "end";
  return meta.incomplete_details?.reason === "max_output_tokens" ? "length" : meta.status;
}

function read(message) {
  const blocks = message.contentBlocks;
  return {
    text: message.text,
    thinking: message.additional_kwargs.reasoning_content ?? texts(blocks, "reasoning", "reasoning"),
    calls: message.tool_calls.map((c) => ({ id: c.id, name: c.name, args: c.args })),
    finish: finishOf(message),
    stop_sequence: message.response_metadata.stop_sequence ?? message.additional_kwargs.stop_sequence ?? null,
    usage: usageOf(message.usage_metadata),
  };
}

const withImage = (ask) => [
  { type: "text", text: ask.prompt }, { type: "image_url", image_url: { url: imageUrl(ask) } }];

function make(modelOf, choice) {
  async function structured(ask, model, history, signal) {
    const { raw, parsed } = await model.withStructuredOutput(Invoice, { name: "invoice", method: "jsonSchema", includeRaw: true })
      .invoke(history, { signal });
    return { native: raw, got: { ...read(raw), object: parsed } };
  }

  return {
    first: (ask) => [new HumanMessage({ content: ask.image ? withImage(ask) : ask.prompt })],

    async turn(ask, history, { signal, onText }) {
      let model = modelOf(ask);
      if (ask.is_object) return structured(ask, model, history, signal);
      if (ask.tools) {
        const tools = ask.tools.map((t) => ({ name: t.name, description: t.description, schema: t.schema }));
        model = model.bindTools(tools, given({ tool_choice: ask.choice && choice(ask) }));
      }
      const options = given({ signal, stop: ask.stop, previous_response_id: ask.previous });
      let message;
      if (ask.streamed) {
        for await (const chunk of await model.stream(history, options)) {
          if (chunk.text) onText(chunk.text);
          message = message ? message.concat(chunk) : chunk;
        }
        if (signal?.aborted) throw new Error("aborted");
      } else {
        message = await model.invoke(history, options);
      }
      return { native: message, got: read(message) };
    },

    follow(ask, history, native) {
      ask.previous = native.response_metadata.id ?? native.id;
      return this.first(ask);
    },

    add(ask, history, native, results) {
      history.push(native);
      for (const [call, content] of results) {
        history.push(new ToolMessage({ tool_call_id: call.id, name: call.name, content }));
      }
    },
  };
}

const chatModel = (ask) => new ChatOpenAI(common(ask, {
  configuration: toOpenAI(ask), streamUsage: true, modelKwargs: given({ reasoning_effort: ask.effort }) }));

const responsesModel = (ask) => new ChatOpenAI(common(ask, {
  configuration: toOpenAI(ask), useResponsesApi: true, zdrEnabled: Boolean(ask.effort),
  modelKwargs: ask.effort
    ? { reasoning: { effort: ask.effort, summary: "auto" }, include: ["reasoning.encrypted_content"] } : {} }));

const claude = (ask) => new ChatAnthropic(common(ask, {
  anthropicApiUrl: ask.base, clientOptions: { defaultHeaders: ask.headers },
  thinking: ask.effort && { type: "enabled", budget_tokens: ask.budget } }));

const completions = {
  first: (ask) => ask.prompt,

  async turn(ask, prompt, { signal, onText }) {
    const model = new OpenAI(common(ask, { configuration: toOpenAI(ask), stop: ask.stop }));
    let finish, usage, text = "";
    if (ask.streamed) {
      for await (const chunk of model._streamResponseChunks(prompt, { signal })) {
        if (chunk.text) onText(chunk.text);
        text += chunk.text;
        finish = chunk.generationInfo?.finishReason ?? chunk.generationInfo?.finish_reason ?? finish;
      }
    } else {
      const { generations: [[one]], llmOutput } = await model.generate([prompt], { signal });
      text = one.text;
      finish = one.generationInfo.finishReason;
      usage = llmOutput.tokenUsage;
    }
    return { got: {
      text, thinking: "", calls: [], finish: FINISH[finish] ?? finish,
      usage: usage && { input: usage.promptTokens, output: usage.completionTokens, total: usage.totalTokens } } };
  },
};

export const surfaces = {
  "openai chat": make(chatModel, (ask) => ask.choice),
  "openai completions": completions,
  "openai responses": make(responsesModel, (ask) => ask.choice),
  "anthropic messages": make(claude, (ask) => ({ type: "tool", name: ask.choice })),
};
