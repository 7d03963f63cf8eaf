// A mock of an OpenAI-compatible provider: one thread, epoll, as little work per call as possible.
//
//     mock PORT...        listens on 127.0.0.1 at every PORT; each port keeps its own counters
//
// POST (any path)  a chat completion of about 650 bytes with usage and an id of its own; with "stream":true in the body
//                  server-sent events: role, N x content, finish, usage (if include_usage is asked), [DONE].
//                  "max_tokens":N (1...200) sets N. Without a gap the whole answer is one write, one HTTP chunk per
//                  event; "gap_ms":"G" (1...1000, in "metadata") sends one event every G milliseconds.
// GET /stats       what this port served: calls, answers, aborted, open, tokens. `calls` counts requests read to their
//                  end, `answers` those whose last byte went out, `aborted` those whose caller left before.
//
// The n-th content event says " wNN" (NN = n modulo 100), so that a load generator can see a lost or swapped event.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "framing.h"

enum { PORTS_MAX = 16, EVENTS_MAX = 256, CONTENT_MAX = 200, TEMPLATES_MAX = 8, ID_DIGITS = 16 };
enum { REQUEST_BYTES_MAX = 8 << 20 };

struct counters { uint64_t calls, answers, aborted, streams, prompt_tokens, completion_tokens; };

/// A listening socket (`is_listener`) or a connection; epoll hands back a pointer to either.
struct source { bool is_listener; int fd; };

struct listener { struct source source; int port; struct counters counters; };

/// An answer with holes: `ids` are the offsets of its id, `pieces` the offsets at which a paced answer pauses.
struct template {
    int content;    // content events of a stream, 0: plain JSON
    bool has_usage; // the usage chunk of a stream
    char *bytes;
    size_t length;
    size_t ids[EVENTS_MAX], pieces[EVENTS_MAX], usage;
    int id_count, piece_count;
};

struct connection {
    struct source source;
    struct listener *listener;
    char *in, *body, *out;
    size_t in_length, in_capacity, body_length, body_capacity, out_capacity;
    size_t sent, sendable;            // of `out`: sent so far, allowed so far
    const struct template *answer;    // the answer on its way, NULL: none
    int piece;                        // pieces allowed so far
    uint64_t gap_ns, due;             // paced answers: distance and time of the next piece
    bool is_waiting_for_room, is_closing;
    struct connection *earlier, *later;  // in the queue of paced answers, ordered by `due`
    struct connection *next_dead;
};

static int poller;
static uint64_t call_number;
static struct listener listeners[PORTS_MAX];
static int listener_count;
static struct template templates[TEMPLATES_MAX];
static int template_count;
static struct connection *first_due, *last_due, *dead;
static uint64_t open_connections;

