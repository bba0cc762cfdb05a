# SPDX-License-Identifier: Apache-2.0
"""Starts the real program, and watches it: where it listens, what it prints, how it ends.

Nothing here sleeps for an event. What can be waited for is waited for with a deadline that only a
broken program reaches: a line of output, a counter of the mock (`/penstock/wait`), the end of a
process. Polling happens only where the program offers nothing to wait for (`/metrics`).
"""
import json
import os
import re
import secrets as random_text
import signal
import subprocess
import threading
import time

import raw

BIN = os.environ.get("PENSTOCK_BIN", "")
ROOT = os.environ.get("PENSTOCK_SOURCE_ROOT") or os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEADLINE_S = 30  # reached only by what never happens

SANITIZER_WORDS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:",
                   "MemorySanitizer")
ENVIRONMENT_PASSED = ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS", "PATH",
                      "PENSTOCK_DATA_DIR")


class Secrets:
    """Keys that must be seen nowhere but in the requests that carry them."""

    def __init__(self):
        self.known = []
        self.leaks = []

    def new(self, label):
        key = f"sk-canary-{label}-{random_text.token_hex(12)}"
        self.known.append(key)
        return key

    def check(self, where, text):
        if isinstance(text, bytes):
            text = text.decode("utf-8", "replace")
        for key in self.known:
            # Also without the part that is the same for all, in case something cuts prefixes off.
            if key in text or key.rsplit("-", 1)[1] in text:
                at = text.find(key.rsplit("-", 1)[1])
                self.leaks.append(f"{where}: …{text[max(0, at - 80):at + 40]}…")


    def assert_kept(self):
        leaks, self.leaks = self.leaks, []
        assert not leaks, "a key was seen:\n" + "\n".join(leaks)


SECRETS = Secrets()
raw.on_answer = lambda body: SECRETS.check("an answer", body[:1 << 20])


def clean_environment(extra=None):
    """What a program started by a test sees of the world: nothing of the machine's own keys."""
    env = {name: os.environ[name] for name in ENVIRONMENT_PASSED if name in os.environ}
    env["LANG"] = "C.UTF-8"
    env["PENSTOCK_DUMPABLE"] = "1"  # the leak checker traces its own process
    env.update(extra or {})
    return env


