"""The cases: what a client does through the gateway, and what must come of it.

A case is a function of a `Driver` that returns its results as `(name, reason)`, with an empty
reason if all is well. It is listed with the name it is chosen by.
"""

import dataclasses
from pathlib import Path


@dataclasses.dataclass
class Driver:
    """What cases share."""

    clients: object
    upstream: object
    gateway: object
    folder: Path

    def broken(self, *keys):
        """The vendors' rules that these cases' requests broke, once each."""
        asked = [one for key in keys for one in self.upstream.of(key) if one.broken]
        return list(dict.fromkeys(f"{one.vendor} refused: {one.broken}" for one in asked))


def all_cases():
    """Every case as `(name, function)`."""
    from . import claude_code, sdks

    return [*claude_code.cases(), *sdks.cases()]
