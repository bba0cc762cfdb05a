# SPDX-License-Identifier: Apache-2.0
import anthropic
import pytest

import app


def test_the_agent_looks_up_what_it_is_asked_for(mock):
    """Nothing is scripted: the mock calls the tool with arguments that fit, and answers with the result."""
    asked = []

    def look_up(city):
        asked.append(city)
        return "21 degrees and windy"

    assert "21 degrees and windy" in app.answer("What is the weather in Lisbon?", look_up)
    assert asked == ["Lisbon"]
    mock.expect(match={"tool": "get_weather"}, count=2)
    mock.expect(match={"tool_result": {"contains": "windy"}}, count=1)


def test_a_scripted_answer(mock):
    mock.push({"text": ["Rain ", "stops ", "play"]})  # a list streams as it is written, piece for piece
    assert list(app.headline("the match was called off")) == ["Rain ", "stops ", "play"]


def test_the_sdk_tries_again(mock):
    """An overloaded provider, once: the SDK asks a second time."""
    mock.push({"error": 529}, "Rain stops play")
    assert "".join(app.headline("the match was called off")) == "Rain stops play"
    mock.expect(count=2)


def test_a_stream_that_breaks(mock):
    mock.push({"text": "Rain stops play and nobody minds", "fault": "error-event"})
    with pytest.raises(anthropic.APIError):
        list(app.headline("the match was called off"))
