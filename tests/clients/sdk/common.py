"""What both Python programs share: arguments, checks, and what a weather tool says."""

import json
import sys
import traceback

BASE_URL, KEY, MODEL, PREFIX = sys.argv[1:5]
SPOKEN = "Plainly said: h\u00e9llo \u6f22\u5b57 \U0001f600, and that is all."
THOUGHT = "Let me think: caf\u00e9 \u6771\u4eac \U0001f680, then I know."
WORDS = "The vendor's own words."
# A 1x1 PNG.
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
NOTHING = {"type": "object", "properties": {}}
CHECKS = []


def check(function):
    """Makes a function a check; it gets its own name, to mark its prompts with."""
    CHECKS.append((function.__name__.replace("_", "-"), function))
    return function


def prompt(check, script, **options):
    """The text that makes the scripted upstream play `script`."""
    given = "".join(f" {name}={value}" for name, value in options.items())
    return f"[[play {script} id={PREFIX}-{check}{given}]]"


def report(value, **outcome):
    print(json.dumps({"check": value} | outcome), flush=True)


def main():
    for name, function in CHECKS:
        try:
            function(name)
            report(name, reason="")
        except AssertionError as wrong:
            line = traceback.extract_tb(wrong.__traceback__)[-1].line
            report(name, reason=f"{wrong}"[:600] or line)
        except Exception as error:  # noqa: BLE001, the SDK's refusal is the finding
            report(name, reason=f"{type(error).__name__}: {error}"[:600])


def same(got, wanted):
    assert got == wanted, f"got {got!r}, expected {wanted!r}"


def said(city):
    """What the weather tool answers."""
    return f"{city}: mild"


# What the script `weather` makes of these answers.
FORECAST = "WEATHER " + said(said("Paris") + ", " + said("Troms\u00f8"))


def refuses(kinds, status, call):
    """`call` fails with one of the SDK's own kinds of error, and tells the vendor's words."""
    try:
        call()
    except kinds as error:
        same(error.status_code, status)
        assert WORDS in str(error), f"the vendor's words are missing: {error}"
        return
    raise AssertionError(f"status {status} raised nothing")
