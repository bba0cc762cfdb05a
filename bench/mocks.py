# SPDX-License-Identifier: Apache-2.0
"""The section `mock`: Penstock's mock beside other fake providers and the least that the kernel asks for a token.

One provider runs at a time, alone on its core; the load generator has the other. All answer with a text of TOKENS
tokens, one a frame. A provider holds a number of streams when it keeps nine tenths of the pace that was asked for
and 99 of 100 tokens come within two intervals of the one before.
"""
import json
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request

from common import (BIN, BUILD, FILES, OTHER_CPU, PROXY_CPU, ROOT, Table, bench, cpu_ns, free_port, ratio,
                    resident_bytes, spawn, stop, wait_port)

AIMOCK, FAKEAI, VIDAIMOCK = "1.43.0", "0.3.2", "0.3.1"
ITL_MS = 20
TOKENS = 1000
LADDER = (20, 50, 100, 200, 300, 500, 700, 1000, 1500, 2000, 2500, 3000, 4000, 5000, 7000, 10000)
QUICK_LADDER = (100, 300, 1000, 2000)
MOST = 10000
SPARE_FILES = 200


# ---- the providers ----


class Provider:
    """How a provider is installed and started. `why_not` says why it cannot be."""

    name, note, headers, why_not = "", "", (), ""
    streams_unpaced = True

    def install(self):
        pass

    def command(self, port, itl_ms, work):
        raise NotImplementedError

    def environment(self, itl_ms):
        return {}

    def base_url(self, port):
        return f"http://127.0.0.1:{port}/v1"

    def lateness_ms(self, port):
        """p50, p99 and maximum of written minus due, as the provider itself counts it; None where it does not."""
        return None

    def last_lateness_ms(self, log):
        """The same, of what it said at its end."""
        return None


class Penstock(Provider):
    name = "penstock"

    def lateness_ms(self, port):
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
        found = re.findall(r'^penstock_mock_token_late(?:_seconds\{quantile="(0.5|0.99)"\}|(_max)_seconds) (\S+)', text, re.M)
        late = {q or m: float(v) * 1e3 for q, m, v in found}
        return late["0.5"], late["0.99"], late["_max"]

    def command(self, port, itl_ms, work):
        return [BIN, "mock", "--listen", f"127.0.0.1:{port}", "--ttft", f"{itl_ms}ms", "--itl", f"{itl_ms}ms", "--tokens", TOKENS]


class PenstockUnix(Penstock):
    """The same on a Unix socket, which costs the kernel a fraction of TCP; the port is for /metrics."""

    name = "penstock, Unix socket"

    def command(self, port, itl_ms, work):
        self.socket = work / f"mock-{port}.sock"
        command = super().command(port, itl_ms, work)
        at = command.index("--listen") + 1
        command[at] += f",unix:{self.socket}"
        return command

    def base_url(self, port):
        return f"http+unix://{urllib.parse.quote(str(self.socket), safe='')}/v1"


class Null(Provider):
    name = "null"
    streams_unpaced = False

    def command(self, port, itl_ms, work):
        return [BUILD / "null_provider", port, itl_ms * 1000]

    def last_lateness_ms(self, log):
        text = log.read_text()
        if not text.startswith("{"):
            return None  # so far behind that it was killed before it could say so
        said = json.loads(text)
        return said["p50_ns"] / 1e6, said["p99_ns"] / 1e6, said["max_ns"] / 1e6


class Aimock(Provider):
    name = f"aimock {AIMOCK}"
    folder = BUILD / "aimock"

    def install(self):
        here = ROOT / "bench" / "others"
        stamp = (here / "package-lock.json").read_text()
        if not (self.folder / ".stamp").exists() or (self.folder / ".stamp").read_text() != stamp:
            self.folder.mkdir(parents=True, exist_ok=True)
            for file in ("package.json", "package-lock.json", ".npmrc"):
                shutil.copy(here / file, self.folder)
            quietly("npm", "--prefix", self.folder, "ci", "--ignore-scripts")
            (self.folder / ".stamp").write_text(stamp)

    def command(self, port, itl_ms, work):
        nodes = list((self.folder / "node_modules").glob("node-linux-*/bin/node")) or ["node"]
        fixture = work / "aimock.json"
        answer = {"match": {"model": "bench"}, "response": {"content": "tok " * TOKENS}}
        fixture.write_text(json.dumps({"fixtures": [answer]}))
        return [nodes[0], self.folder / "node_modules/@copilotkit/aimock/dist/cli.js", "--port", port,
                "--fixtures", fixture, "--latency", itl_ms, "--chunk-size", 4, "--log-level", "silent"]


