#include "cool.h"

#include <assert.h>
#include <string.h>

static struct piece piece(const char *text) {
    return (struct piece){text, strlen(text)};
}

int main(void) {
    struct piece max = number_in(piece("{\"max\":0.7}"));
    assert(max.len == 3 && memcmp(max.text, "0.7", 3) == 0);
    assert(is_above(piece("1.5"), max));
    assert(!is_above(piece("0.2"), max));
    assert(!is_above(piece("null"), max));
    assert(!is_above(piece("\"1.5\""), max));
    return 0;
}
