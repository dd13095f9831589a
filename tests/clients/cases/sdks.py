"""The official SDKs, each as a program of its own that reports check by check."""

import json
import shutil
import subprocess
from pathlib import Path

from gateway import KEY
from upstream.server import VENDORS

FOLDER = Path(__file__).parent.parent / "sdk"
PROGRAMS = {
    "anthropic-python": "anthropic_python.py",
    "openai-python": "openai_python.py",
    "anthropic-typescript": "anthropic_typescript.mjs",
    "openai-typescript": "openai_typescript.mjs",
}


def cases():
    """One case for each SDK and vendor; each reports several checks."""
    return [
        (f"IN02-{sdk}/{vendor.name}", run(sdk, vendor.name))
        for sdk in PROGRAMS
        for vendor in VENDORS
    ]


def run(sdk, vendor):
    def bound(driver):
        prefix = f"{sdk}-{vendor}"
        name = f"IN02-{sdk}/{vendor}"
        done = subprocess.run(
            command(driver, PROGRAMS[sdk], vendor, prefix),
            cwd=driver.folder,
            capture_output=True,
            timeout=300,
        )
        lines = done.stdout.decode(errors="replace").splitlines()
        checks = [json.loads(line) for line in lines if line.startswith('{"check"')]
        if done.returncode or not checks:
            return [(name, f"exit code {done.returncode}: {done.stderr.decode()[-800:]}")]
        return [(f"{name}/{one['check']}", reason(driver, prefix, one)) for one in checks]

    return bound


def reason(driver, prefix, one):
    refused = driver.broken(f"{prefix}-{one['check']}")
    return "; ".join([*refused, one["reason"]]) if one["reason"] or refused else ""


def command(driver, program, vendor, prefix):
    """The program, and where, as whom and for which vendor it asks."""
    arguments = [driver.gateway.base_url, KEY, vendor, prefix]
    if program.endswith(".py"):
        return [str(driver.clients.python), str(FOLDER / program), *arguments]
    # Modules are found beside the file that imports them, so the program goes there.
    beside = driver.clients.node_modules.parent
    for file in FOLDER.glob("*.mjs"):
        shutil.copy(file, beside / file.name)
    return ["node", str(beside / program), *arguments]
