"""What the "model" says, the same whatever vendor says it.

A prompt holds a marker, which passes through any gateway as it is text:

    [[play NAME id=KEY option=value ...]]

NAME is a function below. KEY names the case, so that requests are told apart. How many tool
turns lie between the marker and the end of the conversation is the step of the script: nothing
is remembered but how often a failing script was asked.

Knows nothing of wire formats: a vendor's class turns its requests into `Conversation`, and
renders a `Turn` in its own form.
"""

import collections
import dataclasses
import json
import re
import threading

MARKER = re.compile(r"\[\[play ([a-z_]+)((?: [a-z_]+=[^\s\]]+)*)\]\]")
SECRET = re.compile(r"secret-[a-z0-9]+")
SPOKEN = "Plainly said: h\u00e9llo \u6f22\u5b57 \U0001f600, and that is all."
THOUGHT = "Let me think: caf\u00e9 \u6771\u4eac \U0001f680, then I know."


@dataclasses.dataclass
class Message:
    """One message of a request, without its vendor's form."""

    role: str
    text: str = ""
    calls: list = dataclasses.field(default_factory=list)  # (id, name)
    results: list = dataclasses.field(default_factory=list)  # (id, text)


@dataclasses.dataclass
class Turn:
    """What is said next: an answer, or how it fails."""

    text: str = ""
    reasoning: str = ""
    calls: list = dataclasses.field(default_factory=list)  # (name, arguments)
    finish: str = ""  # the vendor's own word, where a script wants one
    status: int = 200
    headers: dict = dataclasses.field(default_factory=dict)
    message: str = ""
    cut: bool = False  # the connection ends in the middle of the stream
    error: str = ""  # an error inside a 200 stream: `first` or `late`


class Conversation:
    """A request's messages, and where in its script it stands."""

    def __init__(self, messages, tools=()):
        self.messages, self.tools = messages, list(tools)
        self.name, self.options, start = "", {}, 0
        for at, message in enumerate(messages):
            for found in MARKER.finditer(message.text if message.role == "user" else ""):
                self.name, start = found[1], at
                self.options = dict(option.split("=", 1) for option in found[2].split())
        self.since = messages[start:]
        self.step = sum(1 for message in self.since if message.calls)

    @property
    def key(self):
        return self.options.get("id", "")

    @property
    def calls(self):
        """How many calls the whole conversation holds."""
        return sum(len(message.calls) for message in self.messages)

    def results(self):
        """Texts of the last tool turn's results, in the order of its calls."""
        last = max(at for at, message in enumerate(self.since) if message.calls)
        found = {}
        for message in self.since[last + 1 :]:
            found.update(message.results)
        return [found.get(identity, "") for identity, _ in self.since[last].calls]


class Script:
    """Plays scripts. Counts how often each case asked, for those that fail at first."""

    def __init__(self):
        self.asked = collections.Counter()
        self.lock = threading.Lock()

    def play(self, conversation):
        if conversation.name not in SCRIPTS:
            return Turn(text="A side answer.")
        with self.lock:
            self.asked[conversation.key] += 1
            asked = self.asked[conversation.key]
        return SCRIPTS[conversation.name](conversation, asked)


# === scripts ===


def say(conversation, _asked):
    """Text alone, with reasoning if `think=yes`; `finish=` ends it with a vendor's word."""
    options = conversation.options
    reasoning = THOUGHT if options.get("think") == "yes" else ""
    return Turn(text=SPOKEN, reasoning=reasoning, finish=options.get("finish", ""))


def shell(conversation, _asked):
    """An agent's loop: a call, then two at once, then what their results said."""
    folder = conversation.options["folder"]

    def bash(command):
        return ("Bash", {"command": command, "description": "Look at a file"})

    if conversation.step == 0:
        return Turn(
            reasoning=THOUGHT, text="I look.", calls=[bash(f"cat {folder}/one.txt")]
        )
    if conversation.step == 1:
        read = ("Read", {"file_path": f"{folder}/two.txt"})
        first = SECRET.findall(" ".join(conversation.results()))
        third = f"cat {folder}/three.txt; echo {' '.join(first)}"
        return Turn(reasoning="And the others.", calls=[read, bash(third)])
    found = [SECRET.findall(text) for text in conversation.results()]
    return Turn(reasoning="Now I know.", text=f"FOUND {json.dumps(found)}")


def weather(conversation, _asked):
    """A program's loop: two calls at once, one more, then all three results."""

    def ask(city):
        return ("get_weather", {"city": city, "days": 2})

    if conversation.step == 0:
        return Turn(
            reasoning=THOUGHT, text="I ask.", calls=[ask("Paris"), ask("Troms\u00f8")]
        )
    if conversation.step == 1:
        return Turn(reasoning="One more.", calls=[ask(", ".join(conversation.results()))])
    return Turn(reasoning="Done.", text=f"WEATHER {'; '.join(conversation.results())}")


def bare(conversation, _asked):
    """A call without arguments and without a word beside it."""
    if conversation.step == 0:
        return Turn(calls=[("get_time", {})])
    return Turn(text=f"TIME {conversation.results()[0]}")


def structured(_conversation, _asked):
    """What a schema of a city and a number of degrees allows."""
    return Turn(text=json.dumps({"city": "Paris", "degrees": 21}))


def search(conversation, _asked):
    """Loads a deferred tool through ToolSearch, and calls it."""
    tool = conversation.options["tool"]
    if conversation.step == 0:
        return Turn(calls=[("ToolSearch", {"query": f"select:{tool}", "max_results": 5})])
    if conversation.step == 1:
        if tool not in conversation.tools:
            return Turn(text=f"ABSENT {tool}: {conversation.results()}")
        return Turn(calls=[(tool, {"text": "ping \u00e9"})])
    return Turn(text=f"LOADED {conversation.results()[0]}")


def web(conversation, _asked):
    """Calls WebSearch, which Claude Code answers by a side request of its own."""
    used = [name for message in conversation.since for _, name in message.calls]
    if "WebSearch" in used:
        return Turn(text=f"SEARCHED {conversation.results()[0]}")
    if "WebSearch" in conversation.tools:
        query = f"[[play say id={conversation.key}-side]]"
        return Turn(calls=[("WebSearch", {"query": query})])
    if conversation.step == 0:
        return Turn(calls=[("ToolSearch", {"query": "select:WebSearch", "max_results": 3})])
    return Turn(text="ABSENT WebSearch")


def cut(conversation, asked):
    """A stream that breaks off the first `times` times."""
    turn = say(conversation, asked)
    return dataclasses.replace(turn, cut=asked <= int(conversation.options["times"]))


def fail(conversation, asked):
    """An HTTP error the first `times` times (ever, by default), then an answer."""
    options = conversation.options
    if asked > int(options.get("times", "1000000")):
        return Turn(text=f"RECOVERED after {asked - 1}")
    headers = {}
    if "after" in options:
        headers["retry-after"] = options["after"]
    return Turn(
        status=int(options["status"]), headers=headers, message="The vendor's own words."
    )


def broken(conversation, _asked):
    """An error inside a stream that began with 200: before (`first`) or after a word."""
    return Turn(
        text=SPOKEN, error=conversation.options["when"], message="The vendor's own words."
    )


SCRIPTS = {
    script.__name__: script
    for script in (say, shell, weather, bare, structured, search, web, cut, fail, broken)
}
