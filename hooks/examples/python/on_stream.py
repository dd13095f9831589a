"""The stage `on-stream`. componentize-py looks for an interface's resources in
the module of its name."""

from redact import Redactor
from wit_world.exports import on_stream
from wit_world.exports.on_stream import Action, Action_Emit, Ending, Event, Kind, Kinds


class Watcher(on_stream.Watcher):
    """Watches the text of one answer."""

    def __init__(self) -> None:
        self.redactor = Redactor()
        self.block = 0

    @classmethod
    def open(cls) -> tuple["Watcher", Kinds] | None:
        return cls(), Kinds.TEXT | Kinds.BLOCK_STOP

    def handle(self, events: list[Event]) -> Action:
        out: list[Event] = []
        for event in events:
            if event.kind == Kind.TEXT:
                self.block = event.block
                out += self.said(self.redactor.feed(event.text or ""))
            else:
                out += self.said(self.redactor.finish())
                out.append(event)
        return Action_Emit(out)

    def finish(self, how: Ending) -> list[Event]:
        return self.said(self.redactor.finish())

    def said(self, text: str) -> list[Event]:
        return [Event(Kind.TEXT, self.block, text, None)] if text else []
