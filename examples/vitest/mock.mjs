// SPDX-License-Identifier: Apache-2.0
// A fake provider for your tests: one `penstock mock` for a file of tests, emptied before each of them.
// PENSTOCK_BIN says where the program is, if it is not on the PATH.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

export class Mock {
  // Port 0: the system chooses a free one, and the first line of output tells which.
  static async start(...flags) {
    const mock = new Mock();
    mock.process = spawn(process.env.PENSTOCK_BIN ?? "penstock",
      ["mock", "--listen", "127.0.0.1:0", "--json", "--exit-with-parent", ...flags],
      { stdio: ["ignore", "pipe", "inherit"] });
    const lines = createInterface({ input: mock.process.stdout });
    const first = await Promise.race([once(lines, "line"), once(mock.process, "exit").then(() => null)]);
    if (!first) throw new Error("the mock did not start");
    mock.url = JSON.parse(first[0]).url;
    process.env.OPENAI_BASE_URL = `${mock.url}/v1`; // the SDKs' own variables
    process.env.OPENAI_API_KEY = "any";
    process.env.ANTHROPIC_BASE_URL = mock.url;
    process.env.ANTHROPIC_API_KEY = "any";
    return mock;
  }

  // One of the mock's endpoints for tests: /penstock/…
  async control(method, path, body) {
    const response = await fetch(this.url + path, { method, body: body && JSON.stringify(body) });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text && JSON.parse(text);
  }

  // What the next requests are answered with, in this order: a text each, or a map as docs/scenarios.md has it.
  push(...answers) {
    return this.control("POST", "/penstock/scenarios", answers.map((respond) => ({ respond })));
  }

  // Fails unless such requests have come: expect({ match: { user: "hello" }, count: 2 }).
  expect(expectation) {
    return this.control("POST", "/penstock/expect", expectation);
  }

  async reset() {
    await this.control("DELETE", "/penstock/scenarios?reset=1");
    await this.control("DELETE", "/penstock/journal");
  }

  async stop() {
    this.process.kill();
    await once(this.process, "exit");
  }
}
