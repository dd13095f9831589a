// Package export_sluice_hooks_on_stream redacts the text of answers.
package export_sluice_hooks_on_stream

import (
	"runtime"

	"wit_component/collect"
	"wit_component/redact"
	. "wit_component/sluice_hooks_on_stream"

	. "go.bytecodealliance.org/pkg/wit/types"
)

// Watcher watches the text of one answer. `pinner` and `handle` are the bindings'.
type Watcher struct {
	pinner   runtime.Pinner
	handle   int32
	redactor redact.Redactor
	block    uint32
}

func WatcherOpen() Result[Option[Tuple2[*Watcher, Kinds]], string] {
	opened := Tuple2[*Watcher, Kinds]{F0: new(Watcher), F1: KindsText | KindsBlockStop}
	return Ok[Option[Tuple2[*Watcher, Kinds]], string](Some(opened))
}

func (w *Watcher) Handle(events []Event) Result[Action, string] {
	var out []Event
	for _, event := range events {
		collect.After(len(event.Text.SomeOr("")))
		if event.Kind == KindText {
			w.block = event.Block
			out = w.say(out, w.redactor.Feed(event.Text.SomeOr("")))
		} else {
			out = append(w.say(out, w.redactor.Finish()), event)
		}
	}
	return Ok[Action, string](MakeActionEmit(out))
}

func (w *Watcher) Finish(how Ending) Result[[]Event, string] {
	return Ok[[]Event, string](w.say(nil, w.redactor.Finish()))
}

func (w *Watcher) say(out []Event, text string) []Event {
	if text == "" {
		return out
	}
	return append(out, Event{Kind: KindText, Block: w.block, Text: Some(text), Data: None[string]()})
}

// OnDrop is called when the gateway lets go of the watcher.
func (w *Watcher) OnDrop() {}
