// Lowers `temperature` to a maximum. Only the interface is here.
//
// `build/hook.h` is generated and has every name. What a function returns through
// `ret` the bindings free; what it is given it must free.

#include "build/hook.h"

#include <string.h>

#include "cool.h"

static const char ABOUT[] =
    "{\"version\":\"0.1.0\","
    "\"summary\":\"Lowers `temperature` to a maximum.\","
    "\"config\":{\"type\":\"object\","
    "\"properties\":{\"max\":{\"type\":\"number\",\"minimum\":0}},"
    "\"required\":[\"max\"],\"additionalProperties\":false}}";

// A string of the program's own, for an argument.
static hook_string_t literal(const char *text) {
    return (hook_string_t){(uint8_t *)text, strlen(text)};
}

static struct piece piece(hook_string_t string) {
    return (struct piece){(char *)string.ptr, string.len};
}

void exports_sluice_hooks_about_describe(hook_string_t *ret) {
    hook_string_dup(ret, ABOUT);
}

// Put the config's number in place of a `/temperature` above it.
static bool cool(sluice_hooks_types_access_error_t *why) {
    hook_string_t pointer = literal("/temperature"), config;
    sluice_hooks_document_option_json_t asked;
    if (!sluice_hooks_document_get(&pointer, &asked, why)) {
        return false;
    }
    sluice_hooks_config_get(&config);
    struct piece max = number_in(piece(config));
    bool is_done = true;
    if (asked.is_some && is_above(piece(asked.val), max)) {
        hook_string_t value = {(uint8_t *)max.text, max.len};
        is_done = sluice_hooks_document_set(&pointer, &value, why);
        hook_string_t message = literal("Cooled down.");
        hook_list_tuple2_string_string_t values = {NULL, 0};
        sluice_hooks_log_write(SLUICE_HOOKS_LOG_LEVEL_INFO, &message, &values);
    }
    hook_string_free(&config);
    sluice_hooks_document_option_json_free(&asked);
    return is_done;
}

bool exports_sluice_hooks_on_upstream_request_handle(
    exports_sluice_hooks_on_upstream_request_verdict_t *ret, hook_string_t *err) {
    sluice_hooks_types_access_error_t why;
    if (!cool(&why)) {
        // The hook broke: the gateway's policy decides, and its log has the text.
        sluice_hooks_types_access_error_free(&why);
        hook_string_dup(err, "the temperature cannot be read or changed");
        return false;
    }
    ret->tag = EXPORTS_SLUICE_HOOKS_ON_UPSTREAM_REQUEST_VERDICT_NEXT;
    return true;
}