class Program:
    """One run of the binary. stdout and stderr are read as they come; `wait_for` waits for a pattern."""

    def __init__(self, args, cwd, env=None, name=None, stdin=subprocess.DEVNULL):
        self.name = name or args[0]
        self.args = [BIN, *map(str, args)]
        self.stdout, self.stderr = "", ""
        self.changed = threading.Condition()
        self.expected_exit = 0
        self.is_killed = False
        self.process = subprocess.Popen(self.args, cwd=cwd, env=clean_environment(env), stdin=stdin,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.readers = [threading.Thread(target=self._read, args=(stream, field), daemon=True)
                        for stream, field in ((self.process.stdout, "stdout"),
                                              (self.process.stderr, "stderr"))]
        for reader in self.readers:
            reader.start()

    def _read(self, stream, field):
        while chunk := os.read(stream.fileno(), 65536):
            with self.changed:
                setattr(self, field, getattr(self, field) + chunk.decode("utf-8", "replace"))
                self.changed.notify_all()
        with self.changed:
            self.changed.notify_all()

    @property
    def pid(self):
        return self.process.pid

    @property
    def output(self):
        return self.stdout + self.stderr

    def describe(self):
        return f"{' '.join(self.args)}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr[-8000:]}"

    def wait_for(self, pattern, timeout=DEADLINE_S):
        """The match of a pattern in what has been printed, now or later."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while True:
                match = re.search(pattern, self.stdout) or re.search(pattern, self.stderr)
                if match:
                    return match
                left = deadline - time.monotonic()
                is_over = self.process.poll() is not None and not any(r.is_alive() for r in self.readers)
                assert left > 0 and not is_over, f"never printed /{pattern}/: {self.describe()}"
                self.changed.wait(min(left, 0.5))  # looks again whether the process lives

    def signal(self, signo):
        self.process.send_signal(signo)

    def kill(self):
        """As the kernel's OOM killer would: no chance to say goodbye."""
        self.is_killed = True
        self.process.kill()
        self.wait()

    def wait(self, timeout=DEADLINE_S):
        code = self.process.wait(timeout)
        for reader in self.readers:
            reader.join(timeout)
        return code

    def stop(self):
        """Ends it and checks how it ended. Raises AssertionError."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.wait()
            raise AssertionError(f"did not end within {DEADLINE_S} s of SIGTERM: {self.describe()}") from None
        SECRETS.check(f"output of {self.name}", self.output)
        for word in SANITIZER_WORDS:
            assert word not in self.output, f"sanitizer: {self.describe()}"
        if not self.is_killed:
            assert code == self.expected_exit, f"exit code {code}, not {self.expected_exit}: {self.describe()}"


class Server(Program):
    """A program that listens, known by its first URL."""

    URL = r"(https?://[\w.\[\]:-]+:\d+|http\+unix://[^\s/]+)"

    def __init__(self, args, cwd, env=None, name=None, banner=URL, tls_ca=None):
        super().__init__(args, cwd, env, name)
        self.tls_ca = tls_ca
        self.url = self.wait_for(banner).group(1).rstrip("/")
        self.base_url = self.url + "/v1"
        self.port = int(self.url.rsplit(":", 1)[1]) if not self.url.startswith("http+unix") else None

    def connect(self, **options):
        return raw.Connection("127.0.0.1", self.port, ca_file=self.tls_ca, **options)

    def get(self, path, **options):
        """One request on a connection of its own: a whole response."""
        return self.request("GET", path, **options)

    def request(self, method, path, body=b"", headers=(), **options):
        with self.connect(**options) as c:
            c.send_request(method, path, body, headers)
            return c.read_response().read_all()


class Mock(Server):
    BANNER = r"answers on " + Server.URL

    def __init__(self, args, cwd, env=None, **options):
        super().__init__(["mock", *args], cwd, env, "mock", banner=self.BANNER, **options)

    def wait_counter(self, name, at_least):
        """Returns the counters when `name` has got there; fails when it does not within the deadline."""
        r = self.get(f"/penstock/wait?{name}={at_least}&timeout_ms={DEADLINE_S * 1000}",
                     timeout=DEADLINE_S + 10)
        assert r.status == 200, f"{name} did not reach {at_least}: {r.body!r}"
        return json.loads(r.body)

    def counters(self):
        return json.loads(self.get("/penstock/wait?requests=0").body)

    def journal(self):
        return json.loads(self.get("/penstock/journal").body)["entries"]

    def step(self, key, n=1, timeout_ms=DEADLINE_S * 1000):
        """Releases tokens of a stepped stream; returns when they have been written."""
        r = self.request("POST", f"/penstock/step?key={key}&n={n}&timeout_ms={timeout_ms}",
                         timeout=timeout_ms / 1000 + 10)
        assert r.status == 200, f"step {key}: {r.status} {r.body!r}"
        return json.loads(r.body)


class Gateway(Server):
    BANNER = r"listening on " + Server.URL

    def __init__(self, args, cwd, env=None, **options):
        super().__init__(["serve", *args], cwd, env, "serve", banner=self.BANNER, **options)

    def metrics_text(self):
        r = self.get("/metrics")
        assert r.status == 200, r.body
        text = r.body.decode()
        SECRETS.check("metrics", text)
        return text

    def metrics(self):
        return Metrics(self.metrics_text())

    def wait_metrics(self, condition, what):
        """For figures that nothing else tells of: asks until they are as wanted. Returns them."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition(m := self.metrics()):
            assert time.monotonic() < deadline, f"never {what}: {m.ends()}"
            time.sleep(0.02)
        return m

    def wait_metric(self, name, at_least, **labels):
        return self.wait_metrics(lambda m: m.sum(name, **labels) >= at_least, f"{name}{labels} >= {at_least}")

    def wait_at_rest(self):
        """Nothing is under way any more."""
        return self.wait_metrics(lambda m: m.sum("penstock_streams_open") == m.sum("penstock_requests_open") == 0,
                                 "at rest")

    def wait_idle_upstream(self, n=1):
        """A stream's client has its end before its upstream connection is free for the next request."""
        self.wait_metric("penstock_upstream_connections", n, state="idle")

    def stop(self):
        if self.process.poll() is None and not self.is_killed:
            try:
                self.metrics_text()
            except (AssertionError, OSError):
                pass  # draining, or metrics are off in this test
        super().stop()


class Metrics:
    """Prometheus' text format, parsed strictly."""

    LINE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?[0-9.eE+-]+|[+-]Inf|NaN)$')
    LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')

    def __init__(self, text):
        self.types, self.helps, self.samples = {}, {}, []
        assert text.endswith("\n")
        for line in text.splitlines():
            if line.startswith("# HELP "):
                _, _, name, words = line.split(" ", 3)
                assert name not in self.helps, f"HELP twice: {name}"
                self.helps[name] = words
            elif line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ", 3)
                assert name not in self.types, f"TYPE twice: {name}"
                assert kind in ("counter", "gauge", "histogram", "summary", "untyped"), line
                self.types[name] = kind
            elif line and not line.startswith("#"):
                self.samples.append(self._sample(line))

    def _sample(self, line):
        match = self.LINE.match(line)
        assert match, f"not a sample: {line!r}"
        labels, rest = {}, match.group(2) or ""
        while rest:
            label = self.LABEL.match(rest)
            assert label, f"bad labels: {line!r}"
            assert label.group(1) not in labels, f"label twice: {line!r}"
            labels[label.group(1)] = label.group(2)
            rest = rest[label.end():]
        return match.group(1), labels, float(match.group(3))

    def select(self, name, **labels):
        return [(have, value) for metric, have, value in self.samples
                if metric == name and all(have.get(k) == v for k, v in labels.items())]

    def sum(self, name, **labels):
        return sum(value for _, value in self.select(name, **labels))

    def ends(self):
        """How requests ended: {end: count}, those that happened."""
        result = {}
        for labels, value in self.select("penstock_requests_total"):
            if value:
                result[labels["end"]] = result.get(labels["end"], 0) + int(value)
        return result