static void fail(const char *what) {
    fprintf(stderr, "mock: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *grown(void *memory, size_t *capacity, size_t wanted) {
    if (wanted <= *capacity) return memory;
    size_t size = *capacity ? *capacity : 4096;
    while (size < wanted) size *= 2;
    memory = realloc(memory, size);
    if (!memory) fail("realloc");
    *capacity = size;
    return memory;
}

// ---- answers

static void append(struct template *template, const char *text) {
    size_t length = strlen(text);
    memcpy(template->bytes + template->length, text, length);
    template->length += length;
}

/// Notes the places of `@` marks (ids) and `#` marks (usage) in what was appended from `from` on.
static void note_marks(struct template *template, size_t from) {
    for (size_t at = from; at < template->length; at++) {
        if (template->bytes[at] == '@') {
            template->ids[template->id_count++] = at;
            at += ID_DIGITS - 1;
        } else if (template->bytes[at] == '#') {
            template->usage = at;
            return;
        }
    }
}

/// One event as one HTTP chunk; `rest` is what follows the fields that every event has.
static void append_event(struct template *template, const char *rest) {
    char event[512], size[16];
    snprintf(event, sizeof event,
             "data: {\"id\":\"chatcmpl-@@@@@@@@@@@@@@@@\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,"
             "\"model\":\"mock\",\"system_fingerprint\":\"fp_bench\",%s}\n\n", rest);
    snprintf(size, sizeof size, "%zx\r\n", strlen(event));
    append(template, size);
    size_t from = template->length;
    append(template, event);
    append(template, "\r\n");
    note_marks(template, from);
    template->pieces[template->piece_count++] = template->length;
}

/// `#` fields are three digits each: prompt 100...163, completion 120...183, total 220...346.
#define USAGE "\"usage\":{\"prompt_tokens\":###,\"completion_tokens\":###,\"total_tokens\":###," \
    "\"prompt_tokens_details\":{\"cached_tokens\":0}}"

static void build_stream(struct template *template) {
    char rest[256];
    append(template, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
                     "Transfer-Encoding: chunked\r\n\r\n");
    append_event(template, "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
                           "\"finish_reason\":null}]");
    for (int number = 1; number <= template->content; number++) {
        snprintf(rest, sizeof rest,
                 "\"choices\":[{\"index\":0,\"delta\":{\"content\":\" w%02d\"},\"finish_reason\":null}]", number % 100);
        append_event(template, rest);
    }
    append_event(template, "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]");
    if (template->has_usage) append_event(template, "\"choices\":[]," USAGE);
    append(template, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
    template->pieces[template->piece_count - 1] = template->length;  // [DONE] goes out with the last event
}

static void build_plain(struct template *template) {
    char body[1024], head[256];
    snprintf(body, sizeof body,
             "{\"id\":\"chatcmpl-@@@@@@@@@@@@@@@@\",\"object\":\"chat.completion\",\"created\":1760000000,"
             "\"model\":\"mock\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\""
             "A martlet is a swift that never lands: it eats, sleeps and drinks on the wing, and heralds drew "
             "it without feet. This answer comes from a mock provider on the loopback interface; it is as long "
             "as a short answer of a real model, so that the cost of carrying it is the cost of carrying one."
             "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
             USAGE ",\"system_fingerprint\":\"fp_bench\"}");
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
             strlen(body));
    append(template, head);
    size_t from = template->length;
    append(template, body);
    note_marks(template, from);
    template->pieces[template->piece_count++] = template->length;
}

/// The template for this kind of answer, built at its first use. NULL: too many kinds were asked for.
static const struct template *template_for(int content, bool has_usage) {
    for (int index = 0; index < template_count; index++) {
        struct template *known = &templates[index];
        if (known->content == content && known->has_usage == has_usage) return known;
    }
    if (template_count == TEMPLATES_MAX) return NULL;
    struct template *made = &templates[template_count++];
    made->content = content;
    made->has_usage = has_usage;
    made->bytes = malloc((size_t)(content + 8) * 640);
    if (!made->bytes) fail("malloc");
    if (content) build_stream(made); else build_plain(made);
    return made;
}

static void put_number(char *at, unsigned number) {
    at[0] = (char)('0' + number / 100 % 10);
    at[1] = (char)('0' + number / 10 % 10);
    at[2] = (char)('0' + number % 10);
}

/// Copies the template into the connection with a fresh id and the usage that goes with it; counts the call.
static void fill_answer(struct connection *connection, const struct template *template) {
    struct counters *counters = &connection->listener->counters;
    uint64_t number = ++call_number;
    char id[ID_DIGITS];
    for (int digit = 0; digit < ID_DIGITS; digit++) id[digit] = "0123456789abcdef"[number >> (4 * (15 - digit)) & 15];
    connection->out = grown(connection->out, &connection->out_capacity, template->length);
    memcpy(connection->out, template->bytes, template->length);
    for (int index = 0; index < template->id_count; index++) {
        memcpy(connection->out + template->ids[index], id, ID_DIGITS);
    }
    unsigned prompt = 100 + (unsigned)(number & 63), completion = 120 + (unsigned)(number >> 3 & 63);
    if (template->usage) {
        char *at = connection->out + template->usage;  // the marks stand at fixed distances: see USAGE
        put_number(at, prompt);
        at = memchr(at, '#', 64);
        put_number(at, completion);
        at = memchr(at, '#', 64);
        put_number(at, prompt + completion);
        counters->prompt_tokens += prompt;
        counters->completion_tokens += completion;
    }
    counters->calls++;
    counters->streams += template->content > 0;
    connection->answer = template;
    connection->sent = 0;
}

// ---- paced answers

static void queue_remove(struct connection *connection) {
    if (!connection->due) return;
    if (connection->earlier) connection->earlier->later = connection->later; else first_due = connection->later;
    if (connection->later) connection->later->earlier = connection->earlier; else last_due = connection->earlier;
    connection->earlier = connection->later = NULL;
    connection->due = 0;
}

/// Keeps the queue ordered. All gaps of a run are alike, so the place is nearly always the end.
static void queue_insert(struct connection *connection, uint64_t due) {
    struct connection *before = last_due;
    while (before && before->due > due) before = before->earlier;
    connection->due = due;
    connection->earlier = before;
    connection->later = before ? before->later : first_due;
    if (connection->later) connection->later->earlier = connection; else last_due = connection;
    if (before) before->later = connection; else first_due = connection;
}

// ---- connections

static void close_connection(struct connection *connection) {
    if (connection->is_closing) return;
    connection->is_closing = true;
    queue_remove(connection);
    connection->listener->counters.aborted += connection->answer != NULL;
    close(connection->source.fd);
    open_connections--;
    connection->next_dead = dead;  // freed after the batch: a later event of it may still name this connection
    dead = connection;
}

static void free_dead(void) {
    while (dead) {
        struct connection *connection = dead;
        dead = connection->next_dead;
        free(connection->in);
        free(connection->body);
        free(connection->out);
        free(connection);
    }
}

static void want_room(struct connection *connection, bool wanted) {
    if (connection->is_waiting_for_room == wanted) return;
    connection->is_waiting_for_room = wanted;
    struct epoll_event event = {.events = wanted ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = connection};
    epoll_ctl(poller, EPOLL_CTL_MOD, connection->source.fd, &event);
}

/// Sends what is allowed. Returns false when the connection was closed.
static bool send_allowed(struct connection *connection) {
    while (connection->sent < connection->sendable) {
        ssize_t count = send(connection->source.fd, connection->out + connection->sent,
                             connection->sendable - connection->sent, MSG_NOSIGNAL);
        if (count > 0) {
            connection->sent += (size_t)count;
        } else if (errno == EAGAIN) {
            want_room(connection, true);
            return true;
        } else if (errno != EINTR) {
            close_connection(connection);
            return false;
        }
    }
    want_room(connection, false);
    if (connection->answer && connection->sent == connection->answer->length) {
        connection->listener->counters.answers++;
        connection->answer = NULL;
    }
    return true;
}

/// A number that follows `name` in the body, kept within bounds; `otherwise` when the name is absent.
static int number_after(const char *body, size_t length, const char *name, int most, int otherwise) {
    const char *at = memmem(body, length, name, strlen(name));
    if (!at) return otherwise;
    at += strlen(name);
    const char *end = body + length;
    int number = 0;
    while (at < end && *at >= '0' && *at <= '9' && number <= most) number = number * 10 + (*at++ - '0');
    return number < 1 ? 1 : number > most ? most : number;
}

#define SAYS(body, length, text) (memmem(body, length, text, sizeof text - 1) != NULL)

/// Starts the answer to one complete POST. Returns false when the connection was closed.
static bool answer_call(struct connection *connection, const char *body, size_t length) {
    int content = 0, gap_ms = 0;
    bool has_usage = true;
    if (SAYS(body, length, "\"stream\":true")) {
        content = number_after(body, length, "\"max_tokens\":", CONTENT_MAX, 30);
        gap_ms = number_after(body, length, "\"gap_ms\":\"", 1000, 0);
        has_usage = SAYS(body, length, "\"include_usage\":true");
    }
    const struct template *template = template_for(content, has_usage);
    if (!template) {
        close_connection(connection);
        return false;
    }
    fill_answer(connection, template);
    connection->piece = gap_ms ? 1 : template->piece_count;
    connection->sendable = template->pieces[connection->piece - 1];
    if (gap_ms && template->piece_count > 1) {
        connection->gap_ns = (uint64_t)gap_ms * 1000000u;
        queue_insert(connection, now_ns() + connection->gap_ns);
    }
    return send_allowed(connection);
}

static bool answer_stats(struct connection *connection) {
    const struct counters *counters = &connection->listener->counters;
    uint64_t open_calls = counters->calls - counters->answers - counters->aborted;
    char body[512], text[768];
    int length = snprintf(body, sizeof body,
        "{\"calls\":%" PRIu64 ",\"answers\":%" PRIu64 ",\"aborted\":%" PRIu64 ",\"open\":%" PRIu64
        ",\"streams\":%" PRIu64 ",\"prompt_tokens\":%" PRIu64 ",\"completion_tokens\":%" PRIu64
        ",\"connections\":%" PRIu64 "}\n",
        counters->calls, counters->answers, counters->aborted, open_calls, counters->streams, counters->prompt_tokens,
        counters->completion_tokens, open_connections);
    length = snprintf(text, sizeof text,
                      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                      length, body);
    if (send(connection->source.fd, text, (size_t)length, MSG_NOSIGNAL) == length) return true;
    close_connection(connection);
    return false;
}

static void keep_body(void *context, const char *bytes, size_t count) {
    struct connection *connection = context;
    if (connection->body_length + count > REQUEST_BYTES_MAX) return;
    connection->body = grown(connection->body, &connection->body_capacity, connection->body_length + count);
    memcpy(connection->body + connection->body_length, bytes, count);
    connection->body_length += count;
}

/// Answers the requests that are complete in the input, one at a time: the next one waits for the answer before it.
static void take_requests(struct connection *connection) {
    while (!connection->answer) {
        size_t head = head_length(connection->in, connection->in_length);
        if (!head) return;
        struct body framing = body_after(connection->in, head, BODY_LENGTH);
        connection->body_length = 0;
        const char *body = connection->in + head;
        size_t length = (size_t)framing.left, used = head + length;
        if (framing.kind == BODY_LENGTH) {
            if (connection->in_length < used) return;
        } else {
            used = head + body_feed(&framing, body, connection->in_length - head, keep_body, connection);
            if (framing.broken) return close_connection(connection);
            if (!framing.done) return;
            body = connection->body;
            length = connection->body_length;
        }
        bool is_open = memcmp(connection->in, "POST ", 5) == 0 ? answer_call(connection, body, length)
                                                              : answer_stats(connection);
        if (!is_open) return;
        connection->in_length -= used;
        memmove(connection->in, connection->in + used, connection->in_length);
    }
}

static void read_input(struct connection *connection) {
    if (connection->in_length > REQUEST_BYTES_MAX) return close_connection(connection);
    connection->in = grown(connection->in, &connection->in_capacity, connection->in_length + 32768);
    ssize_t count = recv(connection->source.fd, connection->in + connection->in_length,
                         connection->in_capacity - connection->in_length, 0);
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) return close_connection(connection);
    if (count < 0) return;
    connection->in_length += (size_t)count;
    take_requests(connection);
}

