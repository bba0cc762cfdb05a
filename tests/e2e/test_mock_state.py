# SPDX-License-Identifier: Apache-2.0
"""Stored and background responses and conversations, as OpenAI's SDK uses them. Nothing here waits for time:
streams are stepped, and the mock's counters say what has happened."""
import openai
import pytest

from harness import numbered

TEXT = numbered("plum", 6)


@pytest.fixture(scope="module")
def mock(module_world):
    return module_world.mock("--workers", "3")


@pytest.fixture(scope="module")
def client(mock):
    return openai.OpenAI(base_url=mock.base_url, api_key="any", max_retries=0, timeout=60)


def background(client, key, **more):
    return client.responses.create(model="m", input="count plum to 6", background=True, metadata={"step": key}, **more)


# --- turns --------------------------------------------------------------------------------------

def test_turns_build_upon_each_other(client):
    first = client.responses.create(model="m", input="echo: one", metadata={"k": "v"})
    second = client.responses.create(model="m", input="echo: two", previous_response_id=first.id)
    third = client.responses.create(model="m", input="echo: three", previous_response_id=second.id, store=False)
    assert (first.store, third.store) == (True, False)
    assert first.usage.input_tokens < second.usage.input_tokens < third.usage.input_tokens
    got = client.responses.retrieve(first.id)
    assert (got.output_text, got.metadata) == ("one", {"k": "v"})
    items = list(client.responses.input_items.list(second.id, order="asc"))
    assert [i.content[0].text for i in items] == ["echo: one", "one", "echo: two"]
    newest_first = list(client.responses.input_items.list(second.id, limit=1))       # pages of one
    assert [i.id for i in newest_first] == [i.id for i in reversed(items)]
    with pytest.raises(openai.NotFoundError) as e:
        client.responses.retrieve(third.id)
    assert "not found" in str(e.value)
    with pytest.raises(openai.BadRequestError) as e:
        client.responses.create(model="m", input="hi", previous_response_id=third.id)
    assert (e.value.code, e.value.param) == ("previous_response_not_found", "previous_response_id")


def test_what_a_turn_would_cost(client):
    first = client.responses.create(model="m", input="echo: one")
    alone = client.responses.input_tokens.count(model="m", input="echo: two")
    behind = client.responses.input_tokens.count(model="m", input="echo: two", previous_response_id=first.id)
    second = client.responses.create(model="m", input="echo: two", previous_response_id=first.id)
    assert alone.input_tokens < behind.input_tokens == second.usage.input_tokens


def test_items_may_be_referred_to(client):
    first = client.responses.create(model="m", input="echo: one")
    message = first.output[-1].id
    again = client.responses.create(model="m", input=[{"type": "item_reference", "id": message},
                                                      {"role": "user", "content": "echo: two"}])
    items = list(client.responses.input_items.list(again.id, order="asc"))
    assert [i.id for i in items][0] == message
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="m", input=[{"type": "item_reference", "id": "msg_none"}])


def test_a_tool_loop_by_id_alone(client):
    tool = {"type": "function", "name": "get_tide", "strict": True, "parameters": {
        "type": "object", "properties": {"port": {"type": "string"}}, "required": ["port"], "additionalProperties": False}}
    first = client.responses.create(model="o3", input="When is high water?", tools=[tool], tool_choice="required")
    [call] = [i for i in first.output if i.type == "function_call"]
    second = client.responses.create(model="o3", tools=[tool], previous_response_id=first.id, input=[
        {"type": "function_call_output", "call_id": call.call_id, "output": "04:12"}])
    assert second.output_text and second.status == "completed"
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model="o3", tools=[tool], previous_response_id=first.id, input=[
            {"type": "function_call_output", "call_id": "call_none", "output": "04:12"}])


