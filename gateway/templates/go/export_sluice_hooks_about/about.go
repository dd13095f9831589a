// Package export_sluice_hooks_about is what the hook says of itself.
package export_sluice_hooks_about

const about = `{
	"version": "0.1.0",
	"summary": "Lowers ` + "`temperature`" + ` to a maximum.",
	"config": {
		"type": "object",
		"properties": { "max": { "type": "number", "minimum": 0 } },
		"required": ["max"],
		"additionalProperties": false
	}
}`

func Describe() string {
	return about
}
