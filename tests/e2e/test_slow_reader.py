# SPDX-License-Identifier: Apache-2.0
"""A client that stops reading stops the reading of its upstream: a thousand of them, in front of
endless streams, cost a fixed amount of memory, here and in the kernel, for as long as they stay."""
import os
import time

import netmem
from harness import DEADLINE_S, chat_body, numbered

CLIENTS = 1000
FLOOD = {"metadata": {"tokens": "1000000000000", "itl": "0"}}
MIB = 1 << 20
# Two samples may differ by this much: what one more ordinary stream costs, and the allocator's habits.
RESIDENT_SLACK = 6 * MIB
KERNEL_SLACK = 8 * MIB
# Kernel memory of one slow client, over all four sockets; without bounds of ours it would be many times this.
KERNEL_PER_CLIENT = MIB // 2
# A sanitizer keeps freed memory aside; that is not what is measured.
SMALL_QUARANTINE = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"}


def normal_stream(gateway, tag):
    """What others do meanwhile: a stream of 2,000 tokens, read to its end."""
    with gateway.connect() as c:
        text = c.chat(chat_body(f"count {tag} to 2000")).read_all().text()
    assert text.endswith(f"{tag}n2000"), "served in full beside the slow ones"


def tokens_written(mock):
    for line in mock.get("/metrics").body.decode().splitlines():
        if line.startswith("penstock_mock_tokens_total "):
            return float(line.split()[1])
    raise AssertionError("the mock has no token counter")


def wait_until_all_are_stopped(gateway, mock):
    """Between two looks an ordinary stream has passed: only its tokens may have been written meanwhile, and what
    was on its way has come to rest."""
    deadline = time.monotonic() + DEADLINE_S
    gateway.wait_metric("penstock_stalls_total", CLIENTS)
    while True:
        before, kernel_before = tokens_written(mock), netmem.kernel_bytes(gateway.port, mock.port)
        normal_stream(gateway, "calm")
        moved = netmem.kernel_bytes(gateway.port, mock.port) - kernel_before
        if tokens_written(mock) - before == 2000 and moved < MIB // 4:
            return
        assert time.monotonic() < deadline, "the upstream is still being read"


def sample(gateway, mock):
    return netmem.resident_bytes(gateway.pid), netmem.kernel_bytes(gateway.port, mock.port)


def open_slow_clients(gateway):
    clients = [gateway.connect(receive_buffer=4096) for _ in range(CLIENTS)]
    for c in clients:
        c.send_request("POST", "/v1/chat/completions", chat_body("go on", **FLOOD))
    return clients


def test_a_thousand_slow_readers(world):
    mock = world.mock()
    gateway = world.gateway_for(mock, env=SMALL_QUARANTINE, log={"level": "error"})
    clients = open_slow_clients(gateway)
    mock.wait_counter("started", CLIENTS)
    wait_until_all_are_stopped(gateway, mock)
    assert gateway.metrics().sum("penstock_streams_open") == CLIENTS

    resident, kernel = sample(gateway, mock)
    for i in range(3):
        normal_stream(gateway, f"again{i}")
    resident_later, kernel_later = sample(gateway, mock)
    print(f"resident {resident / MIB:.1f} MiB, kernel {kernel / MIB:.1f} MiB (sockets of gateway, mock and clients);"
          f" later {resident_later / MIB:.1f} and {kernel_later / MIB:.1f}")
    assert resident_later - resident < RESIDENT_SLACK, "resident memory grows under slow readers"
    assert kernel_later - kernel < KERNEL_SLACK, "kernel memory grows under slow readers"
    assert kernel_later < CLIENTS * KERNEL_PER_CLIENT
    assert mock.counters()["cancelled"] == 0, "slow is not gone"

    # They leave without ever having read again: half in good order, half not.
    for i, c in enumerate(clients):
        if i % 2:
            c.half_close()
        else:
            c.reset()
    mock.wait_counter("cancelled", CLIENTS)
    gateway.wait_metric("penstock_requests_total", CLIENTS, end="client_gone")
    m = gateway.wait_at_rest()
    assert set(m.ends()) == {"client_gone", "ok"}
    assert m.sum("penstock_memory_slab_bytes") == 0
    for c in clients:
        c.close()


def test_a_slow_reader_loses_nothing(world):
    """Stopped, then read on: every byte is there, in order."""
    mock = world.mock()
    gateway = world.gateway_for(mock)
    with gateway.connect(receive_buffer=4096) as c:
        response = c.chat(chat_body("count slow to 20000"))
        gateway.wait_metric("penstock_stalls_total", 1)
        c.widen()
        text = response.read_all().text()
    assert text == numbered("slow", 20000)
    assert gateway.metrics().ends() == {"ok": 1}


def test_write_timeout(world):
    """A client that takes nothing for timeouts.write counts as gone."""
    mock = world.mock()
    gateway = world.gateway_for(mock, timeouts={"write": "300ms"})
    with gateway.connect(receive_buffer=4096) as c:
        c.send_request("POST", "/v1/chat/completions", chat_body("go on", **FLOOD))
        mock.wait_counter("cancelled", 1)
    assert gateway.wait_metric("penstock_requests_total", 1, end="client_gone").ends() == {"client_gone": 1}
