#include "cool.h"

#include <stdlib.h>
#include <string.h>

// No sensible number is longer.
#define NUMBER_MAX 63

static bool is_of_number(char c) {
    return c != '\0' && strchr("0123456789+-.eE", c) != NULL;
}

struct piece number_in(struct piece json) {
    while (json.len > 0 && *json.text != '-' && (*json.text < '0' || *json.text > '9')) {
        json.text++, json.len--;
    }
    struct piece number = {json.text, 0};
    while (number.len < json.len && is_of_number(number.text[number.len])) {
        number.len++;
    }
    return number;
}

static double value_of(struct piece number) {
    char text[NUMBER_MAX + 1] = {0};
    memcpy(text, number.text, number.len < NUMBER_MAX ? number.len : NUMBER_MAX);
    return strtod(text, NULL);
}

bool is_above(struct piece asked, struct piece max) {
    struct piece number = number_in(asked);
    return number.len > 0 && number.text == asked.text && value_of(number) > value_of(max);
}
