package cool

import "testing"

func TestOnlyWhatIsTooHotIsCooled(t *testing.T) {
	for asked, expected := range map[string]string{"1.5": "0.7", "0.2": "", "null": "", `"1.5"`: ""} {
		if lowered, _ := Lowered(asked, 0.7); lowered != expected {
			t.Errorf("%s: %q, expected %q", asked, lowered, expected)
		}
	}
}
