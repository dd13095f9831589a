// Package redact redacts e-mail addresses in text that arrives in pieces, cut
// anywhere.
//
// A word (a run of the characters that addresses are made of) is held until it
// ends, so any cut gives the same text. Knows nothing of gateways.
package redact

import "strings"

// No address is longer (RFC 5321), so no longer word is held.
const wordMax = 254

// Redactor is the state between two pieces.
type Redactor struct {
	word []byte
	// Inside a word that is too long for an address: it passes.
	passing bool
}

// Feed takes a piece, and returns what is certain by now.
func (r *Redactor) Feed(text string) string {
	var out strings.Builder
	for i := range len(text) {
		c := text[i]
		switch {
		case !isOfWord(c):
			out.WriteString(r.Finish())
			out.WriteByte(c)
		case r.passing:
			out.WriteByte(c)
		default:
			r.word = append(r.word, c)
			if len(r.word) > wordMax {
				out.Write(r.word)
				r.word, r.passing = r.word[:0], true
			}
		}
	}
	return out.String()
}

// Finish returns the word that was held, which has ended.
func (r *Redactor) Finish() string {
	word := string(r.word)
	r.word, r.passing = r.word[:0], false
	if core := strings.Trim(word, ".-"); isEmail(core) {
		return strings.Replace(word, core, "[email]", 1)
	}
	return word
}

func isOfWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		strings.IndexByte("._%+-@", c) >= 0
}

// `local@domain`, with a dot in the domain.
func isEmail(word string) bool {
	local, domain, found := strings.Cut(word, "@")
	return found && local != "" && !strings.Contains(domain, "@") &&
		strings.LastIndexByte(domain, '.') > 0
}
