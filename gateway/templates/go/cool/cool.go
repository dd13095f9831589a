// Package cool is what the hook does, apart from the interface, so that it is
// tested natively.
package cool

import (
	"encoding/json"
	"strconv"
)

// Lowered is the temperature to send in place of asked, JSON text, if that is a
// number above max.
func Lowered(asked string, max float64) (string, bool) {
	var number float64
	if json.Unmarshal([]byte(asked), &number) != nil || number <= max {
		return "", false
	}
	return strconv.FormatFloat(max, 'g', -1, 64), true
}
