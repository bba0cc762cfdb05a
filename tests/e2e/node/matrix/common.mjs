// SPDX-License-Identifier: Apache-2.0
// What several drivers need.
import { z } from "zod";

export const LIMIT_MS = 60_000;

// The form of structured output that every SDK is asked for; tests/e2e/matrix/schema.py has the same.
export const Invoice = z.object({
  title: z.string(),
  amount: z.number().int(),
  is_paid: z.boolean(),
  lines: z.array(z.string()),
});

// One client for each gateway and set of headers.
export function cached(make) {
  const known = new Map();
  return (ask) => {
    const name = JSON.stringify([ask.base, ask.headers]);
    if (!known.has(name)) known.set(name, make(ask));
    return known.get(name);
  };
}

export const imageUrl = (ask) => `data:image/png;base64,${ask.image}`;
export const parsed = (text) => JSON.parse(text);
// Leaves out what is not set, as an application's request would.
export const given = (object) => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));

// What an application sees of an exception of the official SDKs, which LangChain passes on.
export function failure(e) {
  const headers = e?.headers;
  return {
    class: e?.constructor?.name,
    status: e?.status ?? null,
    type: e?.type ?? e?.error?.error?.type ?? e?.error?.type ?? null,
    code: e?.code ?? null,
    param: e?.param ?? null,
    message: e?.message ?? String(e),
    retry_after: headers?.get?.("retry-after") ?? headers?.["retry-after"] ?? null,
    request_id: e?.requestID ?? null,
    stack: e?.status === undefined ? e?.stack : undefined,
  };
}
