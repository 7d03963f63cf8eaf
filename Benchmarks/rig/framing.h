// HTTP/1.1 framing for both ends of the rig: where a head ends, what a field says, where a body ends (RFC 9112).
// It trusts its peers to be honest (everything here is loopback and ours) but never reads past what it was given.
#ifndef BENCH_FRAMING_H
#define BENCH_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum body_kind { BODY_LENGTH, BODY_CHUNKED, BODY_TO_CLOSE };
enum chunk_state { CHUNK_SIZE, CHUNK_EXTENSION, CHUNK_DATA, CHUNK_DATA_CR, CHUNK_DATA_LF, CHUNK_TRAILER };

/// The place in a body. `left` counts bytes of the body (`BODY_LENGTH`) or of the current chunk (`BODY_CHUNKED`).
struct body {
    enum body_kind kind;
    enum chunk_state state;
    uint64_t left;
    size_t trailer_line;  // bytes seen of the current trailer line, without CR LF
    bool done, broken;
};

typedef void body_sink(void *context, const char *bytes, size_t count);

/// Nanoseconds of the monotonic clock.
static inline uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/// Length of the head including its empty line, 0: not complete yet.
static inline size_t head_length(const char *bytes, size_t count) {
    const char *end = memmem(bytes, count, "\r\n\r\n", 4);
    return end ? (size_t)(end - bytes) + 4 : 0;
}

/// The value of a field (any case) in a complete head, without leading spaces; it ends at the next CR. NULL: absent.
static inline const char *head_field(const char *head, size_t count, const char *name) {
    size_t name_length = strlen(name);
    const char *end = head + count, *line = memchr(head, '\n', count);
    while (line && end - ++line > (ptrdiff_t)name_length) {
        if (line[name_length] == ':' && strncasecmp(line, name, name_length) == 0) {
            const char *value = line + name_length + 1;
            while (value < end && *value == ' ') value++;
            return value;
        }
        line = memchr(line, '\n', (size_t)(end - line));
    }
    return NULL;
}

/// How the body after this head is framed. `without_length` is what the absence of both fields means here.
static inline struct body body_after(const char *head, size_t count, enum body_kind without_length) {
    struct body body = {.kind = without_length};
    const char *length = head_field(head, count, "content-length");
    if (head_field(head, count, "transfer-encoding")) {
        body.kind = BODY_CHUNKED;
    } else if (length) {
        body.kind = BODY_LENGTH;
        body.left = strtoull(length, NULL, 10);
    }
    body.done = body.kind == BODY_LENGTH && body.left == 0;
    return body;
}

static inline int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/// One framing byte of a chunked body, that is: any byte that is not chunk data.
static inline void chunk_step(struct body *body, char c) {
    switch (body->state) {
    case CHUNK_SIZE:
        if (hex_value(c) >= 0 && body->left < (UINT64_C(1) << 40)) {
            body->left = body->left * 16 + (uint64_t)hex_value(c);
            break;
        }
        if (c != '\r' && c != ';' && c != '\n' && c != ' ') body->broken = true;
        body->state = CHUNK_EXTENSION;  // falls through: the line end may be this very byte
        /* fallthrough */
    case CHUNK_EXTENSION:
        if (c == '\n') body->state = body->left ? CHUNK_DATA : CHUNK_TRAILER;
        body->trailer_line = 0;
        break;
    case CHUNK_DATA_CR:
        body->broken |= c != '\r';
        body->state = CHUNK_DATA_LF;
        break;
    case CHUNK_DATA_LF:
        body->broken |= c != '\n';
        body->state = CHUNK_SIZE;
        break;
    case CHUNK_TRAILER:
        if (c == '\n') {
            body->done = body->trailer_line == 0;
            body->trailer_line = 0;
        } else if (c != '\r') {
            body->trailer_line++;
        }
        break;
    case CHUNK_DATA: break;  // handled in bulk by the caller
    }
}

/// Feeds bytes; content goes to `sink`. Returns how many were used: all, unless the body is done or broken before.
static inline size_t body_feed(struct body *body, const char *bytes, size_t count, body_sink *sink, void *context) {
    size_t used = 0;
    while (used < count && !body->done && !body->broken) {
        bool is_content = body->kind != BODY_CHUNKED || body->state == CHUNK_DATA;
        if (!is_content) {
            chunk_step(body, bytes[used++]);
            continue;
        }
        size_t take = count - used;
        if (body->kind != BODY_TO_CLOSE && take > body->left) take = (size_t)body->left;
        sink(context, bytes + used, take);
        used += take;
        if (body->kind == BODY_TO_CLOSE) continue;
        body->left -= take;
        if (body->left > 0) continue;
        if (body->kind == BODY_LENGTH) body->done = true;
        body->state = CHUNK_DATA_CR;
    }
    return used;
}

#endif