class FakeAI(Provider):
    name = f"FakeAI {FAKEAI}"
    folder = BUILD / "fakeai"
    headers = ("--api-key", "any")

    def install(self):
        wanted = ROOT / "bench" / "others" / "requirements.txt"
        stamp = wanted.read_text() + sys.version
        if not (self.folder / ".stamp").exists() or (self.folder / ".stamp").read_text() != stamp:
            shutil.rmtree(self.folder, ignore_errors=True)
            quietly(sys.executable, "-m", "venv", self.folder)
            quietly(self.folder / "bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input", "-r", wanted)
            (self.folder / ".stamp").write_text(stamp)

    def command(self, port, itl_ms, work):
        return [self.folder / "bin/fakeai", "server", "--host", "127.0.0.1", "--port", port]

    def environment(self, itl_ms):
        # Its --ttft and --itl do not reach its streams.
        return {"FAKEAI_GENERATION__TTFT_MS": str(itl_ms), "FAKEAI_GENERATION__ITL_MS": str(itl_ms),
                "FAKEAI_GENERATION__ITL_VARIANCE_PERCENT": "0"}


VIDAI_PROVIDER = """
name: "bench"
matcher: "^/v1/chat/completions$"
priority: 100
response_template: "bench/answer.json.j2"
stream:
  enabled: true
  frame_format: raw
  lifecycle:
    on_chunk:
      template_body: 'data: {"id":"chatcmpl-mock","object":"chat.completion.chunk","created":1700000000,"model":"{{ model }}","choices":[{"index":0,"delta":{"content":"{{ chunk }}"},"finish_reason":null}]}'
    on_stop:
      template_path: "openai/stream_stop.sse.j2"
"""


