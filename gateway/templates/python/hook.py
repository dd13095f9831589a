"""Lowers `temperature` to a maximum. Only the interface is here."""

import json

from cool import cooled
from wit_world import exports
from wit_world.exports.on_upstream_request import Verdict, Verdict_Next
from wit_world.imports import config, document, log

ABOUT = {
    "version": "0.1.0",
    "summary": "Lowers `temperature` to a maximum.",
    "config": {
        "type": "object",
        "properties": {"max": {"type": "number", "minimum": 0}},
        "required": ["max"],
        "additionalProperties": False,
    },
}


class About(exports.About):
    def describe(self) -> str:
        return json.dumps(ABOUT)


class OnUpstreamRequest(exports.OnUpstreamRequest):
    def handle(self) -> Verdict:
        most = json.loads(config.get())["max"]
        asked = json.loads(document.get("/temperature") or "null")
        lowered = cooled(asked, most)
        if lowered != asked:
            document.set("/temperature", json.dumps(lowered))
            log.write(log.Level.INFO, "Cooled down.", [])
        return Verdict_Next()