static void accept_all(struct listener *listener) {
    for (;;) {
        int fd = accept4(listener->source.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct connection *connection = calloc(1, sizeof *connection);
        if (!connection) fail("calloc");
        connection->source.fd = fd;
        connection->listener = listener;
        open_connections++;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
    }
}

/// Lets every paced answer that is due go on by one piece.
static void run_due(void) {
    uint64_t now = now_ns();
    while (first_due && first_due->due <= now) {
        struct connection *connection = first_due;
        uint64_t due = connection->due;
        queue_remove(connection);
        const struct template *template = connection->answer;
        connection->sendable = template->pieces[connection->piece++];
        if (connection->piece < template->piece_count) queue_insert(connection, due + connection->gap_ns);
        if (send_allowed(connection) && !connection->answer) take_requests(connection);
    }
}

static void listen_on(const char *text) {
    if (listener_count == PORTS_MAX) errno = E2BIG, fail("ports");
    struct listener *listener = &listeners[listener_count++];
    listener->port = atoi(text);
    listener->source.is_listener = true;
    listener->source.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    setsockopt(listener->source.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)listener->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener->source.fd, (struct sockaddr *)&address, sizeof address) < 0) fail(text);
    if (listen(listener->source.fd, 4096) < 0) fail("listen");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = listener};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, listener->source.fd, &event) < 0) fail("epoll_ctl");
}

