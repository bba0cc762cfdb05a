#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Megabytes a second of tiktoken over files of text, for the comparison with bench_token. Run it with
the Python of build/venv, after `make ranks`:

    build/venv/bin/python bench/micro/bench_tiktoken.py FILE...
"""
import os
import struct
import sys
import time

import tiktoken
from tiktoken_ext import openai_public

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HEAD = struct.Struct("=8sII16sIIIIQ")  # src/token/ranks.h


def load(name):
    with open(f"{ROOT}/build/share/penstock/{name}.ranks", "rb") as file:
        data = file.read()
    n_tokens, n_slots = HEAD.unpack_from(data)[4:6]
    offsets = struct.unpack_from(f"={n_tokens + 1}I", data, HEAD.size)
    tokens = data[HEAD.size + 4 * (n_tokens + 1 + n_slots):]
    openai_public.load_tiktoken_bpe = lambda *_, **__: {
        tokens[offsets[i]:offsets[i + 1]]: i for i in range(n_tokens)}
    return tiktoken.Encoding(**getattr(openai_public, name)())


def main():
    for name in ("o200k_base", "cl100k_base"):
        encoding = load(name)
        for path in sys.argv[1:]:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
            best = min(timed(encoding, text) for _ in range(3))
            size = len(text.encode())
            print(f"{os.path.basename(path):24.24} {name:12} {size:9} bytes {size / best / 1e6:8.1f} MB/s")


def timed(encoding, text):
    start = time.perf_counter()
    encoding.encode_ordinary(text)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
