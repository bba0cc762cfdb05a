# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: processes on cores of their own, what they use, and tables."""
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(os.environ.get("PENSTOCK_BIN", ROOT / "build" / "penstock"))
BUILD = ROOT / "build" / "bench"
CPUS = sorted(os.sched_getaffinity(0))
PROXY_CPU = CPUS[0]
OTHER_CPU = CPUS[-1]


# ---- processes ----


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port, process, log, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[3]} ended with {process.returncode}: {Path(log).read_text()}")
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"{process.args[0]} does not listen on {port}")


def raise_files():
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for want in (65536, hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(want, hard), max(want, hard)))
            break
        except (ValueError, OSError):
            continue
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


FILES = raise_files()


def spawn(args, cpu, env=None, log=None):
    out = open(log, "ab") if log else subprocess.DEVNULL
    return subprocess.Popen(
        ["taskset", "-c", str(cpu)] + [str(a) for a in args],
        stdout=out,
        stderr=out,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(env or {})},
    )


def stop(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def tree(pid):
    pids = [pid]
    for p in pids:
        try:
            for task in os.listdir(f"/proc/{p}/task"):
                children = Path(f"/proc/{p}/task/{task}/children").read_text().split()
                pids += [int(c) for c in children]
        except FileNotFoundError:
            pass
    return pids


def cpu_ns(pid):
    """On-CPU time of all threads of a process tree, in ns."""
    total = 0
    for p in tree(pid):
        try:
            for task in os.listdir(f"/proc/{p}/task"):
                total += int(Path(f"/proc/{p}/task/{task}/schedstat").read_text().split()[0])
        except FileNotFoundError:
            pass
    return total


def resident_bytes(pid):
    total = 0
    for p in tree(pid):
        try:
            text = Path(f"/proc/{p}/smaps_rollup").read_text()
        except (FileNotFoundError, PermissionError):
            continue
        total += int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1]) * 1024
    return total


def tcp_memory_bytes():
    text = Path("/proc/net/sockstat").read_text()
    return int(re.search(r"TCP:.* mem (\d+)", text)[1]) * os.sysconf("SC_PAGESIZE")


# ---- the mock ----


class Mock:
    def __init__(self, work, *flags):
        self.port = free_port()
        self.process = spawn(
            [BIN, "mock", "--listen", f"127.0.0.1:{self.port}", *flags], OTHER_CPU, log=work / "mock.log"
        )
        wait_port(self.port, self.process, work / "mock.log")

    def stop(self):
        stop(self.process)


# ---- the load generator ----


def bench(url, *flags, check=True):
    """Runs the load generator to its end; its report as a dictionary."""
    args = ["taskset", "-c", str(OTHER_CPU), str(BIN), "bench", "--url", url, "--json", "--insecure"]
    done = subprocess.run(args + [str(f) for f in flags], capture_output=True, text=True)
    if check and done.returncode != 0:
        raise RuntimeError(f"bench {' '.join(map(str, flags))}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return json.loads(done.stdout)


# ---- tables ----


class Table:
    """Prints as aligned Markdown."""

    def __init__(self, title, note, *columns):
        self.title, self.note, self.columns, self.rows = title, note, columns, []

    def add(self, *cells):
        self.rows.append([c if isinstance(c, str) else f"{c:,.4g}" if isinstance(c, float) else f"{c:,}" for c in cells])

    def text(self):
        table = [list(self.columns)] + self.rows
        widths = [max(len(r[i]) for r in table) for i in range(len(self.columns))]
        line = lambda r: "| " + " | ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths))) + " |"
        rule = "|" + "|".join("-" * (w + 1) + ("-" if i == 0 else ":") for i, w in enumerate(widths)) + "|"
        return "\n".join([f"### {self.title}", "", self.note, "", line(table[0]), rule] + [line(r) for r in self.rows]) + "\n"


def median(values):
    return statistics.median(values)


def ratio(mine, other):
    return f"{mine / other:.2f}" if other else "n/a"
