# SPDX-License-Identifier: Apache-2.0
"""GET /metrics: well-formed, complete, and equal to what really went through."""
import json
import os
import re

import pytest

import harness
import sdk
from harness import chat_body
from raw import completion_of, stream_of


def documented_metrics():
    """{name: type} of the table of metrics in the documents; every other `penstock_…` word must be one of them."""
    names = {}
    folder = os.path.join(harness.ROOT, "docs")
    for name in sorted(n for n in os.listdir(folder) if n.endswith(".md")):
        with open(os.path.join(folder, name), encoding="utf-8") as f:
            for line in f:
                if match := re.match(r"\| `(penstock_[a-z_]+)` \| (counter|gauge|histogram) \|", line):
                    names[match.group(1)] = match.group(2)
    return names


def mentioned_metrics():
    with open(os.path.join(harness.ROOT, "docs", "serve.md"), encoding="utf-8") as f:
        return set(re.findall(r"\bpenstock_[a-z_]+", f.read()))


@pytest.mark.smoke
def test_the_format(stack):
    r = stack.gateway.get("/metrics")
    assert r.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    m = harness.Metrics(r.body.decode())
    assert set(m.types) == set(m.helps)
    seen = set()
    for name, labels, value in m.samples:
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        base = base if base in m.types else name
        kind = m.types[base]
        assert (name == base) == (kind != "histogram"), name
        assert kind != "counter" or name.endswith("_total"), name
        assert value >= 0, name
        key = (name, tuple(sorted(labels.items())))
        assert key not in seen, f"the same series twice: {key}"
        seen.add(key)


def test_histograms_add_up(stack):
    with stack.gateway.connect() as c:
        for i in range(5):
            c.chat(chat_body("count h to 20", stream=bool(i % 2))).read_all()
    m = stack.gateway.metrics()
    for name in [name for name, kind in m.types.items() if kind == "histogram"]:
        series = {}
        for labels, value in m.select(name + "_bucket"):
            bound = labels.pop("le")
            series.setdefault(tuple(sorted(labels.items())), []).append((float(bound), value))
        assert series, name
        for labels, buckets in series.items():
            bounds, counts = zip(*buckets)
            assert list(bounds) == sorted(bounds) and bounds[-1] == float("inf")
            assert list(counts) == sorted(counts), "buckets are cumulative"
            assert m.select(name + "_count", **dict(labels))[0][1] == counts[-1]


def test_every_documented_metric_is_there(stack):
    m = stack.gateway.metrics()
    missing = mentioned_metrics() - set(m.types) - {"penstock_mock"}
    assert not missing, f"docs/serve.md speaks of metrics that do not exist: {missing}"
    for name, kind in documented_metrics().items():
        assert m.types.get(name) == kind, name
    for name in ("penstock_requests_total", "penstock_streams_open", "penstock_ttft_seconds", "penstock_itl_seconds",
                 "penstock_request_duration_seconds", "penstock_tokens_total", "penstock_upstream_connections",
                 "penstock_loop_turn_seconds", "penstock_open_files", "penstock_resident_memory_bytes"):
        assert m.select(name) or m.select(name + "_count"), f"{name} has no sample"


def test_tokens_equal_the_usage_that_clients_see(stack):
    sent = {"input": 0, "output": 0, "reasoning": 0}
    with sdk.client(stack) as client:
        for i in range(12):
            request = sdk.ask(f"count t to {10 + i}", **({"reasoning_effort": "low"} if i % 3 == 0 else {}))
            if i % 2:
                usage = client.chat.completions.create(**request).usage
            else:
                chunks = client.chat.completions.create(**request, stream=True,
                                                        stream_options={"include_usage": True})
                usage = sdk.collect(chunks).usage
            sent["input"] += usage.prompt_tokens
            sent["output"] += usage.completion_tokens
            sent["reasoning"] += usage.completion_tokens_details.reasoning_tokens
    m = stack.gateway.metrics()
    for kind, count in sent.items():
        assert m.sum("penstock_tokens_total", kind=kind) == count, kind
    assert m.sum("penstock_usage_total", source="reported") == 12
    assert m.sum("penstock_usage_total", source="missing") == 0


def test_tokens_of_clients_that_did_not_ask(stack):
    """Metered all the same, because the gateway asks."""
    with stack.gateway.connect() as c:
        body = c.chat(chat_body("count t to 33")).read_all()
    assert b"usage" not in body.body
    assert stack.gateway.metrics().sum("penstock_tokens_total", kind="output") == 33


