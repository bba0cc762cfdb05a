#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that tokens pass one by one: when each left the provider, and when it arrived here.

    examples/gradual.py [--tokens 20] [--itl 100ms] [--penstock build/penstock]

Starts a mock that stamps each frame with its time of sending, a gateway in front of it, and reads one
stream through the gateway. Both ends read the same clock. A gateway that gathers tokens would show the
same arrival time on many lines; this one shows each token a moment after it was sent.
"""
import argparse
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time

CONFIG = """\
listen: 127.0.0.1:0
providers:
  fake: {{ dialect: chat, base_url: "{url}", auth: none }}
models:
  - {{ name: "*", targets: [ {{ provider: fake }} ] }}
"""


def start(command, pattern):
    """Starts a server; returns it with the address that it prints."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        match = re.search(pattern, line)
        if match:
            return process, match.group(1)
    sys.exit(f"{' '.join(command)} did not start")


def read_stream(address, n):
    """Yields (text, sent, arrived) of each token; the times are of this machine's monotonic clock, in ns."""
    connection = http.client.HTTPConnection(address)
    body = {"model": "demo", "stream": True, "messages": [{"role": "user", "content": f"count token to {n}"}]}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
    sent = None
    for line in connection.getresponse():
        arrived = time.monotonic_ns()
        if stamp := re.match(rb": t=(\d+)", line):
            sent = int(stamp.group(1))
        elif line.startswith(b"data: {"):
            for choice in json.loads(line[6:])["choices"]:
                if text := choice["delta"].get("content"):
                    yield text, sent, arrived


def show(tokens):
    print(f"{'token':>12}  {'sent (ms)':>10}  {'arrived (ms)':>12}  {'on the way (ms)':>15}")
    first = None
    for text, sent, arrived in tokens:
        first = first or sent
        print(f"{text.strip():>12}  {(sent - first) / 1e6:10.3f}  {(arrived - first) / 1e6:12.3f}"
              f"  {(arrived - sent) / 1e6:15.3f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--penstock", default=os.path.join(os.path.dirname(__file__), "..", "build", "penstock"))
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument("--itl", default="100ms", help="time between two tokens (default: %(default)s)")
    args = parser.parse_args()
    servers = []
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        try:
            command = [args.penstock, "mock", "--listen", "127.0.0.1:0", "--stamp", "--ttft", "50ms", "--itl", args.itl]
            mock, url = start(command, r"answers on (\S+)")
            servers.append(mock)
            config.write(CONFIG.format(url=url))
            config.flush()
            gateway, address = start([args.penstock, "serve", "--config", config.name], r"listening on http://(\S+)")
            servers.append(gateway)
            print(f"mock {url}  ->  gateway http://{address}/v1  ->  here\n")
            show(read_stream(address, args.tokens))
        finally:
            for server in reversed(servers):
                server.terminate()
            for server in servers:
                server.wait()
                server.stdout.close()


if __name__ == "__main__":
    main()
