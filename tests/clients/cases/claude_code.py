"""Claude Code end to end."""

import json
import secrets
import sys
from pathlib import Path

from upstream.script import SPOKEN
from upstream.server import VENDORS

from .claude import claude

NAMES = [vendor.name for vendor in VENDORS]


def cases():
    """One case for each vendor, or for each way to fail."""
    found = []
    for case in (tool_loop, stream_cut, thought_cut, stream_error, tool_search, web_search):
        for name in NAMES:
            found.append((f"{case.number}/{name}", run(case, name)))
    for case in (overloaded, stays_overloaded, hour_long_limit, key_of_upstream):
        for name in ("deepseek", "mistral", "messages"):
            found.append((f"{case.number}/{name}", run(case, name)))
    found.append((f"{key_of_gateway.number}", run(key_of_gateway, "deepseek")))
    return found


def run(case, vendor):
    """The case with a key and a folder of its own, and the vendor's refusals as reasons."""

    def bound(driver):
        key = f"{case.__name__}-{vendor}".replace("_", "-")
        folder = driver.folder / key
        folder.mkdir()
        reasons = [case(driver, folder, vendor, key), *driver.broken(key)]
        name = case.number if case is key_of_gateway else f"{case.number}/{vendor}"
        return [(name, "; ".join(reason for reason in reasons if reason))]

    return bound


def numbered(number):
    """Names a case."""

    def decorate(case):
        case.number = number
        return case

    return decorate


@numbered("CC02-tool-loop")
def tool_loop(driver, folder, vendor, key):
    """Three files, two of them read at once, the last call built from the first one's result."""
    words = {name: f"secret-{secrets.token_hex(4)}" for name in ("one", "two", "three")}
    for name, word in words.items():
        (folder / f"{name}.txt").write_text(f"{word}\n")
    ran = claude(driver, folder, vendor, f"[[play shell id={key} folder={folder}]]")
    wanted = [[words["two"]], [words["three"], words["one"]]]
    return ran.expect(f"FOUND {json.dumps(wanted)}")


@numbered("CC03-stream-cut")
def stream_cut(driver, folder, vendor, key):
    """The connection breaks in mid-answer; what is asked again, without a stream, brings the
    whole of it, once. A stream-only vendor is asked for a stream all the same."""
    ran = claude(driver, folder, vendor, f"[[play cut id={key} times=1]]")
    asked = driver.upstream.of(key)
    streamed = [one.streamed for one in asked]
    if len(asked) < 2:
        return f"asked the upstream {len(asked)} times, expected a repeat"
    if all(streamed) != (vendor == "dashscope"):
        return f"a stream was asked for: {streamed}"
    return ran.expect(SPOKEN)


@numbered("CC03-thought-cut")
def thought_cut(driver, folder, vendor, key):
    """The same after a finished thought, which Claude Code keeps: it asks to go on, streamed."""
    ran = claude(driver, folder, vendor, f"[[play cut id={key} times=1 think=yes]]")
    asked = len(driver.upstream.of(key))
    return ran.expect(SPOKEN) if asked == 2 else f"asked the upstream {asked} times"


@numbered("CC03-stream-error")
def stream_error(driver, folder, vendor, key):
    """An error in mid-answer, and an HTTP error when it asks again without a stream: Claude
    Code ends, and tells it in the vendor's words."""
    prompt = f"[[play broken id={key} when=late]]"
    ran = claude(driver, folder, vendor, prompt, CLAUDE_CODE_MAX_RETRIES="1")
    if ran.code == 0 or "The vendor's own words." not in ran.text:
        return f"exit code {ran.code}, told {ran.text!r}"
    return ""


@numbered("CC04-tool-search")
def tool_search(driver, folder, vendor, key):
    """A deferred tool is found by ToolSearch, and called with input that its schema allows."""
    server = {"command": sys.executable, "args": [str(Path(__file__).with_name("mcp_echo.py"))]}
    (folder / "mcp.json").write_text(json.dumps({"mcpServers": {"local": server}}))
    tool = "mcp__local__echo"
    arguments = ["--mcp-config", str(folder / "mcp.json"), "--strict-mcp-config"]
    ran = claude(driver, folder, vendor, f"[[play search id={key} tool={tool}]]", arguments)
    if ran.calls(tool) != [{"text": "ping \u00e9"}]:
        return f"{tool} was called with {ran.calls(tool)}; answered {ran.text!r}"
    return ran.expect("LOADED echoed ping \u00e9")


@numbered("CC05-web-search")
def web_search(driver, folder, vendor, key):
    """WebSearch asks for a server tool in a side request; the main turn goes on with its text."""
    ran = claude(driver, folder, vendor, f"[[play web id={key}]]")
    if ran.code or not ran.text.startswith("SEARCHED "):
        return f"exit code {ran.code}, answered {ran.text!r}"
    if SPOKEN not in ran.text:
        return f"the side request's text is not in the result: {ran.text!r}"
    return ""


@numbered("CC06-529-heals")
def overloaded(driver, folder, vendor, key):
    """Overloaded twice: it waits, tries again, and answers."""
    ran = claude(driver, folder, vendor, f"[[play fail id={key} status=529 times=2]]")
    return ran.expect("RECOVERED after 2")


@numbered("CC06-529-stays")
def stays_overloaded(driver, folder, vendor, key):
    """Overloaded for good: after its tries it ends, and says so."""
    prompt = f"[[play fail id={key} status=529]]"
    ran = claude(driver, folder, vendor, prompt, CLAUDE_CODE_MAX_RETRIES="2")
    if ran.code == 0 or "529" not in ran.text and "verloaded" not in ran.text:
        return f"exit code {ran.code}, told {ran.text!r}"
    tries = len(driver.upstream.of(key))
    return "" if 2 <= tries <= 6 else f"asked {tries} times"


@numbered("CC06-429-hour")
def hour_long_limit(driver, folder, vendor, key):
    """A `retry-after` of an hour comes through: it ends at once instead of hanging."""
    ran = claude(driver, folder, vendor, f"[[play fail id={key} status=429 after=3600]]")
    tries = len(driver.upstream.of(key))
    if ran.code == 0 or tries != 1 or ran.seconds > 60:
        return f"exit code {ran.code}, {tries} tries in {ran.seconds:.0f} s, told {ran.text!r}"
    return ""


@numbered("CC06-401-upstream")
def key_of_upstream(driver, folder, vendor, key):
    """The vendor refuses the gateway's key: hopeless, so there is no second try."""
    ran = claude(driver, folder, vendor, f"[[play fail id={key} status=401]]")
    tries = len(driver.upstream.of(key))
    if ran.code == 0 or tries > 2 or ran.seconds > 60:
        return f"exit code {ran.code}, {tries} tries in {ran.seconds:.0f} s, told {ran.text!r}"
    return "" if "The vendor's own words." in ran.text else f"told {ran.text!r}"


@numbered("CC06-401-gateway")
def key_of_gateway(driver, folder, vendor, key):
    """The client's key is wrong: `x-should-retry: false` makes it give up at once, and it tells
    the gateway's words. It has words of its own for a message that names the header x-api-key."""
    ran = claude(driver, folder, vendor, f"[[play say id={key}]]", key="sk-wrong")
    if ran.code == 0 or ran.seconds > 60 or "no valid API key" not in ran.text:
        return f"exit code {ran.code} after {ran.seconds:.0f} s, told {ran.text!r}"
    return ""
