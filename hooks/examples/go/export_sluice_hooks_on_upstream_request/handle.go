// Package export_sluice_hooks_on_upstream_request caps `max_tokens`.
package export_sluice_hooks_on_upstream_request

import (
	"encoding/json"
	"fmt"
	"strconv"

	"wit_component/collect"
	"wit_component/sluice_hooks_config"
	"wit_component/sluice_hooks_current"
	"wit_component/sluice_hooks_document"
	. "wit_component/sluice_hooks_on_upstream_request"

	. "go.bytecodealliance.org/pkg/wit/types"
)

func Handle() Result[Verdict, string] {
	defer collect.After(1024)
	if err := handle(); err != nil {
		// The hook broke: the gateway's policy decides, and its log has the text.
		return Err[Verdict](err.Error())
	}
	return Ok[Verdict, string](MakeVerdictNext())
}

func handle() error {
	var config struct {
		MaxTokens uint64 `json:"max_tokens"`
	}
	if err := json.Unmarshal([]byte(sluice_hooks_config.Get()), &config); err != nil {
		return err
	}
	got := sluice_hooks_document.Get("/max_tokens")
	if got.IsErr() {
		return fmt.Errorf("/max_tokens: %v", got.Err())
	}
	asked, err := strconv.ParseUint(got.Ok().SomeOr("0"), 10, 64)
	if err == nil && asked > config.MaxTokens {
		most := strconv.FormatUint(config.MaxTokens, 10)
		if set := sluice_hooks_document.Set("/max_tokens", most); set.IsErr() {
			return fmt.Errorf("/max_tokens: %v", set.Err())
		}
	}
	if set := sluice_hooks_current.SetHeader("x-redacted-by", "go"); set.IsErr() {
		return fmt.Errorf("x-redacted-by: %v", set.Err())
	}
	return nil
}
