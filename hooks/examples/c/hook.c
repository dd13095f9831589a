// Redacts e-mail addresses in answers, and caps `max_tokens`.
//
// `build/hook.h` is generated and has every name. What a function returns
// through `ret` the bindings free; what it is given it must free.

#include "build/hook.h"

#include <stdlib.h>
#include <string.h>

#include "redact.h"

typedef sluice_hooks_types_access_error_t access_error;
typedef exports_sluice_hooks_on_stream_event_t event;
typedef exports_sluice_hooks_on_stream_list_event_t events;

// A string of the program's own, for an argument.
static hook_string_t literal(const char *text) {
    return (hook_string_t){(uint8_t *)text, strlen(text)};
}

// === about ===

static const char ABOUT[] =
    "{\"version\":\"0.1.0\","
    "\"summary\":\"Redacts e-mail addresses in answers, and caps max_tokens.\","
    "\"config\":{\"type\":\"object\","
    "\"properties\":{\"max_tokens\":{\"type\":\"integer\",\"minimum\":1}},"
    "\"required\":[\"max_tokens\"],\"additionalProperties\":false},"
    "\"needs\":{\"prompt\":\"write\",\"headers\":[\"x-redacted-by\"]}}";

void exports_sluice_hooks_about_describe(hook_string_t *ret) {
    hook_string_dup(ret, ABOUT);
}

// === on-upstream-request ===

// The whole number in JSON text that holds one: `4096`, `{"max_tokens":4096}`.
static hook_string_t digits(hook_string_t text) {
    while (text.len > 0 && (*text.ptr < '0' || *text.ptr > '9')) {
        text.ptr++, text.len--;
    }
    size_t len = 0;
    while (len < text.len && text.ptr[len] >= '0' && text.ptr[len] <= '9') {
        len++;
    }
    return (hook_string_t){text.ptr, len};
}

// JSON has no leading zeros: of two numbers the longer is larger.
static bool is_larger(hook_string_t a, hook_string_t b) {
    return a.len != b.len ? a.len > b.len : memcmp(a.ptr, b.ptr, a.len) > 0;
}

// Lower the document's `/max_tokens` to the config's.
static bool cap(access_error *why) {
    hook_string_t pointer = literal("/max_tokens");
    sluice_hooks_document_option_json_t asked;
    if (!sluice_hooks_document_get(&pointer, &asked, why)) {
        return false;
    }
    hook_string_t config;
    sluice_hooks_config_get(&config);
    hook_string_t max = digits(config);
    bool is_done = true;
    if (asked.is_some && is_larger(digits(asked.val), max)) {
        is_done = sluice_hooks_document_set(&pointer, &max, why);
    }
    hook_string_free(&config);
    sluice_hooks_document_option_json_free(&asked);
    return is_done;
}

bool exports_sluice_hooks_on_upstream_request_handle(
    exports_sluice_hooks_on_upstream_request_verdict_t *ret, hook_string_t *err) {
    hook_string_t name = literal("x-redacted-by"), value = literal("c");
    access_error why;
    if (!cap(&why) || !sluice_hooks_current_set_header(&name, &value, &why)) {
        // The hook broke: the gateway's policy decides, and its log has the text.
        sluice_hooks_types_access_error_free(&why);
        hook_string_dup(err, "the request cannot be read or changed");
        return false;
    }
    ret->tag = EXPORTS_SLUICE_HOOKS_ON_UPSTREAM_REQUEST_VERDICT_NEXT;
    return true;
}

// === on-stream ===

// Watches the text of one answer.
struct exports_sluice_hooks_on_stream_watcher_t {
    struct redactor redactor;
    uint32_t block;
};

bool exports_sluice_hooks_on_stream_static_watcher_open(
    exports_sluice_hooks_on_stream_option_tuple2_own_watcher_kinds_t *ret, hook_string_t *err) {
    (void)err;
    ret->is_some = true;
    ret->val.f0 = exports_sluice_hooks_on_stream_watcher_new(
        calloc(1, sizeof(struct exports_sluice_hooks_on_stream_watcher_t)));
    ret->val.f1 = EXPORTS_SLUICE_HOOKS_ON_STREAM_KINDS_TEXT | EXPORTS_SLUICE_HOOKS_ON_STREAM_KINDS_BLOCK_STOP;
    return true;
}

void exports_sluice_hooks_on_stream_watcher_destructor(exports_sluice_hooks_on_stream_watcher_t *self) {
    free(self);
}

// Append an event with the text that `text` points to, which is the event's now.
static void say(events *out, uint32_t block, char *text, size_t len) {
    if (len == 0) {
        free(text);
        return;
    }
    out->ptr[out->len++] = (event){
        .kind = EXPORTS_SLUICE_HOOKS_ON_STREAM_KIND_TEXT,
        .block = block,
        .text = {true, {(uint8_t *)text, len}},
    };
}

// Append what was held back.
static void flush(exports_sluice_hooks_on_stream_watcher_t *self, events *out) {
    char *text = malloc(REDACTED_MAX(0));
    say(out, self->block, text, redactor_finish(&self->redactor, text));
}

bool exports_sluice_hooks_on_stream_method_watcher_handle(
    exports_sluice_hooks_on_stream_watcher_t *self, events *in,
    exports_sluice_hooks_on_stream_action_t *ret, hook_string_t *err) {
    (void)err;
    events out = {malloc(2 * in->len * sizeof(event)), 0};
    for (size_t i = 0; i < in->len; i++) {
        event *event = &in->ptr[i];
        if (event->kind == EXPORTS_SLUICE_HOOKS_ON_STREAM_KIND_TEXT) {
            self->block = event->block;
            size_t len = event->text.is_some ? event->text.val.len : 0;
            char *text = malloc(REDACTED_MAX(len));
            say(&out, self->block, text,
                redactor_feed(&self->redactor, (char *)event->text.val.ptr, len, text));
            exports_sluice_hooks_on_stream_event_free(event);
        } else {
            flush(self, &out);
            out.ptr[out.len++] = *event;
        }
    }
    free(in->ptr);
    ret->tag = EXPORTS_SLUICE_HOOKS_ON_STREAM_ACTION_EMIT;
    ret->val.emit = out;
    return true;
}

bool exports_sluice_hooks_on_stream_method_watcher_finish(
    exports_sluice_hooks_on_stream_watcher_t *self, exports_sluice_hooks_on_stream_ending_t how,
    events *ret, hook_string_t *err) {
    (void)how, (void)err;
    *ret = (events){malloc(sizeof(event)), 0};
    flush(self, ret);
    return true;
}
