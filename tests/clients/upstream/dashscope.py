"""Qwen, of Alibaba's Model Studio.

https://www.alibabacloud.com/help/en/model-studio/deep-thinking and
/developer-reference/error-code (2026-11)
"""

from .rules import Broken
from .vendor import Vendor


class DashScope(Vendor):
    """Open models that think answer only as a stream."""

    name = provider = "dashscope"
    model = "qwen3-235b-a22b"
    message_members = frozenset({"reasoning_content"})
    cache_marks = True

    def rules(self, body):
        if not body.get("stream"):
            raise Broken("parameter.enable_thinking must be set to false for non-streaming calls")
        if body.get("tool_choice") == "required":
            raise Broken("tool_choice is one of the strings that should be ['none', 'auto']")
        if "thinking" in body or "reasoning_effort" in body:
            raise Broken("thinking is switched by enable_thinking")

    def echo(self, message, turn, where):
        self.same(message, "reasoning_content", turn, where)

    def deltas(self, turn, ids):
        for delta in super().deltas(turn, ids):
            yield {"content": None} | delta

    def call_deltas(self, at, identity, name, arguments):
        """Later pieces have an empty id, and the function's name is gone."""
        first, *later = super().call_deltas(at, identity, name, arguments)
        yield first
        for delta in later:
            delta["tool_calls"][0] |= {"id": "", "type": "function"}
            yield delta

    def usage(self, body, turn):
        return super().usage(body, turn) | {"prompt_tokens_details": {"cached_tokens": 16}}

    def error(self, status, message, code=None):
        kind = "invalid_request_error" if status < 500 else "server_error"
        code = "invalid_parameter_error" if status < 500 else "service_unavailable"
        error = {"message": message, "type": kind, "param": None, "code": code}
        return {"error": error, "request_id": "req"}