class VidaiMock(Provider):
    name = f"VidaiMock {VIDAIMOCK}"
    folder = BUILD / "vidaimock"
    streams_unpaced = False   # a delay of 0 is taken as 20 ms

    def install(self):
        if (self.folder / "bin/vidaimock").exists():
            return
        if not shutil.which("cargo"):
            self.why_not = "needs cargo"
            return
        quietly("cargo", "install", "vidaimock", "--version", VIDAIMOCK, "--locked", "--root", self.folder)

    def command(self, port, itl_ms, work):
        folder = work / "vidaimock"
        (folder / "providers").mkdir(parents=True, exist_ok=True)
        (folder / "templates/bench").mkdir(parents=True, exist_ok=True)
        (folder / "providers/bench.yaml").write_text(VIDAI_PROVIDER)
        message = {"role": "assistant", "content": "tok " * TOKENS}
        answer = {"id": "x", "object": "chat.completion", "created": 1, "model": "bench",
                  "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                  "usage": {"prompt_tokens": 1, "completion_tokens": TOKENS, "total_tokens": TOKENS + 1}}
        (folder / "templates/bench/answer.json.j2").write_text(json.dumps(answer))
        self.headers = ("--header", f"x-vidai-chaos-trickle:{itl_ms}")
        return [self.folder / "bin/vidaimock", "--host", "127.0.0.1", "--port", port, "--workers", 1, "--config-dir", folder]


def quietly(*args):
    """Runs an installation; what it says is shown only when it fails."""
    print(f"  installing: {' '.join(map(str, args))}", flush=True)
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{args[0]}: {(done.stdout + done.stderr)[-800:]}")


def install_all(providers):
    here = []
    for p in providers:
        try:
            p.install()
        except (RuntimeError, OSError) as e:
            p.why_not = str(e).strip().splitlines()[-1]
        if p.why_not:
            print(f"  {p.name}: not measured: {p.why_not}", flush=True)
        else:
            here.append(p)
    return here


class Running:
    """One provider, started."""

    def __init__(self, provider, itl_ms, work):
        self.provider, self.itl_ms, self.port = provider, itl_ms, free_port()
        self.log = work / f"{provider.name.split()[0].strip(',')}.log"
        self.log.unlink(missing_ok=True)
        self.process = spawn(provider.command(self.port, itl_ms, work), PROXY_CPU, provider.environment(itl_ms), self.log)
        wait_port(self.port, self.process, self.log, 60)
        self.ask()
        self.idle_bytes = self.resident_bytes()

    @property
    def url(self):
        return self.provider.base_url(self.port)

    def ask(self):
        """One short stream, so that what is made at first use is there."""
        subprocess.run([str(BIN), "bench", "--url", self.url, *self.provider.headers, "--duration", "300ms", "--json"],
                       stdout=subprocess.DEVNULL, check=False)

    def resident_bytes(self):
        return resident_bytes(self.process.pid)

    def cpu_ns(self):
        return cpu_ns(self.process.pid)

    def stop(self):
        stop(self.process)


# ---- one load ----


class Load:
    """A number of streams on a running provider for a time: what came, and what it took."""

    def __init__(self, running, streams, seconds):
        self.running, self.streams, self.seconds = running, streams, seconds
        ramp = max(2.0, streams / 2000)
        args = ["taskset", "-c", OTHER_CPU, BIN, "bench", "--url", running.url, *running.provider.headers, "--json",
                "--mode", "stream", "-c", streams, "--max-tokens", TOKENS, "--ramp", f"{ramp:g}s", "--duration", f"{seconds}s"]
        client = subprocess.Popen([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(ramp + 0.2)
        before, began, client_before = running.cpu_ns(), time.monotonic(), cpu_ns(client.pid)
        time.sleep(seconds - 0.5)
        lasted_ns = (time.monotonic() - began) * 1e9
        self.cores = (running.cpu_ns() - before) / lasted_ns
        self.client_cores = (cpu_ns(client.pid) - client_before) / lasted_ns
        self.resident = running.resident_bytes() - running.idle_bytes
        out, err = client.communicate()
        self.report = json.loads(out) if out.startswith("{") else None
        self.error = err.strip()

    @property
    def asked(self):
        return self.streams * 1000 / self.running.itl_ms

    @property
    def rate(self):
        return self.report["frames"] / self.report["seconds"] if self.report and self.report["seconds"] else 0.0

    @property
    def p99_ms(self):
        return self.report["itl"]["p99"] / 1e6 if self.rate else 0.0

    @property
    def holds(self):
        return bool(self.rate) and not self.report["failed"] and self.rate >= 0.9 * self.asked and self.p99_ms <= 2 * self.running.itl_ms

    @property
    def kib_per_stream(self):
        return self.resident / 1024 / self.streams


def load(provider, streams, seconds, work, itl_ms=ITL_MS):
    """A fresh provider under one load. Returns the Load and its lateness."""
    running = Running(provider, itl_ms, work)
    try:
        done = Load(running, streams, seconds)
        late = provider.lateness_ms(running.port)
    finally:
        running.stop()
    return done, late or provider.last_lateness_ms(running.log)


# ---- what is measured ----


def climb(provider, options):
    """Up the ladder until two steps in a row are not held. The best step that is, the highest rate seen, and the most
    streams of which 99 of 100 tokens left within a millisecond of their time."""
    held, most, punctual, misses = None, 0.0, 0, 0
    for streams in [n for n in (QUICK_LADDER if options.quick else LADDER) if n <= options.files - SPARE_FILES]:
        try:
            step, late = load(provider, streams, 3 if options.quick else 5, options.work)
        except RuntimeError as e:
            print(f"  {provider.name}: {streams}: {e}", flush=True)
            break
        print(f"  {provider.name}: {streams} streams: {step.rate:,.0f} of {step.asked:,.0f} tokens/s, ITL p99 {step.p99_ms:.1f} ms,"
              f" {step.cores:.2f} + {step.client_cores:.2f} cores{f', late p99 {late[1]:.3f} ms' if late else ''}{'' if step.holds else ': not held'}", flush=True)
        most = max(most, step.rate)
        punctual = streams if late and late[1] < 1 else punctual
        held, misses = (step, 0) if step.holds else (held, misses + 1)
        if misses == 2:
            break
    return held, most, punctual


def what_is_held(providers, options):
    climbed = {p.name: climb(p, options) for p in providers}
    aimock = next((climbed[n] for n in climbed if n.startswith("aimock")), (None, 0.0, 0))
    t = Table(
        f"The mock: streams at {ITL_MS} ms a token that one core holds",
        f"The highest step of {', '.join(f'{n:,}' for n in (QUICK_LADDER if options.quick else LADDER))} streams at which tokens/s are at least 90 % of what was "
        "asked for and the 99th percentile between two tokens, at the client, is at most two intervals. 'Most' is the highest rate of any step, held or not. Late is written minus due, by the provider's own account. "
        f"Answers have {TOKENS:,} tokens, a frame each. Resident is the proportional set size less the idle one. null: the same bytes sent on the same "
        "schedule without parsing or encoding, the kernel's own price. aimock makes all frames of an answer before the first leaves: its memory grows "
        "with the answer's length.",
        "provider", "streams held", "tokens/s", "× aimock", "most tokens/s", "× aimock", "CPU µs/token", "resident KiB/stream", "of aimock's", "late p99 < 1 ms up to",
    )
    for name, (held, most, punctual) in climbed.items():
        if not held:
            t.add(name, "none", "", "", int(most), ratio(most, aimock[1]), "", "", "", "")
            continue
        theirs = aimock[0].kib_per_stream if aimock[0] else 0
        t.add(name, held.streams, int(held.rate), ratio(held.rate, aimock[0].rate if aimock[0] else 0), int(most), ratio(most, aimock[1]),
              held.cores * 1e6 / held.rate, held.kib_per_stream, f"1/{theirs / held.kib_per_stream:,.0f}" if theirs and held.kib_per_stream > 0 else "n/a", f"{punctual:,} streams" if punctual else "n/a")
    return t, {name: held for name, (held, _, _) in climbed.items()}


def long_runs(providers, held, options):
    seconds = 5 if options.quick else 60
    most = min(1000 if options.quick else MOST, options.files - SPARE_FILES)
    loads = [(p, held[p.name].streams, ITL_MS) for p in providers if held[p.name]]
    penstock = [p for p in providers if isinstance(p, Penstock)]
    loads += [(p, most, itl) for p in penstock[:1] for itl in (100, 50, ITL_MS)]
    loads += [(PenstockUnix(), most, itl) for _ in penstock[:1] for itl in (50, ITL_MS)]
    loads += [(p, most, ITL_MS) for p in providers if isinstance(p, Null)]
    t = Table(
        f"The mock: paced streams for {seconds} s",
        "Each at the number of streams that it holds, and Penstock's with the most. Late is written minus due of each token, by the "
        "provider's own account, of the whole run with its start; a token that waits for a slow client is not counted. CPU is of one core each.",
        "provider", "streams", "ITL ms", "tokens/s", "of asked", "ITL p50 ms", "ITL p99 ms", "late p50 ms", "late p99 ms", "late max ms", "cores", "client's", "resident KiB/stream",
    )
    for provider, streams, itl_ms in loads:
        done, late = load(provider, streams, seconds, options.work, itl_ms)
        itl = done.report["itl"] if done.rate else {"p50": 0, "p99": 0}
        print(f"  {provider.name}: {streams} streams at {itl_ms} ms: {done.rate:,.0f} of {done.asked:,.0f} tokens/s, {done.cores:.2f} +"
              f" {done.client_cores:.2f} cores{f', late p50 {late[0]:.3f} p99 {late[1]:.3f} max {late[2]:.3f} ms' if late else ''}", flush=True)
        t.add(provider.name, streams, itl_ms, int(done.rate), f"{100 * done.rate / done.asked:.1f} %", itl["p50"] / 1e6, itl["p99"] / 1e6,
              *([f"{ms:.3f}" for ms in late] if late else ["n/a"] * 3), done.cores, done.client_cores, done.kib_per_stream)
    return t


def unpaced(providers, options):
    seconds = 2 if options.quick else 5
    t = Table("The mock: unpaced streams", f"64 streams of {TOKENS:,} tokens as fast as they are read. VidaiMock and null have no such mode.",
              "provider", "events/s", "× aimock", "CPU µs/event", "events per read")
    rows = []
    for provider in [p for p in providers if p.streams_unpaced]:
        running = Running(provider, 0, options.work)
        try:
            before = running.cpu_ns()
            r = bench(running.url, *provider.headers, "--mode", "stream", "-c", 64, "--max-tokens", TOKENS, "--duration", f"{seconds}s", check=False)
            cpu = running.cpu_ns() - before
            rows.append((provider.name, r["frames"] / r["seconds"], cpu / r["frames"] / 1e3 if r["frames"] else 0.0, r["frames"] / max(r["reads"], 1)))
        finally:
            running.stop()
    aimock = next((r[1] for r in rows if r[0].startswith("aimock")), 0)
    for name, rate, cpu, per_read in rows:
        t.add(name, int(rate), ratio(rate, aimock), cpu, per_read)
    return t


def machine():
    return [
        f"- the provider, one worker or thread, on one core; the load generator, `penstock bench`, on the other; {FILES:,} descriptors a process",
    ]


def measure(options):
    (BUILD / "null_provider").parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-o", BUILD / "null_provider", ROOT / "bench" / "null_provider.c"], check=True)
    everybody = [Penstock(), Null(), Aimock(), FakeAI(), VidaiMock()]
    providers = install_all([p for p in everybody if p.name.split()[0].lower() in options.mocks.split(",")])
    held_table, held = what_is_held(providers, options)
    yield held_table
    yield long_runs(providers, held, options)
    yield unpaced(providers, options)
