#include "redact.h"

#include <string.h>

static const char REDACTED[] = "[email]";

static bool is_of_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("._%+-@", c) != NULL);
}

// `local@domain`, with a dot in the domain.
static bool is_email(const char *word, size_t len) {
    const char *at = memchr(word, '@', len);
    if (at == NULL || at == word) {
        return false;
    }
    const char *domain = at + 1;
    size_t rest = len - (size_t)(domain - word);
    return rest > 1 && memchr(domain, '@', rest) == NULL && memchr(domain + 1, '.', rest - 1) != NULL;
}

static size_t put(char *out, const char *text, size_t len) {
    memcpy(out, text, len);
    return len;
}

size_t redactor_feed(struct redactor *r, const char *text, size_t len, char *out) {
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (!is_of_word(c)) {
            n += redactor_finish(r, out + n);
            out[n++] = c;
        } else if (r->passing) {
            out[n++] = c;
        } else {
            r->word[r->len++] = c;
            if (r->len > WORD_MAX) {
                n += put(out + n, r->word, r->len);
                r->len = 0;
                r->passing = true;
            }
        }
    }
    return n;
}

size_t redactor_finish(struct redactor *r, char *out) {
    size_t begin = 0, end = r->len, n = 0;
    while (begin < end && strchr(".-", r->word[begin]) != NULL) {
        begin++;
    }
    while (end > begin && strchr(".-", r->word[end - 1]) != NULL) {
        end--;
    }
    if (is_email(r->word + begin, end - begin)) {
        n += put(out + n, r->word, begin);
        n += put(out + n, REDACTED, strlen(REDACTED));
        n += put(out + n, r->word + end, r->len - end);
    } else {
        n += put(out + n, r->word, r->len);
    }
    r->len = 0;
    r->passing = false;
    return n;
}
