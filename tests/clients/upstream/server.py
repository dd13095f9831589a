"""The HTTP server under the mocks: finds the vendor, checks, plays, renders, records."""

import dataclasses
import http.server
import json
import socket
import threading

from .dashscope import DashScope
from .deepseek import DeepSeek
from .messages import Messages, Unsupported
from .mistral import Mistral
from .moonshot import Moonshot
from .openrouter import OpenRouter
from .rules import Broken
from .script import Script
from .vllm import Vllm
from .zai import Zai

VENDORS = (DeepSeek, Moonshot, Zai, OpenRouter, Mistral, DashScope, Vllm, Messages)


@dataclasses.dataclass
class Asked:
    """A request that came, and the rule it broke, if it did."""

    vendor: str
    key: str
    streamed: bool
    body: dict
    broken: str = ""


class Upstream:
    """All vendors on one port of loopback, each under `/NAME/v1`."""

    def __init__(self):
        self.vendors = {vendor.name: vendor() for vendor in VENDORS}
        self.script = Script()
        self.asked = []
        self.lock = threading.Lock()
        handler = type("Bound", (Handler,), {"upstream": self})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def record(self, asked):
        with self.lock:
            self.asked.append(asked)

    def of(self, key):
        """The requests of one case, its side requests included."""
        with self.lock:
            return [asked for asked in self.asked if asked.key in (key, f"{key}-side")]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream = None

    def log_message(self, *_):
        """Requests are recorded, not logged."""

    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        name, _, endpoint = self.path.strip("/").partition("?")[0].partition("/")
        vendor = self.upstream.vendors.get(name)
        if vendor is None or endpoint != f"v1/{vendor.endpoint}":
            return self.json(404, {"error": {"message": f"nothing at {self.path}"}})
        body = json.loads(raw)
        conversation = vendor.conversation(body)
        asked = Asked(name, conversation.key, bool(body.get("stream")), body)
        headers = {key.lower(): value for key, value in self.headers.items()}
        try:
            vendor.check(body, headers, conversation)
        except Broken as broken:
            asked.broken = "" if isinstance(broken, Unsupported) else broken.message
            self.upstream.record(asked)
            return self.json(
                broken.status, vendor.error(broken.status, broken.message, broken.code)
            )
        self.upstream.record(asked)
        self.answer(vendor, body, conversation)

    def answer(self, vendor, body, conversation):
        turn = self.upstream.script.play(conversation)
        if turn.status != 200:
            return self.json(turn.status, vendor.error(turn.status, turn.message), turn.headers)
        ids = [vendor.mint(conversation, at, call[0]) for at, call in enumerate(turn.calls)]
        vendor.remember(turn, conversation, ids)
        if not body.get("stream"):
            if turn.error:
                return self.json(503, vendor.error(503, turn.message))
            return self.json(200, vendor.whole(turn, ids, body))
        frames = list(vendor.frames(turn, ids, body))
        if turn.cut:
            return self.stream(frames[: len(frames) * 2 // 3], whole=False)
        if turn.error == "first":
            frames = list(vendor.error_frames(turn.message))
        elif turn.error == "late":
            frames = frames[: len(frames) * 2 // 3] + list(vendor.error_frames(turn.message))
        self.stream(frames)

    def json(self, status, value, headers=None):
        raw = json.dumps(value, ensure_ascii=False).encode()
        self.send_response(status)
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def stream(self, frames, whole=True):
        """Frames one by one; without its last chunk, the body ends as a cut connection."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for frame in frames:
            self.wfile.write(f"{len(frame):x}\r\n".encode() + frame + b"\r\n")
            self.wfile.flush()
        if whole:
            self.wfile.write(b"0\r\n\r\n")
            return
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
