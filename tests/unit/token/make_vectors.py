#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes vectors.h: texts of ours, and the ids that tiktoken 0.12 has for them. Needs the package
tiktoken, and the .cjs modules of js-tiktoken's dist/ranks (no network):

    make_vectors.py FOLDER_WITH_THE_MODULES >vectors.h
"""
import base64
import json
import sys

import tiktoken
from tiktoken_ext import openai_public

TEXTS = [
    # prose and contractions
    "", "a", "Hello, world!", "The quick brown fox jumps over the lazy dog.",
    "It's what we'd expect, they'll say; I'm sure you've seen they're right. IT'S WHAT WE'D SAY.",
    "'s 't 're 've 'm 'll 'd 'S 'T 'RE 'Ve 'M 'lL 'D 'x '", "rock'n'roll o'clock dogs' '90s",
    "it\u2019s a \u201cquote\u201d \u2014 with dashes\u2026", "he'\u017f long-s and she'\u017ft",
    "antidisestablishmentarianism Donaudampfschifffahrtsgesellschaft",
    # case
    "camelCaseWord PascalCaseWord SCREAMING_CASE snake_case_word kebab-case-word XMLHttpRequest",
    "HELLOworld helloWORLD HeLLo WoRLD iPhone eBay McDonald", "ABCdefGHIjkl",
    # numbers
    "0 1 12 123 1234 12345 1234567890", "3.14159 1,000,000 -42 1e-9 0xDEADBEEF 2024-08-06T12:34:56Z",
    "\u0663\u0664\u0665\u0666 \u00b2\u00b3\u00bd \u216b \u0967\u0968\u0969\u096a",
    # white space
    " ", "  ", "   x", "x   ", "a  b   c    d", "\t\tindented\n\t\ttwice\n", "\n", "\n\n\n", "\r\n\r\n",
    "line\r\nline\rline\n", "trailing   \n   leading", "  \n  ", "a\n\n  \n b", " \t \n \t ", "x \n",
    "\u00a0nbsp\u2003em\u3000wide\u0085next\u2028line", "a" + " " * 90 + "b", "\n" * 40 + " " * 40,
    # marks
    "!!!???...,,,;;;:::", "#!/bin/sh", "a/b/c//d///", "http://example.test/a?b=c&d=%20#e",
    "----====____****", "(){}[]<>|\\/`~@#$%^&*-+=\"'", "x=-1;y+=2;//z\n/* c */\n", "wait...what?!\n\n",
    # code
    "def f(x, *, y=1):\n    \"\"\"Doc.\"\"\"\n    return [i ** 2 for i in range(x) if i % y == 0]\n",
    "#include <stdio.h>\nint main(void) {\n    printf(\"%d\\n\", 42);\n    return 0;\n}\n",
    "SELECT id, name FROM users WHERE age >= 21 AND name LIKE 'A%' ORDER BY id DESC;",
    "{\"name\": \"penstock\", \"list\": [1, 2.5, null, true], \"nested\": {\"k\": \"v\"}}",
    "<div class=\"box\"><a href='#'>x</a><!-- c --></div>",
    # scripts
    "\u00c9t\u00e9 \u00e0 No\u00ebl, \u00e7a va? \u0152uvre na\u00efve co\u00f6perate Stra\u00dfe",
    "\u0417\u0434\u0440\u0430\u0432\u0441\u0442\u0432\u0443\u0439, \u043c\u0438\u0440! \u041a\u0430\u043a \u0434\u0435\u043b\u0430? \u041c\u041e\u0421\u041a\u0412\u0410",
    "\u039a\u03b1\u03bb\u03b7\u03bc\u03ad\u03c1\u03b1 \u03ba\u03cc\u03c3\u03bc\u03b5 \u0391\u0398\u0397\u039d\u0391",
    "\u4f60\u597d\uff0c\u4e16\u754c\uff01\u4eca\u5929\u5929\u6c14\u5f88\u597d\u3002", "\u4f60\u597dHello\u4e16\u754cWORLD",
    "\u3053\u3093\u306b\u3061\u306f\u4e16\u754c\u3002\u30ab\u30bf\u30ab\u30ca\u3068\u6f22\u5b57\u3002", "\uc548\ub155\ud558\uc138\uc694 \uc138\uacc4! \ud55c\uad6d\uc5b4",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645\u060c \u0643\u064a\u0641 \u062d\u0627\u0644\u0643\u061f", "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
    "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e, \u0915\u094d\u0937\u0924\u094d\u0930\u093f\u092f", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01",
    "\u10d2\u10d0\u10db\u10d0\u10e0\u10ef\u10dd\u10d1\u10d0 \u0532\u0561\u0580\u0587 \u12a5\u1295\u12f4\u121d\u1295 \u0bb5\u0ba3\u0b95\u0bcd\u0b95\u0bae\u0bcd",
    "Ti\u1ebfng Vi\u1ec7t c\u00f3 d\u1ea5u; T\u00fcrk\u00e7e I\u0131\u0130i; Pol\u0161tina \u0141\u00f3d\u017a",
    "e\u0301 o\u0308 a\u0323\u0302 \u0301lone \u0301A \u0301AB", "\u01c5 \u01c8x \u02b0\u02b7 \u00aa\u00ba \u0345",
    # emoji and beyond the basic plane
    "\U0001f600\U0001f44d\U0001f3fd", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 family",
    "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7 flags \u2764\ufe0f heart 1\ufe0f\u20e3", "text\U0001f680text \U0001f680 text",
    "\U0001d400\U0001d41a\U0001d7d8 \U00010400\U00010428 \U00020000\U0002a6d6 \U000e0001",
    "\ufeffbom \u200bzero \u00adsoft \ufffdreplaced \ue000private \U0010ffff",
    # runs that a merge goes far into
    "a" * 97, "ab" * 70, "abcabcabd" * 20, "=" * 130, "\U0001f600" * 30, "\u4e2dA" * 20, "A" * 100 + "b",
    "<|endoftext|> is text <|fim_prefix|> <|im_start|>",
    "\x00\x01\x1f\x7f control",
]


def load(folder, name):
    with open(f"{folder}/{name}.cjs", encoding="utf-8") as module:
        text = module.read()
    lines = json.loads(text[text.index("{"):text.rindex("}") + 1])["bpe_ranks"].split("\n")
    ranks = {}
    for line in filter(None, lines):
        _, first, *tokens = line.split(" ")
        ranks.update((base64.b64decode(t), int(first) + i) for i, t in enumerate(tokens))
    openai_public.load_tiktoken_bpe = lambda *args, **named: ranks
    return tiktoken.Encoding(**getattr(openai_public, name)())


def c_string(text):
    """Octal, so that no digit that follows belongs to an escape."""
    out = ""
    for byte in text.encode():
        plain = 0x20 <= byte < 0x7f and chr(byte) not in "\"\\?"
        out += chr(byte) if plain else f"\\{byte:03o}"
    return f'"{out}"'


def wrapped(items, indent):
    lines, line = [], indent
    for item in items:
        if len(line) + len(item) + 2 > 100:
            lines.append(line.rstrip())
            line = indent
        line += item + ", "
    return "\n".join([*lines, line.rstrip()])


def main():
    encodings = [load(sys.argv[1], name) for name in ("o200k_base", "cl100k_base")]
    print("/* SPDX-License-Identifier: Apache-2.0 */")
    print("/* Made by make_vectors.py: texts of ours, and tiktoken's ids in o200k_base and cl100k_base. */")
    for text in TEXTS:
        ids = [encoding.encode_ordinary(text) for encoding in encodings]
        print(f"{{{c_string(text)}, {len(text.encode())}, {{{len(ids[0])}, {len(ids[1])}}}, {{")
        for one in ids:
            print(" {" + wrapped([str(i) for i in one] or ["0"], "  ").strip().rstrip(",") + "},")
        print("}},")


if __name__ == "__main__":
    main()
