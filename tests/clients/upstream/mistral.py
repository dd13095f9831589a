"""Mistral.

https://docs.mistral.ai/api/endpoint/chat and /capabilities/reasoning (2026-11); that a user's
message may not follow a tool's is error 3230, as seen in aaif-goose/goose#5998 (2025-12)
"""

import re

from .rules import Broken
from .vendor import Vendor, data

MEMBERS = {
    "model", "messages", "max_tokens", "temperature", "top_p", "stop", "stream", "tools",
    "tool_choice", "parallel_tool_calls", "response_format", "random_seed", "n",
    "presence_penalty", "frequency_penalty", "safe_prompt", "prompt_mode", "prediction",
    "reasoning_effort",
}  # fmt: skip
IDENTITY = re.compile(r"^[a-zA-Z0-9]{9}$")


class Mistral(Vendor):
    """Knows what it knows: everything else is refused. Thinks in parts of the content."""

    name = provider = "mistral"
    model = "magistral-medium-latest"
    message_members = frozenset({"prefix"})
    parts = frozenset({"image_url", "thinking"})

    def rules(self, body):
        for name in sorted(set(body) - MEMBERS):
            raise Broken(f"body.{name}: Extra inputs are not permitted", status=422)
        previous = ""
        for at, message in enumerate(body["messages"]):
            allowed = {"role", "content", "prefix", "tool_calls", "tool_call_id", "name"}
            for name in sorted(set(message) - allowed):
                where = f"body.messages.{at}.{message['role']}.{name}"
                raise Broken(f"{where}: Extra inputs are not permitted", status=422)
            self.identities(message)
            if previous == "tool" and message["role"] not in ("tool", "assistant"):
                why = f"Unexpected role '{message['role']}' after role 'tool'"
                raise Broken(why, code="3230")
            previous = message["role"]
        last = body["messages"][-1]
        if last["role"] not in ("user", "tool") and not last.get("prefix"):
            raise Broken(
                "Expected last role User or Tool (or Assistant with prefix True) for serving "
                f"but got {last['role']}",
                code="3230",
            )

    def identities(self, message):
        given = [call["id"] for call in message.get("tool_calls") or []]
        given += [message["tool_call_id"]] if message["role"] == "tool" else []
        for identity in given:
            if not IDENTITY.match(identity):
                raise Broken(
                    f"Tool call id was {identity} but must be a-z, A-Z, 0-9, with a length of 9.",
                    code="3280",
                )

    def echo(self, message, turn, where):
        """The thought comes back as the part it was."""
        content = message.get("content")
        first = content[0] if isinstance(content, list) and content else {}
        thought = "".join(part.get("text", "") for part in first.get("thinking") or [])
        if thought != turn.reasoning:
            raise Broken(f"{where}.content: no `thinking` part with {turn.reasoning!r}: {content}")

    def mint(self, conversation, at, name):
        return f"Id{next(self.count):07}"

    def thinking(self, text):
        return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}

    def message(self, turn, ids):
        made = super().message(turn, ids) | {"content": turn.text}
        if turn.reasoning:
            text = [{"type": "text", "text": turn.text}] if turn.text else []
            made["content"] = [self.thinking(turn.reasoning), *text]
        return made

    def reasoning_delta(self, piece):
        return {"content": [self.thinking(piece)]}

    def call_deltas(self, at, identity, name, arguments):
        """A call comes whole."""
        yield {"tool_calls": [{"index": at} | self.call(identity, name, arguments)]}

    def frames(self, turn, ids, body):
        """The last call, the finish and the usage share a frame; usage is never asked for."""
        head = self.head()
        *early, last = self.deltas(turn, ids)
        for delta in early:
            yield data(self.chunk(head, delta))
        yield data(self.chunk(head, last, self.finish(turn)) | {"usage": self.usage(body, turn)})
        yield data("[DONE]")

    def error(self, status, message, code=None):
        if status == 422:
            where, _, text = message.partition(": ")
            detail = {"type": "extra_forbidden", "loc": where.split("."), "msg": text, "input": None}
            message = {"detail": [detail]}
        kind = "invalid_request_error" if status < 500 else "server_error"
        return {"object": "error", "message": message, "type": kind, "param": None, "code": code}
