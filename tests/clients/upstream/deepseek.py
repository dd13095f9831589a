"""DeepSeek.

https://api-docs.deepseek.com/guides/thinking_mode and /quick_start/rate_limit (2026-11)
"""

from .rules import Broken
from .vendor import Vendor


class DeepSeek(Vendor):
    """Thinks unless told not to, and while it does wants its reasoning on every message."""

    name = provider = "deepseek"
    model = "deepseek-chat"
    message_members = frozenset({"reasoning_content"})
    parts = frozenset()

    def rules(self, body):
        if "max_completion_tokens" in body:
            # The vendor ignores the member in silence: whoever sends it has no limit.
            raise Broken("max_completion_tokens would be ignored; the limit is max_tokens")
        if (body.get("response_format") or {}).get("type") == "json_schema":
            raise Broken("This response_format type is unavailable now")
        if body.get("reasoning_effort") not in (None, "low", "medium", "high", "max"):
            raise Broken(f"reasoning_effort: unknown variant `{body['reasoning_effort']}`")
        thinking = body.get("thinking") or {"type": "enabled"}
        if set(thinking) != {"type"} or thinking["type"] not in ("enabled", "disabled"):
            raise Broken(f"thinking: unknown variant {thinking}")
        if thinking["type"] == "disabled":
            return
        if body.get("tool_choice") not in (None, "auto", "none"):
            raise Broken("Thinking mode does not support this tool_choice")
        for at, message in enumerate(body["messages"]):
            if message["role"] == "assistant" and "reasoning_content" not in message:
                raise Broken(
                    "Missing `reasoning_content` field in the assistant message at message "
                    f"index {at}"
                )

    def echo(self, message, turn, where):
        self.same(message, "reasoning_content", turn, where)

    def message(self, turn, ids):
        made = super().message(turn, ids)
        return made | {"content": turn.text, "reasoning_content": turn.reasoning or None}

    def deltas(self, turn, ids):
        """The field that is not spoken in is null beside the one that is."""
        for delta in super().deltas(turn, ids):
            yield {"content": None, "reasoning_content": None} | delta

    def usage(self, body, turn):
        usage = super().usage(body, turn)
        return usage | {
            "prompt_tokens_details": {"cached_tokens": 16},
            "completion_tokens_details": {"reasoning_tokens": len(turn.reasoning) // 4},
            "prompt_cache_hit_tokens": 16,
            "prompt_cache_miss_tokens": usage["prompt_tokens"] - 16,
        }

    def frames(self, turn, ids, body):
        """Comments keep a queued stream alive."""
        yield b": keep-alive\n\n"
        yield b": keep-alive\n\n"
        for at, frame in enumerate(super().frames(turn, ids, body)):
            yield frame
            if at == 3:
                yield b": keep-alive\n\n"

    def error(self, status, message, code=None):
        kinds = {401: "authentication_error", 503: "service_unavailable_error"}
        kind = kinds.get(status, "invalid_request_error")
        return {"error": {"message": message, "type": kind, "param": None, "code": kind}}
