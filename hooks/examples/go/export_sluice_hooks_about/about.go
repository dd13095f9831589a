// Package export_sluice_hooks_about is what the hook says of itself.
package export_sluice_hooks_about

const about = `{
	"version": "0.1.0",
	"summary": "Redacts e-mail addresses in answers, and caps max_tokens.",
	"config": {
		"type": "object",
		"properties": { "max_tokens": { "type": "integer", "minimum": 1 } },
		"required": ["max_tokens"],
		"additionalProperties": false
	},
	"needs": { "prompt": "write", "headers": ["x-redacted-by"] }
}`

func Describe() string {
	return about
}
