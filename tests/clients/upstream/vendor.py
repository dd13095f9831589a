"""What all mocks of Chat Completions have in common. A vendor's class says what differs."""

import itertools
import json
import time

from . import rules
from .script import Conversation, Message


def text_of(content):
    """The text of a message's content, whichever form it has."""
    if isinstance(content, list):
        return "\n".join(part.get("text", "") for part in content if part.get("type") == "text")
    return content or ""


def pieces(text, size=7):
    """Text in small pieces, as a stream brings it."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def data(value):
    """One server-sent event."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"data: {text}\n\n".encode()


class Vendor:
    """A vendor's rules (`check`), its way of answering (`frames`, `whole`) and of refusing."""

    name = ""  # also the path it is mounted at, and the name clients ask for
    provider = ""  # its row of the catalogue
    model = ""
    endpoint = "chat/completions"
    output_limit = 65536
    stop_max = 4
    system_first = False
    parts = {"image_url"}
    message_members = frozenset()
    #: Whether parts may carry `cache_control`.
    cache_marks = False
    roles = ("system", "user", "assistant", "tool")
    finishes = {"stop": "stop", "calls": "tool_calls"}

    def __init__(self):
        self.count = itertools.count(1)
        self.said = {}  # what was said under a case's key, by its first call's id or its text

    # === what comes in ===

    def conversation(self, body):
        """The request without its form."""
        found = []
        for message in body.get("messages") or []:
            text = text_of(message.get("content"))
            if message.get("role") == "tool":
                results = [(message.get("tool_call_id"), text)]
                found.append(Message("tool", results=results))
                continue
            made = message.get("tool_calls") or []
            calls = [(call.get("id"), call["function"]["name"]) for call in made]
            found.append(Message(message.get("role", ""), text, calls))
        tools = [tool.get("function", {}).get("name") for tool in body.get("tools") or []]
        return Conversation(found, tools)

    def check(self, body, headers, conversation):
        """Raises `Broken` at the first rule that the request breaks."""
        if not headers.get("authorization", "").startswith("Bearer "):
            raise rules.Broken("No bearer token.", status=401)
        rules.check(self, body)
        self.rules(body)
        if conversation.options.get("echo") != "no":
            self.echoes(body, conversation)

    def rules(self, body):
        """The vendor's own rules."""

    def echoes(self, body, conversation):
        """What was reasoned has come back with the message it was said with."""
        for at, message in enumerate(body["messages"]):
            if message.get("role") != "assistant":
                continue
            calls = message.get("tool_calls") or [{}]
            place = calls[0].get("id") or text_of(message.get("content"))
            turn = self.said.get((conversation.key, place))
            if turn and turn.reasoning:
                self.echo(message, turn, f"messages[{at}]")

    def echo(self, message, turn, where):
        """The reasoning of `turn` is in `message`, if the vendor wants it."""

    def same(self, message, field, turn, where):
        """`field` holds the reasoning of `turn`, to the letter."""
        if message.get(field) != turn.reasoning:
            got = json.dumps(message.get(field), ensure_ascii=False)
            wanted = json.dumps(turn.reasoning, ensure_ascii=False)
            raise rules.Broken(f"{where}.{field}: {got} came back, it was said as {wanted}")

    # === what goes out ===

    def mint(self, conversation, at, name):
        """The id of the turn's call number `at`."""
        return f"call_{self.name}_{next(self.count)}"

    def remember(self, turn, conversation, ids):
        """Keeps what is said, to compare it with what comes back."""
        place = ids[0] if ids else turn.text
        self.said[(conversation.key, place)] = turn

    def finish(self, turn):
        return turn.finish or self.finishes["calls" if turn.calls else "stop"]

    def usage(self, body, turn):
        prompt = max(20, len(json.dumps(body["messages"])) // 4)
        completion = max(1, len(turn.text + turn.reasoning) // 4)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }

    def head(self):
        return {"id": f"chatcmpl-{next(self.count)}", "created": int(time.time()), "model": self.model}

    def call(self, identity, name, arguments):
        return {
            "id": identity,
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)},
        }

    def message(self, turn, ids):
        """A whole answer's message."""
        made = {"role": "assistant", "content": turn.text or None}
        if turn.calls:
            made["tool_calls"] = [self.call(i, *call) for i, call in zip(ids, turn.calls)]
        return made

    def whole(self, turn, ids, body):
        choice = {"index": 0, "message": self.message(turn, ids), "finish_reason": self.finish(turn)}
        return self.head() | {
            "object": "chat.completion",
            "choices": [choice],
            "usage": self.usage(body, turn),
        }

    def deltas(self, turn, ids):
        """The stream's pieces, in the vendor's form."""
        yield {"role": "assistant", "content": ""}
        for piece in pieces(turn.reasoning):
            yield self.reasoning_delta(piece)
        for piece in pieces(turn.text):
            yield {"content": piece}
        for at, (identity, (name, arguments)) in enumerate(zip(ids, turn.calls)):
            yield from self.call_deltas(at, identity, name, arguments)

    def reasoning_delta(self, piece):
        return {"reasoning_content": piece}

    def call_deltas(self, at, identity, name, arguments):
        """A call's head, then its arguments in pieces."""
        call = self.call(identity, name, arguments)
        text = call["function"]["arguments"]
        call["function"]["arguments"] = ""
        yield {"tool_calls": [{"index": at} | call]}
        for piece in pieces(text):
            yield {"tool_calls": [{"index": at, "function": {"arguments": piece}}]}

    def chunk(self, head, delta, finish=None):
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return head | {"object": "chat.completion.chunk", "choices": [choice]}

    def frames(self, turn, ids, body):
        """The whole stream, frame by frame."""
        head = self.head()
        for delta in self.deltas(turn, ids):
            yield data(self.chunk(head, delta))
        yield data(self.chunk(head, {}, self.finish(turn)))
        if (body.get("stream_options") or {}).get("include_usage"):
            usage = {"choices": [], "usage": self.usage(body, turn)}
            yield data(head | {"object": "chat.completion.chunk"} | usage)
        yield data("[DONE]")

    # === refusals ===

    def error(self, status, message, code=None):
        """A body of an error in the vendor's shape."""
        kind = "invalid_request_error" if status < 500 else "server_error"
        return {"error": {"message": message, "type": kind, "param": None, "code": code}}

    def error_frames(self, message):
        """An error inside a stream that began with 200."""
        yield data(self.error(503, message))
