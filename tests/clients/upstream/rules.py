"""What every server of Chat Completions refuses, in one vendor's words or another's.

https://platform.openai.com/docs/api-reference/chat/create (2026-11)
"""

import json
import re

NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
# Members of Anthropic Messages that mean nothing in a chat request. `thinking` is not among
# them: several vendors took it over.
FOREIGN = {
    "system",
    "stop_sequences",
    "context_management",
    "output_config",
    "anthropic_version",
    "safeguards",
    "mcp_servers",
    "container",
}
MESSAGE = {"role", "content", "name", "tool_calls", "tool_call_id"}
FUNCTION = {"name", "description", "parameters", "strict"}


class Broken(Exception):
    """A vendor's rule that a request breaks. Recorded, and answered with `status`."""

    def __init__(self, message, status=400, code=None):
        super().__init__(message)
        self.message, self.status, self.code = message, status, code


def check(vendor, body):
    """The rules that all vendors share, as wide or narrow as `vendor` says."""
    members(vendor, body)
    limits(vendor, body)
    tools(vendor, body)
    messages(vendor, body["messages"])


def members(vendor, body):
    foreign = sorted(FOREIGN & body.keys())
    if "user_id" in (body.get("metadata") or {}):
        foreign.append("metadata.user_id")
    if foreign:
        raise Broken(f"Unrecognized request argument supplied: {', '.join(foreign)}")
    if body.get("model") != vendor.model:
        raise Broken(f"The model `{body.get('model')}` does not exist", status=404)
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        raise Broken("`messages` is empty or no array")
    if "stream_options" in body and not body.get("stream"):
        raise Broken("The 'stream_options' parameter is only allowed when 'stream' is enabled.")


def limits(vendor, body):
    for name in ("max_tokens", "max_completion_tokens"):
        limit = body.get(name)
        if limit is None:
            continue
        if not isinstance(limit, int) or not 1 <= limit <= vendor.output_limit:
            raise Broken(f"{name} must be in 1..={vendor.output_limit}, and is {limit}")
    stop = body.get("stop") or []
    if isinstance(stop, list) and len(stop) > vendor.stop_max:
        raise Broken(f"stop: at most {vendor.stop_max} sequences, got {len(stop)}")


def tools(vendor, body):
    if "tools" not in body:
        if "tool_choice" in body or "parallel_tool_calls" in body:
            raise Broken("tool_choice and parallel_tool_calls are only allowed with tools")
        return
    if not isinstance(body["tools"], list) or not body["tools"]:
        raise Broken("[] is too short - 'tools'")
    for at, tool in enumerate(body["tools"]):
        if set(tool) != {"type", "function"} or tool["type"] != "function":
            raise Broken(f"tools[{at}]: only `type: function` and `function`, got {sorted(tool)}")
        function = tool["function"]
        if not NAME.match(function.get("name", "")):
            raise Broken(f"tools[{at}].function.name: `{function.get('name')}` is no name")
        unknown = sorted(set(function) - FUNCTION)
        if unknown:
            raise Broken(f"tools[{at}].function: unknown {unknown}")
        schema = function.get("parameters", {"type": "object"})
        if not isinstance(schema, dict) or schema.get("type") != "object":
            raise Broken(f"tools[{at}].function.parameters: the root's type must be object")


def messages(vendor, messages):
    waiting = []  # ids of calls that have no result yet
    for at, message in enumerate(messages):
        role = message.get("role")
        where = f"messages[{at}]"
        unknown = sorted(set(message) - MESSAGE - vendor.message_members)
        if unknown:
            raise Broken(f"{where} ({role}): unknown {unknown}")
        if role == "tool":
            if message.get("tool_call_id") not in waiting:
                raise Broken(
                    f"{where}: messages with role 'tool' must be a response to a preceding "
                    f"message with 'tool_calls' ({message.get('tool_call_id')})"
                )
            waiting.remove(message["tool_call_id"])
        elif waiting:
            raise Broken(
                "An assistant message with 'tool_calls' must be followed by tool messages "
                f"responding to each 'tool_call_id'. These had no response: {waiting}"
            )
        if role == "assistant":
            waiting = calls(message, where)
        elif role not in vendor.roles:
            raise Broken(f"{where}.role: unknown variant `{role}`, expected one of {vendor.roles}")
        if role == "system" and at and vendor.system_first:
            raise Broken("System message must be at the beginning.")
        content(vendor, message, where)
    if waiting:
        raise Broken(f"Calls without a response at the end: {waiting}")


def calls(message, where):
    """Checks a message's calls, and returns their ids."""
    if "tool_calls" in message and not message["tool_calls"]:
        raise Broken(f"{where}.tool_calls: [] is too short")
    found = []
    for call in message.get("tool_calls") or []:
        try:
            parsed = json.loads(call["function"]["arguments"])
        except (KeyError, TypeError, ValueError):
            raise Broken(f"{where}: a call's arguments are no JSON text: {call}") from None
        if not isinstance(parsed, dict):
            raise Broken(f"{where}: a call's arguments are no object: {call}")
        if not call.get("id") or call["id"] in found:
            raise Broken(f"{where}: a call's id is missing or taken: {call}")
        found.append(call["id"])
    return found


def content(vendor, message, where):
    value, role = message.get("content"), message["role"]
    if value is None:
        if role != "assistant" or not (message.get("tool_calls") or message.get("prefix")):
            raise Broken(f"{where} ({role}): content is null")
        return
    if isinstance(value, str):
        return
    kinds = {"text"} | vendor.parts if role in ("user", "assistant") else {"text"}
    for part in value:
        if part.get("type") not in kinds:
            raise Broken(f"{where} ({role}): a part of type `{part.get('type')}`")
        if "cache_control" in part and not vendor.cache_marks:
            raise Broken(f"{where} ({role}): unknown member `cache_control`")
