# SPDX-License-Identifier: Apache-2.0
"""The mock's tokens beside tiktoken's: thousands of strings, both encodings, and what clients see of
them. tiktoken gets the tokens from the files that the program maps, so nothing is downloaded; that
these are the published ones, their digests tell."""
import base64
import hashlib
import json
import os
import pathlib
import random
import re
import struct

import pytest
import tiktoken
from tiktoken_ext import openai_public

from harness import chat_body

DATA = pathlib.Path(os.environ.get("PENSTOCK_DATA_DIR") or
                    pathlib.Path(os.environ["PENSTOCK_SOURCE_ROOT"], "build/share/penstock"))
ENCODINGS = ["o200k_base", "cl100k_base"]


def read_ranks(name):
    """{token: rank} of a .ranks file (src/token/ranks.h)."""
    file = (DATA / f"{name}.ranks").read_bytes()
    head = struct.Struct("=8sII16sIIIIQ")
    magic, _, _, told, n_tokens, n_slots, n_bytes, _, _ = head.unpack_from(file)
    assert magic == b"PNSTRANK" and told.rstrip(b"\0").decode() == name
    offsets = struct.unpack_from(f"={n_tokens + 1}I", file, head.size)
    tokens = file[head.size + 4 * (n_tokens + 1 + n_slots):]
    assert len(tokens) == n_bytes
    return {tokens[offsets[i]:offsets[i + 1]]: i for i in range(n_tokens)}


@pytest.fixture(scope="module")
def reference():
    """tiktoken's own encodings, patterns and all."""
    made, download = {}, openai_public.load_tiktoken_bpe
    try:
        for name in ENCODINGS:
            ranks, digests = read_ranks(name), []

            def load(_url, expected_hash):
                digests.append(expected_hash)
                return ranks

            openai_public.load_tiktoken_bpe = load
            made[name] = tiktoken.Encoding(**getattr(openai_public, name)())
            lines = b"".join(b"%s %d\n" % (base64.b64encode(token), i) for token, i in ranks.items())
            assert [hashlib.sha256(lines).hexdigest()] == digests
    finally:
        openai_public.load_tiktoken_bpe = download
    return made


@pytest.fixture(scope="module")
def mock(module_world):
    return module_world.mock(tokenizer="auto")


class Asker:
    """Many questions on one connection."""

    def __init__(self, server):
        self.connection = server.connect()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def post(self, path, status=200, **body):
        self.connection.send_request("POST", path, body)
        response = self.connection.read_response().read_all()
        assert response.status == status, response.body
        return json.loads(response.body)


POOLS = [
    "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789",
    "  \t\n\r\u00a0\u2003\u3000\x85\x0b\u2028", "'sStTrReEvVmMlLdD\u017f\u2019",
    "!?.,;:/\\-_()[]{}<>\"#$%&*+=@^~`|", "\u00e9\u00e8\u00fc\u00f1\u00e7\u00df\u00c0\u00c9\u00dc",
    "\u0430\u0431\u0432\u0433\u0410\u0411\u0412\u0413", "\u4e2d\u6587\u6f22\u5b57\u306e\u30ab\u30bf",
    "\ud55c\uad6d\uc5b4", "\u0627\u0644\u0639\u0631\u0628", "\u0939\u093f\u0928\u094d\u0926\u0940",
    "\U0001f600\U0001f44d\U0001f3fd\u200d\U0001f468\u2764\ufe0f\U0001f1e9", "\u0301\u0300\u20dd",
    "\u02b0\u01c5\u2163\u00bd\u00b2\u0663", "\ufeff\u200b\u00ad\ufffd", "\U0001d400\U00010400\U00010428",
]
WORDS = ("the quick brown Fox it's IT'S don't WE'RE they'll I'd hello world def foo(x): return // "
         "http://a.example/b?c=1 CamelCaseWord snake_case XMLHttpRequest 12345 3.14159 1,000,000 "
         "<div class=\"x\"> {\"key\": [1,2,null]} na\u00efve Stra\u00dfe 's 'Re 'LL <|endoftext|>").split()


