# SPDX-License-Identifier: Apache-2.0
"""What every driver of an SDK does with an ask, whatever the SDK.

An ask is a dict (see cases.py), what became of it another: text, thinking, calls [{name, args}], finish,
usage, object, and `error` when the SDK raised. Drivers put the SDK's own words for the end of an answer
into end, length, tool, stop; a word that they do not know stays as it is, and fails the cell.
"""
import asyncio
import json

ROUNDS_MAX = 4  # a tool loop that goes on for longer never ends


def error_of(e):
    """What an application sees of an SDK's exception."""
    body = getattr(e, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else {}
    inner = inner if isinstance(inner, dict) else {}
    response = getattr(e, "response", None)
    return {
        "class": type(e).__name__,
        "status": getattr(e, "status_code", None),
        "type": getattr(e, "type", None) or inner.get("type"),
        "code": getattr(e, "code", None),
        "param": getattr(e, "param", None),
        "message": str(e),
        "retry_after": response.headers.get("retry-after") if response is not None else None,
        "request_id": getattr(e, "request_id", None),
    }


def results_for(ask, calls):
    """[(call, its result's text)]"""
    return [(call, ask["results"][call["name"]]) for call in calls]


class Driver:
    """A subclass has `api_error`, `first(ask)` -> history, `turn(ask, history)` -> (got, native answer),
    `add(ask, history, native, results)` and `cancel_whole(ask)`, a coroutine."""

    def run(self, ask):
        return getattr(self, f"run_{ask['op']}")(ask)

    def follow(self, history, native, ask):
        """The history behind an answer, with the next question."""
        raise NotImplementedError

    def run_turn(self, ask):
        got = {"text": "", "deltas": 0}
        try:
            prompt, *later = [*ask.get("before", ()), ask["prompt"]]
            now = {**ask, "prompt": prompt}
            history = self.first(now)
            for now["prompt"] in later:
                history = self.follow(history, self.turn(now, history)[1], now)
            self.turn(now, history, got)
        except self.api_error as e:
            got["error"] = error_of(e)
        return got

    def run_loop(self, ask):
        steps = []
        try:
            history = self.first(ask)
            while len(steps) < ROUNDS_MAX:
                got, native = self.turn(ask, history)
                steps.append(got)
                if not got["calls"]:
                    break
                self.add(ask, history, native, results_for(ask, got["calls"]))
        except self.api_error as e:
            return {"steps": steps, "text": "", "error": error_of(e)}
        return {"steps": steps, "text": steps[-1]["text"]}

    def run_cancel(self, ask):
        if ask["streamed"]:
            self.leave_stream(ask)
        else:
            asyncio.run(self._cancel_whole(ask))
        return {"left": True}

    async def _cancel_whole(self, ask):
        task = asyncio.ensure_future(self.cancel_whole(ask))
        await asyncio.get_running_loop().run_in_executor(None, ask["wait_arrived"])
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return
        raise AssertionError("there was an answer")


def call(name, arguments, call_id):
    return {"name": name, "args": json.loads(arguments) if isinstance(arguments, str) else arguments, "id": call_id}
