package redact

import (
	"strings"
	"testing"
)

// Every cut of `text` into two pieces gives `expected`.
func check(t *testing.T, text, expected string) {
	t.Helper()
	for at := range len(text) + 1 {
		var r Redactor
		if out := r.Feed(text[:at]) + r.Feed(text[at:]) + r.Finish(); out != expected {
			t.Errorf("cut at %d: %q", at, out)
		}
	}
}

func TestAddressesAreRedacted(t *testing.T) {
	check(t, "to ann.b+c@mail.example.org.", "to [email].")
	check(t, "<a@b.co>, ü@b.co or a@b.co", "<[email]>, ü@b.co or [email]")
	check(t, "-a@b.co-", "-[email]-")
}

func TestOtherWordsStay(t *testing.T) {
	for _, text := range []string{"", "1.5 % of ... x@y or @a.b, a@b@c.d", "a@.b -- ü"} {
		check(t, text, text)
	}
	long := strings.Repeat("a", 250) + "@b.co"
	check(t, long, long)
}
