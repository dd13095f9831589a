"""OpenRouter.

https://openrouter.ai/docs/use-cases/reasoning-tokens, /api-reference/streaming and
/api-reference/errors (2026-11)
"""

import json

from .rules import Broken
from .vendor import Vendor, data, pieces


class OpenRouter(Vendor):
    """Reasons in `reasoning_details`, which must come back as they were, in their order."""

    name = provider = "openrouter"
    model = "anthropic/claude-sonnet-4.5"
    message_members = frozenset({"reasoning", "reasoning_content", "reasoning_details"})
    cache_marks = True
    parts = frozenset({"image_url", "file"})
    roles = ("system", "developer", "user", "assistant", "tool")
    efforts = ("none", "minimal", "low", "medium", "high", "xhigh")

    def rules(self, body):
        reasoning = body.get("reasoning") or {}
        if {"effort", "max_tokens"} <= set(reasoning):
            raise Broken("Only one of reasoning.effort and reasoning.max_tokens is allowed")
        if reasoning.get("effort") not in (None, *self.efforts):
            raise Broken(f"reasoning.effort: unknown `{reasoning['effort']}`")
        if "reasoning_effort" in body and reasoning:
            raise Broken("reasoning and reasoning_effort are both given")
        if "thinking" in body:
            raise Broken("Unrecognized key: thinking")

    def details(self, turn):
        """The reasoning as one thought and a part that only its model can read."""
        text = {
            "type": "reasoning.text",
            "text": turn.reasoning,
            "format": "anthropic-claude-v1",
            "index": 0,
            "signature": f"signed+/{len(turn.reasoning)}==",
        }
        secret = {
            "type": "reasoning.encrypted",
            "data": "b3BhcXVl+/==",
            "format": "anthropic-claude-v1",
            "index": 1,
        }
        return [text, secret]

    def echo(self, message, turn, where):
        got = merged(message.get("reasoning_details") or [])
        wanted = self.details(turn)
        if got != wanted:
            raise Broken(
                f"{where}.reasoning_details: {json.dumps(message.get('reasoning_details'))} "
                f"came back, they were said as {json.dumps(wanted)}"
            )

    def message(self, turn, ids):
        made = super().message(turn, ids) | {"content": turn.text, "refusal": None}
        if turn.reasoning:
            made |= {"reasoning": turn.reasoning, "reasoning_details": self.details(turn)}
        return made

    def deltas(self, turn, ids):
        """Details in pieces under one index; the signature and the secret come at the end."""
        if turn.reasoning:
            text, secret = self.details(turn)
            common = {name: text[name] for name in ("type", "format", "index")}
            for piece in pieces(turn.reasoning):
                yield self.thought(piece, common | {"text": piece})
            yield self.thought(None, common | {"signature": text["signature"]})
            yield self.thought(None, secret)
        bare = type(turn)(text=turn.text, calls=turn.calls)
        for delta in super().deltas(bare, ids):
            yield {"role": "assistant", "content": ""} | delta

    def thought(self, piece, detail):
        return {"role": "assistant", "content": "", "reasoning": piece, "reasoning_details": [detail]}

    def chunk(self, head, delta, finish=None):
        made = super().chunk(head | {"provider": "Anthropic"}, delta, finish)
        native = {"stop": "end_turn", "tool_calls": "tool_use"}.get(finish, finish)
        made["choices"][0] |= {"native_finish_reason": native, "logprobs": None}
        return made

    def usage(self, body, turn):
        return super().usage(body, turn) | {
            "cost": 0.0012,
            "is_byok": False,
            "prompt_tokens_details": {"cached_tokens": 16, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": len(turn.reasoning) // 4},
        }

    def frames(self, turn, ids, body):
        """Comments come before the first word and between later ones."""
        yield b": OPENROUTER PROCESSING\n\n"
        for at, frame in enumerate(super().frames(turn, ids, body)):
            yield frame
            if at % 4 == 2:
                yield b": OPENROUTER PROCESSING\n\n"

    def error(self, status, message, code=None):
        metadata = {"provider_name": "Anthropic", "raw": message}
        return {"error": {"message": message, "code": status, "metadata": metadata}}

    def error_frames(self, message):
        """An error beside a choice that ends as `error`; the status has long been 200."""
        choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
        error = {"code": "server_error", "message": message}
        head = self.head() | {"object": "chat.completion.chunk", "provider": "Anthropic"}
        yield data(head | {"error": error, "choices": [choice]})


def merged(details):
    """Details as a client may put them together: texts of one index become one."""
    found = []
    for detail in details:
        last = found[-1] if found else {}
        if (detail["type"], detail.get("index")) != (last.get("type"), last.get("index")):
            found.append(dict(detail))
            continue
        text = last.get("text", "") + (detail.get("text") or "")
        last |= {name: value for name, value in detail.items() if value is not None}
        if "text" in last or text:
            last["text"] = text
    return found