def random_text(r):
    kind, n = r.random(), int(r.expovariate(1 / 30)) + 1
    if kind < .35:
        return "".join(r.choice(r.choice(POOLS)) for _ in range(n))
    if kind < .55:
        two = r.sample(POOLS, 2)
        return "".join(r.choice(r.choice(two)) for _ in range(n))
    if kind < .7:
        return r.choice([" ", "  ", "\n", " \n", ""]).join(r.choice(WORDS) for _ in range(n))
    if kind < .8:
        return "".join(r.choice(r.choice(POOLS)) * r.randint(1, 60) for _ in range(n // 4 + 1))
    if kind < .9:
        codes = (r.randrange(r.choice([0x3000, 0x110000])) for _ in range(n))
        return "".join(chr(code) for code in codes if not 0xd800 <= code < 0xe000)
    return "".join(r.choice("ab'sA \n/!") for _ in range(n))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_thousands_of_strings(mock, reference, encoding):
    r = random.Random(20240806)
    with Asker(mock) as ask:
        for _ in range(2500):
            text = random_text(r)
            got = ask.post("/penstock/tokenize", encoding=encoding, text=text)
            wanted = reference[encoding].encode_ordinary(text)
            assert got["tokens"] == wanted, repr(text)
            assert got["exact"] and got["count"] == len(wanted) and got["encoding"] == encoding
            back = [reference[encoding].decode([token]) for token in wanted]
            assert got["strings"] == back or "\ufffd" in "".join(back)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_projects_own_texts(mock, reference, encoding):
    root = pathlib.Path(os.environ["PENSTOCK_SOURCE_ROOT"])
    with Asker(mock) as ask:
        for path in [*sorted(root.glob("*.md")), *sorted(root.glob("src/token/*.[ch]"))]:
            text = path.read_text(encoding="utf-8")[:500000]
            got = ask.post("/tokenize", encoding=encoding, prompt=text)
            assert got["tokens"] == reference[encoding].encode_ordinary(text), path
            assert ask.post("/v1/detokenize", encoding=encoding, tokens=got["tokens"])["prompt"] == text


def test_models_have_their_encodings(mock):
    with Asker(mock) as ask:
        for model in ["gpt-4o", "gpt-4", "gpt-4.1-mini", "gpt-3.5-turbo-0125", "o1-mini", "gpt-5",
                      "text-embedding-3-small", "ft:gpt-4o-mini:org::id", "ft:gpt-4:org::id"]:
            got = ask.post("/tokenize", model=model, input="x")
            wanted = tiktoken.encoding_name_for_model(model)
            assert got["encoding"] == wanted, model


def test_usage_is_of_these_tokens(mock, reference):
    """What a client is billed for an answer is what tiktoken counts in it, and max_tokens cuts there."""
    for encoding, model in zip(ENCODINGS, ["gpt-4o", "gpt-4"]):
        for limit in (None, 7):
            body = chat_body("Tell me about the weather in the mountains.", model=model, stream=False)
            body.update({"max_tokens": limit} if limit else {})
            with mock.connect() as c:
                answer = json.loads(c.chat(body).read_all().body)
            text, usage = answer["choices"][0]["message"]["content"], answer["usage"]
            # Tokens are said as they come: a cut text's count is of its beginning.
            assert usage["completion_tokens"] == len(reference[encoding].encode_ordinary(text))
            assert not limit or usage["completion_tokens"] == limit


def test_messages_count_as_the_prompt(mock):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello there!"}]
    with Asker(mock) as ask:
        counted = ask.post("/tokenize", model="gpt-4o", messages=messages)
        answer = ask.post("/v1/chat/completions", model="gpt-4o", messages=messages)
    assert counted["count"] == answer["usage"]["prompt_tokens"]
    assert "".join(counted["strings"]) == "Be brief.Hello there!"


def test_refusals(mock):
    with Asker(mock) as ask:
        for body, message in [
            ({}, "text"), ({"text": 5}, "a string"), ({"encoding": "p50k_base", "text": "x"}, "o200k_base"),
            ({"text": "x" * (1 << 20) + "x"}, "longer than"), ({"messages": [{"role": "nobody"}]}, "role"),
        ]:
            assert message in ask.post("/tokenize", 400, **body)["error"]["message"]
        for body, message in [
            ({}, "tokens"), ({"tokens": "x"}, "array"), ({"tokens": [1, 5000000]}, "5000000"),
            ({"tokens": [-1]}, "-1"), ({"tokens": [1.5]}, "1.5"),
            ({"tokens": [1], "encoding": "word pieces"}, "make ranks"),
        ]:
            assert message in ask.post("/detokenize", 400, **body)["error"]["message"]


def test_without_the_data_word_pieces_stand_in(world):
    mock = world.mock(tokenizer="auto", env={"PENSTOCK_DATA_DIR": world.path("nothing")})
    with Asker(mock) as ask:
        got = ask.post("/tokenize", model="gpt-4o", text="internationalisation, perhaps")
    assert not got["exact"] and got["encoding"] == "word pieces"
    assert got["strings"] == ["internationa", "lisation", ",", " perhaps"] and got["count"] == 4


def test_version_says_what_is_exact(world):
    done = world.run("version")
    assert re.search(r"^ +o200k_base +exact$", done.stdout, re.M), done.stdout
    assert re.search(r"^ +cl100k_base +exact$", done.stdout, re.M), done.stdout
    done = world.run("version", "--json", env={"PENSTOCK_DATA_DIR": world.path("nothing")})
    assert json.loads(done.stdout)["o200k_base"].startswith("word pieces")


def test_a_damaged_file_is_said_and_not_used(world, tmp_path):
    file = bytearray((DATA / "o200k_base.ranks").read_bytes())
    file[len(file) // 2] ^= 1
    (tmp_path / "o200k_base.ranks").write_bytes(file)
    done = world.run("version", env={"PENSTOCK_DATA_DIR": str(tmp_path)})
    assert "word pieces" in done.stdout and "damaged" in done.stderr
    assert done.returncode == 0
