// Package collect keeps Go's collector to moments at which it may run.
//
// By itself it may also run while the gateway puts a value into the hook's memory,
// when a component must not call out, not even for the time that the collector asks
// for: the call would trap ("cannot leave component instance",
// github.com/bytecodealliance/componentize-go/issues/77).
package collect

import (
	"runtime"
	"runtime/debug"
)

// What may pile up between two collections: little of the 64 MiB that a hook has.
const bytesMax = 4 << 20

var bytes int

func init() {
	debug.SetGCPercent(-1)
}

// After is called from a stage that has worked on so many bytes.
func After(worked int) {
	// What a byte costs on its way in and out, and each call beside it, roughly.
	bytes += 16*worked + 1024
	if bytes > bytesMax {
		bytes = 0
		runtime.GC()
	}
}