int main(int count, char **arguments) {
    if (count < 2) {
        fprintf(stderr, "usage: mock PORT...\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);  // ends with whoever started it
    poller = epoll_create1(EPOLL_CLOEXEC);
    for (int index = 1; index < count; index++) listen_on(arguments[index]);
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        struct timespec wait = {0};
        if (first_due) {  // epoll_wait() would round up to a millisecond and send paced events in clumps
            uint64_t now = now_ns(), left = first_due->due > now ? first_due->due - now : 0;
            wait.tv_sec = (time_t)(left / 1000000000u);
            wait.tv_nsec = (long)(left % 1000000000u);
        }
        int ready = epoll_pwait2(poller, events, EVENTS_MAX, first_due ? &wait : NULL, NULL);
        for (int index = 0; index < ready; index++) {
            struct source *source = events[index].data.ptr;
            if (source->is_listener) {
                accept_all((struct listener *)source);
                continue;
            }
            struct connection *connection = (struct connection *)source;
            if (connection->is_closing) continue;
            if (events[index].events & EPOLLOUT) {
                if (!send_allowed(connection)) continue;
                if (!connection->answer) take_requests(connection);
            }
            if (!connection->is_closing && events[index].events & ~(uint32_t)EPOLLOUT) read_input(connection);
        }
        run_due();
        free_dead();
    }
}
