// Redacts e-mail addresses in text that arrives in pieces, cut anywhere.
//
// A word (a run of the characters that addresses are made of) is held until it
// ends, so any cut gives the same text. Knows nothing of gateways.

#include <stdbool.h>
#include <stddef.h>

// No address is longer (RFC 5321), so no longer word is held.
#define WORD_MAX 254

// The state between two pieces; all zero at first.
struct redactor {
    char word[WORD_MAX + 1];
    size_t len;
    bool passing; // inside a word that is too long for an address
};

// The bytes that `out` needs for a piece of `len`: a redacted word may grow.
#define REDACTED_MAX(len) (2 * ((len) + WORD_MAX))

// A piece in; what is certain by now to `out`. Returns how many bytes that are.
size_t redactor_feed(struct redactor *r, const char *text, size_t len, char *out);

// The word that was held, which has ended, to `out`.
size_t redactor_finish(struct redactor *r, char *out);