def test_a_stream_is_remembered_and_read_again(client):
    with client.responses.stream(model="m", input="count plum to 6") as stream:
        final = stream.get_final_response()
    assert client.responses.retrieve(final.id).output_text == final.output_text == TEXT
    with client.responses.retrieve(final.id, stream=True) as events:
        events = list(events)
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == TEXT
    client.responses.delete(final.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(final.id)


# --- compaction ---------------------------------------------------------------------------------

def test_a_compacted_conversation_goes_on(client):
    first = client.responses.create(model="m", input="echo: plum")
    compacted = client.responses.compact(model="m", input="echo: pear", previous_response_id=first.id)
    assert compacted.object == "response.compaction" and compacted.usage.total_tokens > 0
    assert [i.type for i in compacted.output] == ["message", "message", "compaction"]
    assert [i.content[0].text for i in compacted.output[:2]] == ["echo: plum", "echo: pear"]
    items = [i.to_dict(warnings=False) for i in compacted.output]
    said = client.responses.create(model="m", input=items + [{"role": "user", "content": "echo: fig"}])
    assert said.output_text == "fig"
    again = client.responses.compact(model="m", previous_response_id=said.id)
    assert [i.type for i in again.output] == ["message"] * 3 + ["compaction"]
    items[-1]["encrypted_content"] = items[-1]["encrypted_content"].swapcase()
    with pytest.raises(openai.BadRequestError) as e:
        client.responses.create(model="m", input=items)
    assert e.value.code == "invalid_encrypted_content"


# --- keys ---------------------------------------------------------------------------------------

def test_each_key_has_its_own(world):
    mock = world.mock("--key", "sk-ann-0123456789", "--key", "sk-bob-0123456789")
    ann, bob = (openai.OpenAI(base_url=mock.base_url, api_key=f"sk-{who}-0123456789", max_retries=0)
                for who in ("ann", "bob"))
    kept = ann.responses.create(model="m", input="echo: one")
    talk = ann.conversations.create()
    for ask in (lambda: bob.responses.retrieve(kept.id), lambda: bob.responses.delete(kept.id),
                lambda: bob.conversations.retrieve(talk.id),
                lambda: bob.responses.create(model="m", input="hi", conversation=talk.id)):
        with pytest.raises(openai.NotFoundError):
            ask()
    with pytest.raises(openai.BadRequestError):
        bob.responses.create(model="m", input="hi", previous_response_id=kept.id)
    assert ann.responses.retrieve(kept.id).output_text == "one"
    assert ann.conversations.retrieve(talk.id).id == talk.id


# --- in the background --------------------------------------------------------------------------

def test_background_is_queued_then_made(client, mock):
    begun = background(client, "made")
    assert (begun.status, begun.background, begun.output) == ("queued", True, [])
    assert client.responses.retrieve(begun.id).status == "queued"
    mock.step("made")
    assert client.responses.retrieve(begun.id).status == "in_progress"
    before = mock.counters()["completed"]
    mock.step("made", "all")
    mock.wait_counter("completed", before + 1)
    done = client.responses.retrieve(begun.id)
    assert (done.status, done.output_text) == ("completed", TEXT) and done.usage.output_tokens
    assert client.responses.cancel(begun.id).status == "completed"       # too late: as it is


def test_a_cancelled_stream_says_so(client, mock):
    events = client.responses.create(model="m", input="count plum to 6", background=True, stream=True,
                                     metadata={"step": "cut off"})
    begun = next(iter(events)).response
    mock.step("cut%20off", 2)
    assert client.responses.cancel(begun.id).status == "cancelled"
    with pytest.raises(openai.APIError, match="cancelled") as e:
        list(events)
    assert e.value.code == "response_cancelled"
    with pytest.raises(openai.APIError, match="cancelled"):
        list(client.responses.retrieve(begun.id, stream=True))


def test_background_is_cancelled(client, mock):
    begun = background(client, "cancelled")
    mock.step("cancelled", 2)
    before = mock.counters()["cancelled"]
    assert client.responses.cancel(begun.id).status == "cancelled"
    mock.wait_counter("cancelled", before + 1)
    assert client.responses.cancel(begun.id).status == "cancelled"
    assert client.responses.retrieve(begun.id).status == "cancelled"
    client.responses.delete(begun.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.cancel(begun.id)
    kept = client.responses.create(model="m", input="hi")
    with pytest.raises(openai.BadRequestError) as e:
        client.responses.cancel(kept.id)
    assert "synchronous" in str(e.value)
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model="m", input="hi", background=True, store=False)


def test_a_background_stream_is_resumed(client, mock):
    """The client leaves in the middle, comes back, and misses nothing."""
    stream = background(client, "resumed", stream=True)
    seen = [next(stream), next(stream)]
    mock.step("resumed", 3)
    while seen[-1].type != "response.output_text.delta":
        seen.append(next(stream))
    stream.close()
    assert [e.type for e in seen[:3]] == ["response.created", "response.queued", "response.in_progress"]
    begun = seen[0].response.id
    mock.step("resumed", "all")
    rest = list(client.responses.retrieve(begun, stream=True, starting_after=seen[-1].sequence_number))
    events = seen + rest
    assert [e.sequence_number for e in events] == list(range(len(events)))
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == TEXT
    assert events[-1].response.output_text == TEXT
    assert client.responses.retrieve(begun).output_text == TEXT


# --- conversations ------------------------------------------------------------------------------

def test_conversations(client):
    talk = client.conversations.create(metadata={"k": "v"}, items=[{"role": "user", "content": "zero"}])
    answer = client.responses.create(model="m", input="echo: one", conversation=talk.id)
    assert answer.conversation.id == talk.id
    items = list(client.conversations.items.list(talk.id, order="asc"))
    assert [i.content[0].text for i in items] == ["zero", "echo: one", "one"]
    got = client.conversations.items.retrieve(items[0].id, conversation_id=talk.id)
    assert got.content[0].text == "zero"
    added = client.conversations.items.create(talk.id, items=[{"role": "user", "content": "more"}])
    assert added.data[0].content[0].text == "more"
    client.conversations.items.delete(items[0].id, conversation_id=talk.id)
    with pytest.raises(openai.NotFoundError):
        client.conversations.items.retrieve(items[0].id, conversation_id=talk.id)
    assert client.conversations.update(talk.id, metadata={"k": "w"}).metadata == {"k": "w"}
    assert client.conversations.retrieve(talk.id).metadata == {"k": "w"}
    assert client.conversations.delete(talk.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.conversations.retrieve(talk.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="m", input="hi", conversation=talk.id)


def test_memory_is_bounded(world):
    mock = world.mock("--stored", "200000")
    client = openai.OpenAI(base_url=mock.base_url, api_key="any", max_retries=0)
    ids = [client.responses.create(model="m", input="echo: " + "x" * 5000).id for _ in range(40)]
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(ids[0])
    assert client.responses.retrieve(ids[-1]).status == "completed"
