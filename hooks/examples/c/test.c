// Native tests of the redactor: exits with a message and 1 where one fails.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redact.h"

// Every cut of `text` into two pieces gives `expected`.
static void check(const char *text, const char *expected) {
    size_t len = strlen(text);
    for (size_t at = 0; at <= len; at++) {
        struct redactor r = {0};
        char out[2048];
        size_t n = redactor_feed(&r, text, at, out);
        n += redactor_feed(&r, text + at, len - at, out + n);
        n += redactor_finish(&r, out + n);
        if (n != strlen(expected) || memcmp(out, expected, n) != 0) {
            fprintf(stderr, "%s cut at %zu: %.*s\n", text, at, (int)n, out);
            exit(1);
        }
    }
}

int main(void) {
    check("to ann.b+c@mail.example.org.", "to [email].");
    check("<a@b.co>, \u00fc@b.co or a@b.co", "<[email]>, \u00fc@b.co or [email]");
    check("-a@b.co-", "-[email]-");

    const char *others[] = {"", "1.5 % of ... x@y or @a.b, a@b@c.d", "a@.b -- \u00fc"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        check(others[i], others[i]);
    }
    char too_long[256];
    memset(too_long, 'a', 250);
    strcpy(too_long + 250, "@b.co");
    check(too_long, too_long);
}
