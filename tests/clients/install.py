"""The clients that are driven, installed privately into one folder.

Versions are pinned, so that a failure is the gateway's and not a release's. Packages come
through `npm` and `pip` as the machine has them set up; nothing here names a registry.
"""

import json
import subprocess
import sys
from pathlib import Path

# Named outright: on an old Node a bare install picks an old Claude Code without a word.
NPM = {
    "claude-code": {"@anthropic-ai/claude-code": "2.1.330"},
    "sdk": {"@anthropic-ai/sdk": "1.12.0", "openai": "7.57.0", "zod": "4.6.7"},
}
PIP = {"anthropic": "2.12.0", "openai": "3.54.0"}


class Clients:
    """Where each client is once `install` has returned."""

    def __init__(self, cache):
        self.cache = Path(cache).expanduser().absolute()
        self.python = self.cache / "venv" / "bin" / "python"
        self.node_modules = self.cache / "sdk" / "node_modules"
        self.claude = self.cache / "claude-code" / "node_modules" / ".bin" / "claude"


def install(cache):
    """Brings `cache` up to the pinned versions, and does nothing if it is."""
    clients = Clients(cache)
    stamp = clients.cache / "versions.json"
    wanted = json.dumps([NPM, PIP])
    if stamp.is_file() and stamp.read_text() == wanted:
        return clients
    print(f"Installing the clients into {clients.cache}.", file=sys.stderr)
    for folder, packages in NPM.items():
        at = clients.cache / folder
        at.mkdir(parents=True, exist_ok=True)
        manifest = {"name": folder, "private": True, "dependencies": packages}
        (at / "package.json").write_text(json.dumps(manifest))
        run(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"], at)
    if not clients.python.exists():
        run([sys.executable, "-m", "venv", str(clients.cache / "venv")], clients.cache)
    pinned = [f"{name}=={version}" for name, version in PIP.items()]
    run([str(clients.python), "-m", "pip", "install", "--quiet", *pinned], clients.cache)
    stamp.write_text(wanted)
    return clients


def run(command, folder):
    """Runs a command, and ends the driver with its output if it fails."""
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout.decode(errors='replace')}")
