"""A `sluice serve` of its own for the driver, with every vendor mock as an upstream."""

import json
import os
import re
import subprocess
import threading

KEY = "sk-driver"
ADDRESS = re.compile(r"Listening\. addr=(127\.0\.0\.1:\d+)")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def config(upstream):
    """Each vendor by its own row of the catalogue; only the address is another."""
    upstreams, models = {}, {"claude-*": {"upstream": "messages", "model": "claude-sonnet-4-5"}}
    for name, vendor in upstream.vendors.items():
        upstreams[name] = {
            "provider": vendor.provider,
            "base_url": f"{upstream.base_url}/{name}/v1",
            "api_key": "vendor-key",
        }
        models[name] = {"upstream": name, "model": vendor.model}
    drain = {"announce_ms": 0}  # nobody else calls
    return {
        "listen": "127.0.0.1:0",
        "keys": [KEY],
        "drain": drain,
        "upstreams": upstreams,
        "models": models,
    }


class Gateway:
    """Runs from `start` to `stop`; `log` is what it wrote so far."""

    def __init__(self, binary, folder, upstream):
        path = folder / "sluice.yaml"
        path.write_text(json.dumps(config(upstream), indent=1))  # YAML holds JSON
        environment = {"PATH": os.environ.get("PATH", ""), "NO_COLOR": "1", "SLUICE_LOG": "info"}
        environment["SLUICE_LOG_FORMAT"] = "pretty"
        command = [str(binary), "serve", "--config", str(path)]
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        self.log = []
        self.base_url = None
        self.listening = threading.Event()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stderr:
            line = COLOUR.sub("", line.decode(errors="replace")).rstrip()
            self.log.append(line)
            address = ADDRESS.search(line)
            if address:
                self.base_url = f"http://{address[1]}"
                self.listening.set()
        self.listening.set()

    def start(self):
        """Waits until it listens; its log is the reason if it never does."""
        if not self.listening.wait(30) or self.base_url is None:
            self.stop()
            raise RuntimeError("sluice did not start:\n" + "\n".join(self.log))
        return self

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
