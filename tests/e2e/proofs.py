# SPDX-License-Identifier: Apache-2.0
"""A thought with its proof (a signature, encrypted content), and how it has to come back upstream."""
import hashlib

THOUGHT, PROOF = "Let me look at the sky first.", "cHJvb2Ygb2YgdGhpbmtpbmc="
FORMAT = "anthropic-claude-v1"  # of OpenRouter's names for forms of proofs
THINKING = ("thinking", THOUGHT, PROOF)  # blocks of scripted.Answer's
HIDDEN = ("hidden", PROOF)


def call_id(key):
    """Of the call behind the thought: like a provider's, never twice, since reasoning is remembered by it."""
    return "call_" + hashlib.sha256(key.encode()).hexdigest()[:24]


def assert_came_back(dialect, body, key):
    """In a request with the history of one turn that thought and called."""
    if dialect == "messages":
        [content] = [m["content"] for m in body["messages"] if m["role"] == "assistant"]
        assert content[0] == {"type": "thinking", "thinking": THOUGHT, "signature": PROOF}
        assert content[1]["type"] == "tool_use" and content[1]["id"] == call_id(key)
    elif dialect == "responses":
        kinds = [item.get("type", "message") for item in body["input"]]
        at = kinds.index("reasoning")
        assert kinds[at + 1] == "function_call", "it stands before its call"
        item = body["input"][at]
        assert (item["id"], item["encrypted_content"]) == ("rs_up0", PROOF)
    else:
        [message] = [m for m in body["messages"] if m["role"] == "assistant"]
        [detail] = message["reasoning_details"]
        assert (detail["text"], detail["signature"], detail["format"]) == (THOUGHT, PROOF, FORMAT)
        assert message["tool_calls"][0]["id"] == call_id(key)


def assert_hidden_came_back(dialect, body, key):
    if dialect == "messages":
        [content] = [m["content"] for m in body["messages"] if m["role"] == "assistant"]
        assert content[0] == {"type": "redacted_thinking", "data": PROOF}
        assert content[1]["type"] == "tool_use" and content[1]["id"] == call_id(key)
    elif dialect == "responses":
        [item] = [item for item in body["input"] if item.get("type") == "reasoning"]
        assert (item["id"], item["encrypted_content"], item["summary"]) == ("rs_up0", PROOF, [])
    else:
        [message] = [m for m in body["messages"] if m["role"] == "assistant"]
        [detail] = message["reasoning_details"]
        # `format` may be gone: a responses client has no place for it, and its default is what this one is
        assert (detail["type"], detail["data"]) == ("reasoning.encrypted", PROOF)
        assert detail.get("format", FORMAT) == FORMAT
