"""GLM, of Z.ai.

https://docs.z.ai/guides/capabilities/thinking-mode and /stream-tool,
https://docs.z.ai/api-reference/llm/chat-completion (2026-11)
"""

from .rules import Broken
from .vendor import Vendor


class Zai(Vendor):
    """Takes no choice of tools but `auto`, and keeps reasoning only where asked to."""

    name = provider = "zai"
    model = "glm-5.3"
    stop_max = 1
    message_members = frozenset({"reasoning_content"})

    def rules(self, body):
        if body.get("tool_choice") not in (None, "auto"):
            raise Broken("Tool choice must be auto", code="1210")
        if (body.get("response_format") or {}).get("type") == "json_schema":
            raise Broken("response_format.type: only text and json_object", code="1210")
        for name in ("max_completion_tokens", "parallel_tool_calls", "user"):
            if name in body:
                raise Broken(f"Invalid API parameter: {name}", code="1210")
        thinking = body.get("thinking") or {}
        if set(thinking) - {"type", "clear_thinking"}:
            raise Broken(f"Invalid API parameter: thinking {thinking}", code="1210")
        if earlier_reasoning(body["messages"]) and thinking.get("clear_thinking") is not False:
            # Not refused by the vendor: it forgets the reasoning in silence.
            raise Broken("thinking.clear_thinking is not false: earlier reasoning would be lost")
        if body.get("stream") and body.get("tools") and body.get("tool_stream") is not True:
            raise Broken("tool_stream is not true: arguments would not stream")

    def echo(self, message, turn, where):
        self.same(message, "reasoning_content", turn, where)

    def message(self, turn, ids):
        made = super().message(turn, ids) | {"content": turn.text}
        return made | ({"reasoning_content": turn.reasoning} if turn.reasoning else {})

    def usage(self, body, turn):
        return super().usage(body, turn) | {"prompt_tokens_details": {"cached_tokens": 16}}

    def error(self, status, message, code=None):
        codes = {401: "1000", 429: "1302", 500: "500", 503: "1305"}
        return {"error": {"code": code or codes.get(status, "1214"), "message": message}}


def earlier_reasoning(messages):
    """Whether there is reasoning of turns that a later word of the user's has closed."""
    last = max((at for at, message in enumerate(messages) if message["role"] == "user"), default=0)
    return any(message.get("reasoning_content") for message in messages[:last])
