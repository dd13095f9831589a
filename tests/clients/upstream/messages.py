"""An upstream of Anthropic Messages.

https://docs.claude.com/en/api/messages, /messages-streaming and /errors (2026-11)
"""

import itertools
import json

from .rules import Broken
from .script import Conversation, Message
from .vendor import pieces

MEMBERS = {
    "model", "messages", "system", "tools", "tool_choice", "metadata", "max_tokens", "thinking",
    "context_management", "output_config", "stream", "stop_sequences", "temperature", "top_p",
    "top_k", "safeguards", "service_tier", "container", "mcp_servers",
}  # fmt: skip
KINDS = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error",
    404: "not_found_error", 429: "rate_limit_error", 500: "api_error", 529: "overloaded_error",
}  # fmt: skip


class Unsupported(Broken):
    """What an account may not have. Says so, and the SDKs do without: no rule is broken."""

    def __init__(self, name):
        super().__init__(f"{name}: not supported for this request", code=name)


class Messages:
    """Speaks Messages: thinking is signed, and only its own signatures come back."""

    name, provider, model = "messages", "anthropic", "claude-sonnet-4-5"
    endpoint = "messages"

    def __init__(self):
        self.count = itertools.count(1)
        self.said = {}

    # === what comes in ===

    def conversation(self, body):
        found = []
        for message in body.get("messages") or []:
            made = Message(message.get("role", ""))
            for block in blocks(message):
                if block.get("type") == "text":
                    made.text += block["text"] + "\n"
                elif block.get("type") == "tool_use":
                    made.calls.append((block["id"], block["name"]))
                elif block.get("type") == "tool_result":
                    inner = blocks(block)
                    text = "".join(part.get("text", "") for part in inner)
                    made.results.append((block["tool_use_id"], text))
            found.append(made)
        return Conversation(found, self.tools(body))

    def tools(self, body):
        """Those the model sees: deferred ones once a result has named them."""
        named = set()
        for message in body.get("messages") or []:
            for block in blocks(message):
                for part in blocks(block) if block.get("type") == "tool_result" else []:
                    named.add(part.get("tool_name"))
        tools = body.get("tools") or []
        seen = [tool for tool in tools if not tool.get("defer_loading") or tool["name"] in named]
        return [tool.get("name") for tool in seen]

    def check(self, body, headers, conversation):
        if "x-api-key" not in headers:
            raise Broken("x-api-key header is required", status=401)
        if "anthropic-version" not in headers:
            raise Broken("anthropic-version: header is required")
        if body.get("thread"):
            raise Unsupported("thread")
        for name in sorted(set(body) - MEMBERS):
            raise Broken(f"{name}: Extra inputs are not permitted")
        if body.get("model") != self.model:
            raise Broken(f"model: {body.get('model')}", status=404)
        if not isinstance(body.get("max_tokens"), int):
            raise Broken("max_tokens: Field required")
        self.order(body["messages"])
        if conversation.options.get("echo") != "no":
            self.echoes(body["messages"], conversation)

    def order(self, messages):
        """Results answer the calls of the message before, come first, and none is missing."""
        waiting = set()
        for at, message in enumerate(messages):
            if message["role"] == "system":
                continue
            results = [b["tool_use_id"] for b in blocks(message) if b["type"] == "tool_result"]
            if set(results) != waiting:
                raise Broken(
                    f"messages.{at}: `tool_use` ids {sorted(waiting)} must be followed by their "
                    f"`tool_result` blocks, and these came: {results}"
                )
            waiting = {b["id"] for b in blocks(message) if b["type"] == "tool_use"}
            if any(b["type"] == "text" and not b["text"] for b in blocks(message)):
                raise Broken(f"messages.{at}: text content blocks must be non-empty")
            for block in blocks(message):
                if block["type"] == "thinking" and not self.signed(block):
                    raise Broken(f"messages.{at}: Invalid `signature` in `thinking` block")

    def signed(self, block):
        return block.get("signature") == self.signature(block.get("thinking", ""))

    def signature(self, thought):
        return f"EqoB{len(thought)}+/sig=="

    def echoes(self, messages, conversation):
        """A thought that was said before a call has come back before that call."""
        for at, message in enumerate(messages):
            calls = [block["id"] for block in blocks(message) if block["type"] == "tool_use"]
            turn = self.said.get((conversation.key, calls[0])) if calls else None
            thoughts = [b["thinking"] for b in blocks(message) if b["type"] == "thinking"]
            if turn and turn.reasoning and thoughts != [turn.reasoning]:
                raise Broken(f"messages.{at}: thinking {thoughts}, it was [{turn.reasoning!r}]")

    # === what goes out ===

    def mint(self, conversation, at, name):
        return f"toolu_{next(self.count):024}"

    def remember(self, turn, conversation, ids):
        self.said[(conversation.key, ids[0] if ids else turn.text)] = turn

    def content(self, turn, ids):
        found = []
        if turn.reasoning:
            signature = self.signature(turn.reasoning)
            found.append({"type": "thinking", "thinking": turn.reasoning, "signature": signature})
        if turn.text:
            found.append({"type": "text", "text": turn.text})
        for identity, (name, arguments) in zip(ids, turn.calls):
            found.append({"type": "tool_use", "id": identity, "name": name, "input": arguments})
        return found

    def whole(self, turn, ids, body):
        stop = turn.finish or ("tool_use" if turn.calls else "end_turn")
        return {
            "id": f"msg_{next(self.count):024}",
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": self.content(turn, ids),
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": {
                "input_tokens": 30,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 16,
                "output_tokens": max(1, len(turn.text + turn.reasoning) // 4),
            },
        }

    def frames(self, turn, ids, body):
        whole = self.whole(turn, ids, body)
        opening = whole | {"content": [], "stop_reason": None}
        opening["usage"] = whole["usage"] | {"output_tokens": 1}
        yield event("message_start", message=opening)
        yield event("ping")
        for index, block in enumerate(whole["content"]):
            empty, deltas = delta_of(block)
            yield event("content_block_start", index=index, content_block=empty)
            for delta in deltas:
                yield event("content_block_delta", index=index, delta=delta)
            yield event("content_block_stop", index=index)
        stop = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
        yield event("message_delta", delta=stop, usage=whole["usage"])
        yield event("message_stop")

    def error(self, status, message, code=None):
        error = {"type": KINDS.get(status, "api_error"), "message": message}
        if code == "thread":
            details = {"error_code": "thread_unsupported_request", "unsupported": [code]}
            error["details"] = details
        return {"type": "error", "error": error, "request_id": "req_upstream"}

    def error_frames(self, message):
        yield event("error", error={"type": "overloaded_error", "message": message})


def blocks(holder):
    """A message's or a result's content as blocks."""
    content = holder.get("content") or []
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def delta_of(block):
    """A block as a stream opens it, and the deltas that fill it."""
    if block["type"] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": p} for p in pieces(block["thinking"])]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
        return block | {"thinking": "", "signature": ""}, deltas
    if block["type"] == "text":
        return block | {"text": ""}, [{"type": "text_delta", "text": p} for p in pieces(block["text"])]
    text = json.dumps(block["input"], ensure_ascii=False)
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces(text)]
    return block | {"input": {}}, deltas


def event(kind, **members):
    text = json.dumps({"type": kind} | members, ensure_ascii=False)
    return f"event: {kind}\ndata: {text}\n\n".encode()
