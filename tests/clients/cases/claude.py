"""Runs the real Claude Code, headless, with a home of its own."""

import dataclasses
import json
import os
import signal
import subprocess
import time

from gateway import KEY


@dataclasses.dataclass
class Ran:
    """How a run ended, and what it showed on its way."""

    code: int
    text: str
    events: list
    seconds: float
    stderr: str

    def calls(self, name):
        """The inputs that a tool was called with."""
        blocks = [
            block
            for event in self.events
            if event.get("type") == "assistant"
            for block in event["message"]["content"]
        ]
        return [b["input"] for b in blocks if b.get("type") == "tool_use" and b["name"] == name]

    def expect(self, text):
        """An empty reason if the run ended well with `text`."""
        if self.code == 0 and self.text == text:
            return ""
        return f"exit code {self.code}, answered {self.text[:300]!r}, expected {text!r}"


def claude(driver, folder, model, prompt, arguments=(), key=KEY, timeout=180, **environment):
    """One run of `claude -p`. Its tools need no permission: what they do is scripted here."""
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    settings = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(home),
        "LANG": "C.UTF-8",
        "IS_SANDBOX": "1",  # without it, root may not skip permissions
        "ANTHROPIC_BASE_URL": driver.gateway.base_url,
        "ANTHROPIC_AUTH_TOKEN": key,
        "ANTHROPIC_MODEL": model,
        "CLAUDE_CODE_MAX_CONTEXT_TOKENS": "128000",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    command = [str(driver.clients.claude), "-p", prompt, "--output-format", "stream-json"]
    command += ["--verbose", "--dangerously-skip-permissions", *arguments]
    begun = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=settings | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
    events = [json.loads(line) for line in out.decode().splitlines() if line.startswith("{")]
    result = next((event for event in events if event.get("type") == "result"), {})
    return Ran(
        process.returncode,
        result.get("result") or "",
        events,
        time.monotonic() - begun,
        err.decode(errors="replace"),
    )
