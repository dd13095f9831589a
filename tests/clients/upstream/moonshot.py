"""Kimi, of Moonshot AI.

https://platform.moonshot.ai/docs/guide/use-kimi-k2-thinking-model and
https://platform.moonshot.ai/docs/api/chat; the schemas' rules are those of
https://github.com/MoonshotAI/walle (2026-11)
"""

from .rules import Broken
from .vendor import Vendor, data


class Moonshot(Vendor):
    """Wants reasoning back on calls, has a dialect of JSON schema, and numbers its calls."""

    name = provider = "moonshot"
    model = "kimi-k2.5"
    message_members = frozenset({"reasoning_content"})

    def rules(self, body):
        for name, fixed in (("temperature", 1), ("top_p", 0.95)):
            if body.get(name) not in (None, fixed):
                raise Broken(f"invalid {name}: only {fixed} is allowed for this model")
        thinking = body.get("thinking") or {"type": "enabled"}
        if set(thinking) != {"type"} or thinking["type"] not in ("enabled", "disabled"):
            raise Broken(f"Invalid request: thinking {thinking}")
        # K3's member, which K2 overlooks.
        if body.get("reasoning_effort") not in (None, "low", "high", "max"):
            raise Broken(f"Invalid request: reasoning_effort {body['reasoning_effort']}")
        if body.get("tool_choice") not in (None, "auto", "none"):
            raise Broken("tool_choice 'specified' is incompatible with thinking enabled")
        for tool in body.get("tools") or []:
            schema(tool["function"].get("parameters", {"type": "object"}), "")
        if thinking["type"] == "disabled":
            return
        for at, message in enumerate(body["messages"]):
            if message.get("tool_calls") and not message.get("reasoning_content"):
                raise Broken(
                    "thinking is enabled but reasoning_content is missing in assistant tool "
                    f"call message at index {at}"
                )

    def echo(self, message, turn, where):
        self.same(message, "reasoning_content", turn, where)

    def mint(self, conversation, at, name):
        """`functions.NAME:n`, where n counts through the whole conversation."""
        return f"functions.{name}:{conversation.calls + at}"

    def message(self, turn, ids):
        made = super().message(turn, ids) | {"content": turn.text}
        return made | ({"reasoning_content": turn.reasoning} if turn.reasoning else {})

    def usage(self, body, turn):
        return super().usage(body, turn) | {"cached_tokens": 16}

    def frames(self, turn, ids, body):
        """Usage is a member of the last frame's choice, and nowhere else."""
        head = self.head()
        for delta in self.deltas(turn, ids):
            yield data(self.chunk(head, delta))
        last = self.chunk(head, {}, self.finish(turn))
        last["choices"][0]["usage"] = self.usage(body, turn)
        yield data(last)
        yield data("[DONE]")

    def error(self, status, message, code=None):
        kinds = {401: "invalid_authentication_error", 429: "rate_limit_reached_error"}
        kind = kinds.get(status, "invalid_request_error" if status < 500 else "server_error")
        return {"error": {"message": message, "type": kind}}


def schema(value, path):
    """Refuses what Moonshot's dialect of JSON schema does not have."""
    if not isinstance(value, dict):
        return
    if not path and value.get("type") != "object":
        fail(path, "type must be object at the root")
    if "prefixItems" in value:
        fail(path, "prefixItems is not supported")
    if isinstance(value.get("type"), list):
        fail(path, "type must be a single string")
    for branch in value.get("anyOf") or []:
        if "type" in value:
            fail(path, "when using anyOf, type should be defined in anyOf items instead")
        if "type" not in branch and "$ref" not in branch and "anyOf" not in branch:
            fail(path, "type is not defined in an item of anyOf")
    for name, inner in (value.get("properties") or {}).items():
        schema(inner, f"{path}.properties.{name}")
    for name in ("items", "additionalProperties"):
        schema(value.get(name), f"{path}.{name}")
    for branch in value.get("anyOf") or []:
        schema(branch, f"{path}.anyOf")


def fail(path, why):
    raise Broken(
        "Invalid request: tools.function.parameters is not a valid moonshot flavored json "
        f"schema, details: <At path '{path}': {why}>"
    )