def test_missing_usage_is_counted_and_never_guessed(world, upstream):
    answers = [stream_of("a", "b"), None]

    def script(connection):
        while request := connection.read_request():
            if request.json().get("stream"):
                connection.send_stream(answers[0])
            else:
                connection.send_json(completion_of(usage=None))

    gateway = world.gateway_for(upstream(script).base_url)
    with gateway.connect() as c:
        for stream in (True, False):
            assert c.chat(chat_body("hi", stream=stream)).read_all().status == 200
    m = gateway.metrics()
    assert m.sum("penstock_usage_total", source="missing") == 2
    assert m.sum("penstock_tokens_total") == 0


def test_times_are_counted_per_frame(stack):
    """One time to first token a stream; one latency less than its content frames; none for whole answers."""
    with stack.gateway.connect() as c:
        for _ in range(3):
            c.chat(chat_body("count t to 10")).read_all()
        c.chat(chat_body("count t to 10", stream=False)).read_all()
    m = stack.gateway.metrics()
    assert m.sum("penstock_ttft_seconds_count") == 3
    assert m.sum("penstock_itl_seconds_count") == 3 * 9
    assert m.sum("penstock_request_duration_seconds_count", stream="true") == 3
    assert m.sum("penstock_request_duration_seconds_count", stream="false") == 1


def test_every_end_is_counted_once(stack):
    wanted = {}
    cases = [("mock-1", True, "ok"), ("mock-1", False, "ok"), ("no-such", True, "client_error"),
             ("fault/400", False, "upstream_status"), ("fault/500", True, "upstream_status"),
             ("fault/401", True, "upstream_auth"), ("fault/cut", True, "upstream_cut"),
             ("fault/error-event", True, "upstream_error_event"), ("fault/no-done", True, "ok")]
    with stack.gateway.connect() as c:
        for model, stream, end in cases:
            c.chat(chat_body("count e to 9", model, stream=stream)).read_all()
            wanted[end] = wanted.get(end, 0) + 1
        c.send_request("POST", "/v1/chat/completions", b"{nonsense")
        c.read_response().read_all()
        wanted["client_error"] += 1
    m = stack.gateway.wait_at_rest()
    assert m.ends() == wanted
    assert m.sum("penstock_upstream_connections", state="active") == 0


def test_clients_cannot_make_new_series(stack):
    """Labels come from the configuration and from closed sets."""
    before = len(stack.gateway.metrics().samples)
    with stack.gateway.connect() as c:
        for i in range(50):
            c.chat(chat_body("hi", f"junk-{i}\"\n{{}}", user=f"user-{i}")).read_all()
            c.send_request("GET", f"/junk/{i}")
            c.read_response().read_all()
    after = stack.gateway.metrics()
    assert len(after.samples) == before
    assert "junk" not in stack.gateway.metrics_text()
    assert after.ends() == {"client_error": 100}


def test_metrics_can_be_turned_off(world):
    gateway = world.gateway_for(world.mock(), metrics=False)
    assert gateway.get("/metrics").status == 404
    assert gateway.get("/health").status == 200


def test_one_log_line_a_request(stack):
    with stack.gateway.connect() as c:
        response = c.chat(chat_body("count l to 7"), [("X-Request-Id", "log-me")]).read_all()
        assert response.header("x-request-id") == "log-me"
        c.chat(chat_body("forge\n{\"level\":\"error\"}", "evil\nmodel\x1b[31m")).read_all()
    stack.gateway.wait_for(r"client_error")
    lines = [json.loads(line) for line in stack.gateway.stderr.splitlines()]
    [line] = [x for x in lines if x.get("id") == "log-me"]
    assert (line["model"], line["provider"], line["status"], line["end"]) == ("mock-1", "up", 200, "ok")
    assert line["stream"] is True and line["tokens_out"] == 7
    assert "count l" not in stack.gateway.stderr, "no prompt, no answer"
    assert "\x1b" not in stack.gateway.stderr


def test_health_and_ready(stack):
    for path in ("/health", "/healthz", "/ready"):
        r = stack.gateway.get(path)
        assert r.status == 200 and r.header("content-type") == "application/json"
        assert r.json()["status"] in ("ok", "ready")
