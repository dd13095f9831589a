// Package export_sluice_hooks_on_upstream_request lowers `temperature`. Only the
// interface is here.
package export_sluice_hooks_on_upstream_request

import (
	"encoding/json"
	"fmt"

	"wit_component/cool"
	"wit_component/sluice_hooks_config"
	"wit_component/sluice_hooks_document"
	"wit_component/sluice_hooks_log"
	. "wit_component/sluice_hooks_on_upstream_request"

	. "go.bytecodealliance.org/pkg/wit/types"
)

func Handle() Result[Verdict, string] {
	if err := handle(); err != nil {
		// The hook broke: the gateway's policy decides, and its log has the text.
		return Err[Verdict](err.Error())
	}
	return Ok[Verdict, string](MakeVerdictNext())
}

func handle() error {
	var config struct {
		Max float64 `json:"max"`
	}
	if err := json.Unmarshal([]byte(sluice_hooks_config.Get()), &config); err != nil {
		return err
	}
	got := sluice_hooks_document.Get("/temperature")
	if got.IsErr() {
		return fmt.Errorf("/temperature: %v", got.Err())
	}
	lowered, isLowered := cool.Lowered(got.Ok().SomeOr("null"), config.Max)
	if !isLowered {
		return nil
	}
	if set := sluice_hooks_document.Set("/temperature", lowered); set.IsErr() {
		return fmt.Errorf("/temperature: %v", set.Err())
	}
	sluice_hooks_log.Write(sluice_hooks_log.LevelInfo, "Cooled down.", nil)
	return nil
}