class World:
    """What one test (or one module) has started. Stopped in reverse order; the checks happen then."""

    def __init__(self, folder):
        self.folder = folder
        self.running = []
        self.n_files = 0

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def mock(self, *args, listen="127.0.0.1:0", ttft="0", itl="0", tokenizer="pieces", env=None, **options):
        """Counts word pieces unless it is told another tokenizer: a word of `count TAG to N` is a token then,
        whether or not the tokenizers' data are there."""
        self.running.append(Mock(["--tokenizer", tokenizer, "--listen", listen, "--ttft", ttft, "--itl", itl, *args],
                                 self.folder, env, **options))
        return self.running[-1]

    def config_for(self, mock, models=("mock-*", "fault/*", "gpt-*"), provider=None, **settings):
        """A config with one provider; JSON is YAML. `mock` may be a URL."""
        url = mock if isinstance(mock, str) else mock.base_url
        up = {"dialect": "chat", "base_url": url, "api_key": SECRETS.new("upstream")}
        config = {
            "listen": "127.0.0.1:0",
            "workers": 2,
            "drain_timeout": "10s",
            "log": {"level": "debug", "format": "json", "requests": "all"},
            "providers": {"up": {**up, **(provider or {})}},
            "models": [{"name": name, "targets": [{"provider": "up"}]} for name in models],
        }
        config.update(settings)
        return {key: value for key, value in config.items() if value is not None}

    def write_config(self, config):
        self.n_files += 1
        return self.write(f"penstock-{self.n_files}.yaml", json.dumps(config, indent=2))

    def gateway(self, config, *args, env=None, **options):
        if not isinstance(config, str):
            config = self.write_config(config)
        self.running.append(Gateway(["--config", config, *args], self.folder, env, **options))
        return self.running[-1]

    def gateway_for(self, mock, *args, env=None, **settings):
        return self.gateway(self.config_for(mock, **settings), *args, env=env)

    def serve(self, *args, env=None, cwd=None, **options):
        """`penstock serve` without a config of ours."""
        self.running.append(Gateway(args, cwd or self.folder, env, **options))
        return self.running[-1]

    def run(self, *args, env=None, cwd=None, stdin="", timeout=DEADLINE_S):
        """A command that ends by itself. The output is checked for keys."""
        done = subprocess.run([BIN, *map(str, args)], cwd=cwd or self.folder, input=stdin,
                              env=clean_environment(env), capture_output=True, text=True, timeout=timeout)
        SECRETS.check(f"penstock {args[0] if args else ''}", done.stdout + done.stderr)
        for word in SANITIZER_WORDS:
            assert word not in done.stderr, done.stderr
        return done

    def stop(self):
        problems = []
        while self.running:
            try:
                self.running.pop().stop()
            except AssertionError as problem:
                problems.append(str(problem))
        assert not problems, "\n".join(problems)
        SECRETS.assert_kept()


class Stack:
    """A mock and a gateway in front of it."""

    def __init__(self, world, mock, gateway):
        self.world, self.mock, self.gateway = world, mock, gateway
        self.key = SECRETS.new("client")

    @property
    def base_url(self):
        return self.gateway.base_url


def chat_body(prompt, model="mock-1", stream=True, **more):
    return {"model": model, "stream": stream, "messages": [{"role": "user", "content": prompt}], **more}


def numbered(tag, n):
    """What the mock says to `count TAG to N`."""
    return " ".join(f"{tag}n{i}" for i in range(1, n + 1))
