// What the hook does, apart from the interface, so that it is tested natively.

#include <stdbool.h>
#include <stddef.h>

// A piece of JSON text.
struct piece {
    const char *text;
    size_t len;
};

// The first number in JSON text: `1.5`, or that in `{"max":0.7}`. Empty if none.
struct piece number_in(struct piece json);

// Whether `asked`, JSON text, is a number above the number `max`.
bool is_above(struct piece asked, struct piece max);
