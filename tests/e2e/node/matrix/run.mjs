// SPDX-License-Identifier: Apache-2.0
// Runs all cells of one SDK: `node run.mjs SDK < asks`, a JSON list. Prints a JSON line for each, as it ends.
//
// A driver has, for each surface: first(ask) -> history, turn(ask, history, hooks) -> {got, native},
// add(ask, history, native, results), and where the SDK has a loop over tools of its own, loop(ask). hooks:
// {signal, onText(delta)}.
const AT_ONCE = 3;
const ROUNDS_MAX = 4; // a tool loop that goes on for longer never ends
const key = process.env.PENSTOCK_E2E_KEY;
const control = process.env.PENSTOCK_E2E_CONTROL;

const { surfaces, failure } = await import(`./${process.argv[2]}.mjs`);

function hooksFor(got) {
  const controller = new AbortController();
  return {
    controller,
    signal: controller.signal,
    onText(delta) {
      got.text += delta;
      got.deltas++;
    },
  };
}

// What the SDK's delivery in pieces came to must be what its final answer says.
function settle(ask, got, result) {
  const pieces = got.text;
  Object.assign(got, result);
  got.streamed_text = ask.streamed ? pieces : got.text;
  return got;
}

async function turn(surface, ask, history, got = { text: "", deltas: 0 }) {
  const { got: result, native } = await surface.turn(ask, history, hooksFor(got));
  return { got: settle(ask, got, result), native };
}

async function oneTurn(surface, ask) {
  const got = { text: "", deltas: 0 };
  try {
    const [prompt, ...later] = [...(ask.before ?? []), ask.prompt];
    const now = { ...ask, prompt };
    let history = surface.first(now);
    for (const next of later) {
      const { native } = await turn(surface, now, history);
      now.prompt = next;
      history = surface.follow(now, history, native);
    }
    await turn(surface, now, history, got);
  } catch (e) {
    got.error = failure(e);
  }
  return got;
}

async function toolLoop(surface, ask) {
  const steps = [];
  try {
    if (ask.runner) return await surface.loop(ask);
    const history = surface.first(ask);
    while (steps.length < ROUNDS_MAX) {
      const { got, native } = await turn(surface, ask, history);
      steps.push(got);
      if (!got.calls.length) break;
      surface.add(ask, history, native, got.calls.map((call) => [call, ask.results[call.name]]));
    }
  } catch (e) {
    return { steps, text: "", error: failure(e) };
  }
  return { steps, text: steps.at(-1).text };
}

// Leaves: behind the first word of a stream, or when the request is known to have got through.
async function cancel(surface, ask) {
  const hooks = hooksFor({ text: "", deltas: 0 });
  const leave = () => hooks.controller.abort();
  if (ask.streamed) hooks.onText = leave;
  const asked = surface.turn(ask, surface.first(ask), hooks).then(
    (answer) => answer.got.finish === "abort" || Promise.reject(new Error("there was an answer")),
    () => true);
  if (!ask.streamed) {
    const arrived = await fetch(`${control}/control/arrived?key=${encodeURIComponent(ask.mark)}`);
    if (!arrived.ok) throw new Error("the request has not arrived");
    leave();
  }
  return { left: (await asked) && hooks.signal.aborted };
}

const count = async (surface, ask) => ({ count: await surface.count(ask) });

const ops = { turn: oneTurn, loop: toolLoop, cancel, count };

async function run(ask) {
  ask.key = key;
  try {
    return await ops[ask.op](surfaces[ask.driver], ask);
  } catch (e) {
    return { broken: e?.stack ?? String(e) };
  }
}

async function main() {
  let text = "";
  for await (const chunk of process.stdin) text += chunk;
  const asks = JSON.parse(text);
  const worker = async () => {
    for (let ask; (ask = asks.shift()); ) {
      const got = await run(ask);
      process.stdout.write(JSON.stringify({ id: ask.id, got }) + "\n");
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

await main();
