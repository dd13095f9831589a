"""A server of vLLM's, with a parser for reasoning and one for calls.

https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html and
/features/reasoning_outputs.html (2026-11)
"""

from .rules import Broken
from .vendor import Vendor, data


class Vllm(Vendor):
    """Reasons in `reasoning`; its template wants the one system message at the beginning."""

    name = provider = "vllm"
    model = "Qwen/Qwen3-32B"
    system_first = True
    roles = ("system", "developer", "user", "assistant", "tool")
    message_members = frozenset({"reasoning", "reasoning_content"})

    def rules(self, body):
        if "thinking" in body:
            raise Broken("thinking: Extra inputs are not permitted")

    def echo(self, message, turn, where):
        """Either of its names for the field will do: it reads the one, else the other."""
        field = "reasoning" if "reasoning" in message else "reasoning_content"
        self.same(message, field, turn, where)

    def message(self, turn, ids):
        made = super().message(turn, ids)
        empty = {"refusal": None, "annotations": None, "audio": None, "function_call": None}
        return {"tool_calls": []} | made | empty | {"reasoning": turn.reasoning or None}

    def whole(self, turn, ids, body):
        made = super().whole(turn, ids, body)
        made["choices"][0] |= {"logprobs": None, "stop_reason": None, "token_ids": None}
        return made | {"prompt_logprobs": None, "kv_transfer_params": None}

    def reasoning_delta(self, piece):
        return {"reasoning": piece, "reasoning_content": piece}

    def call_deltas(self, at, identity, name, arguments):
        """Later pieces repeat the head's members as nulls."""
        first, *later = super().call_deltas(at, identity, name, arguments)
        yield first
        for delta in later:
            call = delta["tool_calls"][0]
            call |= {"id": None, "type": None}
            call["function"]["name"] = None
            yield delta

    def frames(self, turn, ids, body):
        """Usage counts along on every frame, as `continuous_usage_stats` has it."""
        head = self.head()
        usage = self.usage(body, turn)
        for at, delta in enumerate(self.deltas(turn, ids)):
            so_far = min(at, usage["completion_tokens"])
            running = {"completion_tokens": so_far, "total_tokens": usage["prompt_tokens"] + so_far}
            yield data(self.chunk(head, delta) | {"usage": usage | running})
        last = self.chunk(head, {"content": ""}, self.finish(turn))
        last["choices"][0]["stop_reason"] = None
        yield data(last | {"usage": usage})
        if (body.get("stream_options") or {}).get("include_usage"):
            yield data(head | {"object": "chat.completion.chunk", "choices": [], "usage": usage})
        yield data("[DONE]")

    def error(self, status, message, code=None):
        kinds = {400: "BadRequestError", 404: "NotFoundError", 429: "TooManyRequests"}
        kind = kinds.get(status, "InternalServerError")
        return {"object": "error", "message": message, "type": kind, "param": None, "code": status}
