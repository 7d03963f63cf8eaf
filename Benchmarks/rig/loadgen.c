// A load generator for one kind of request: one thread, epoll, keep-alive connections on 127.0.0.1.
//
//     loadgen --port P --request FILE --expect json|sse [--events N] [--connections N] [--seconds S] [--warm-up S]
//             [--rate N] [--spread S] [--timeout S] [--watch PID,PID...]
//
// FILE holds the whole request, head and body, and is sent as it is. Every answer is checked: status 200, framing, and
// either a JSON body with usage or a stream with exactly N events in order and [DONE].
//
// Without --rate the loop is closed: each connection sends its next request when the answer is complete. With --rate
// requests are due at fixed times, and latency counts from the due time, so that waiting for a connection counts.
// --spread lets the connections begin one after the other over S seconds: answers that all take the same time would
// otherwise run in step for ever, and one hiccup would hit all of them.
//
// Measured is what completes between the end of the warm-up and the end of the run; then requests in flight are waited
// for, never cut, so that every request sent has an answer. The result is one JSON object on standard output, times in
// nanoseconds. For each watched process it gives the CPU time (user and system, all threads, ended ones included) spent
// within the measured window, read from the process's CPU clock: utime + stime of /proc at full resolution.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
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

enum { CONNECTIONS_MAX = 16384, WATCHED_MAX = 64, BATCH = 256, HEAD_BYTES_MAX = 16384, LINE_BYTES_MAX = 4096,
       READ_BYTES = 1 << 18 };
static const uint64_t SWEEP_NS = 50 * 1000000u;  // how often timeouts and refused connections are looked after
static const uint64_t SPREAD_STEP_NS = 1000000u;

// ---- options

static struct {
    int port, connections, events;
    bool is_stream;
    double seconds, warm_up, rate, spread, timeout;
    char *request;
    size_t request_length;
    pid_t watched[WATCHED_MAX];
    int watched_count;
} options = {.connections = 1, .seconds = 8, .warm_up = 1, .timeout = 20};

static void fail(const char *what) {
    fprintf(stderr, "loadgen: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(2);
}

// ---- a log-linear histogram: 128 steps to each doubling, so a value is at most 0.8 % off; 0 to 2^40 ns (18 minutes)

enum { STEP_BITS = 7, STEPS = 1 << STEP_BITS, OCTAVES = 40 - STEP_BITS + 1, BUCKETS = (OCTAVES + 1) * STEPS };
struct histogram { uint64_t counts[BUCKETS], total, sum, most; };

static void record(struct histogram *histogram, uint64_t value) {
    size_t bucket = value;
    if (value >= STEPS) {
        int shift = 63 - __builtin_clzll(value) - STEP_BITS;
        bucket = (size_t)shift * STEPS + (value >> shift);
    }
    if (bucket >= BUCKETS) bucket = BUCKETS - 1;
    histogram->counts[bucket]++;
    histogram->total++;
    histogram->sum += value;
    if (value > histogram->most) histogram->most = value;
}

/// The middle of the bucket that holds the value at `share` (0...1) of the sorted values; 0 for an empty histogram.
static uint64_t quantile(const struct histogram *histogram, double share) {
    uint64_t rank = (uint64_t)(share * (double)histogram->total), seen = 0;
    for (size_t bucket = 0; bucket < BUCKETS; bucket++) {
        seen += histogram->counts[bucket];
        if (seen <= rank) continue;
        if (bucket < 2 * STEPS) return bucket;
        size_t shift = bucket / STEPS - 1;
        uint64_t middle = ((uint64_t)(bucket % STEPS + STEPS) << shift) + (UINT64_C(1) << shift) / 2;
        return middle < histogram->most ? middle : histogram->most;
    }
    return histogram->most;
}

// ---- connections

enum failure { REFUSED, CLOSED, TIMED_OUT, STATUS, FRAMING, CONTENT, FAILURE_KINDS };
static const char *const failure_names[] = {"refused", "closed", "timed_out", "status", "framing", "content"};

struct connection {
    int fd;                          // -1: not connected
    bool is_busy, is_in_body, is_waiting_for_room, closes_after;
    uint64_t started, first_byte;    // of the request in flight; first_byte 0: no body byte yet
    size_t sent;
    char head[HEAD_BYTES_MAX];
    size_t head_length;
    struct body body;
    char line[LINE_BYTES_MAX];       // the unfinished line of a stream, or the end of a JSON body
    size_t line_length;
    int events;
    bool is_done, is_wrong;          // [DONE] or usage was seen; something else was seen that must not be
    struct connection *next_idle;
};

static int poller;
static struct connection *connections, *idle;
static struct histogram latency, first_byte;
static uint64_t failures[FAILURE_KINDS], requests, total, lost_events, body_bytes, reconnects, in_flight;
static uint64_t started_at, measure_from, measure_to, next_due, due_step;
static int last_bad_status;

static bool is_measured(uint64_t time) { return time >= measure_from && time < measure_to; }

static void connect_again(struct connection *connection) {
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0) fail("socket");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof address) < 0) {
        failures[REFUSED]++;
        close(connection->fd);
        connection->fd = -1;  // tried again at the next sweep
        return;
    }
    int on = 1;
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, connection->fd, &event) < 0) fail("epoll_ctl");
}

static void send_rest(struct connection *connection);

/// Sends the next request, or puts the connection aside when none is due or the run is over.
static void start_request(struct connection *connection, uint64_t now) {
    if (connection->fd < 0 || now >= measure_to) return;
    uint64_t due = now;
    if (due_step) {
        if (next_due > now) {
            connection->next_idle = idle;
            idle = connection;
            return;
        }
        due = next_due;
        next_due += due_step;
    }
    connection->is_busy = true;
    connection->is_in_body = connection->closes_after = connection->is_done = connection->is_wrong = false;
    connection->started = due;
    connection->first_byte = 0;
    connection->sent = connection->head_length = connection->line_length = 0;
    connection->events = 0;
    in_flight++;
    send_rest(connection);
}

/// Ends the request in flight as a failure; the connection cannot be used any more.
static void abandon(struct connection *connection, enum failure kind) {
    failures[kind]++;
    total++;
    if (options.is_stream && connection->is_in_body && connection->events < options.events) {
        lost_events += (uint64_t)(options.events - connection->events);
    }
    connection->is_busy = false;
    in_flight--;
    close(connection->fd);
    connection->fd = -1;  // connected again at the next sweep: a server that refuses everything is not hammered
}

static void send_rest(struct connection *connection) {
    while (connection->sent < options.request_length) {
        ssize_t count = send(connection->fd, options.request + connection->sent,
                             options.request_length - connection->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count > 0) {
            connection->sent += (size_t)count;
        } else if (errno == EAGAIN) {
            struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = connection};
            connection->is_waiting_for_room = true;
            epoll_ctl(poller, EPOLL_CTL_MOD, connection->fd, &event);
            return;
        } else if (errno != EINTR) {
            abandon(connection, CLOSED);
            return;
        }
    }
    if (!connection->is_waiting_for_room) return;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    connection->is_waiting_for_room = false;
    epoll_ctl(poller, EPOLL_CTL_MOD, connection->fd, &event);
}

// ---- checking answers

/// One line of a stream, without its line end: counts events and checks their order.
static void take_line(struct connection *connection, const char *line, size_t length) {
    if (length == 0) return;
    if (length < 7 || memcmp(line, "data: ", 6) != 0 || connection->is_done) {
        connection->is_wrong = true;
        return;
    }
    if (line[6] == '[') {
        connection->is_done = true;
        return;
    }
    int number = connection->events++;
    static const char mark[] = "\"content\":\" w";
    const char *at = memmem(line, length, mark, sizeof mark - 1);
    if (!at) return;  // role, finish and usage events carry no number
    at += sizeof mark - 1;
    if (at + 2 > line + length || (at[0] - '0') * 10 + at[1] - '0' != number % 100) connection->is_wrong = true;
}

static void take_stream(struct connection *connection, const char *bytes, size_t count) {
    const char *end = bytes + count;
    while (bytes < end) {
        const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
        size_t length = (size_t)((newline ? newline : end) - bytes);
        bool is_split = !newline || connection->line_length > 0;
        if (is_split) {
            if (connection->line_length + length > LINE_BYTES_MAX) {
                connection->is_wrong = true;
                return;
            }
            memcpy(connection->line + connection->line_length, bytes, length);
            connection->line_length += length;
        }
        if (!newline) return;
        if (is_split) take_line(connection, connection->line, connection->line_length);
        else take_line(connection, bytes, length);
        connection->line_length = 0;
        bytes = newline + 1;
    }
}

/// Keeps the last bytes of a JSON body; usage stands near its end.
static void take_json(struct connection *connection, const char *bytes, size_t count) {
    if (count >= LINE_BYTES_MAX) {
        bytes += count - LINE_BYTES_MAX;
        count = LINE_BYTES_MAX;
        connection->line_length = 0;
    } else if (connection->line_length + count > LINE_BYTES_MAX) {
        size_t keep = LINE_BYTES_MAX - count;
        memmove(connection->line, connection->line + connection->line_length - keep, keep);
        connection->line_length = keep;
    }
    memcpy(connection->line + connection->line_length, bytes, count);
    connection->line_length += count;
}

static void take_body(void *context, const char *bytes, size_t count) {
    struct connection *connection = context;
    body_bytes += count;
    if (options.is_stream) take_stream(connection, bytes, count); else take_json(connection, bytes, count);
}

static void finish(struct connection *connection, uint64_t now) {
    static const char usage[] = "\"total_tokens\":";
    bool is_right = !connection->is_wrong;
    if (options.is_stream) {
        is_right = is_right && connection->is_done && connection->events == options.events;
    } else {
        size_t length = connection->line_length;
        is_right = length > 1 && connection->line[length - 1] == '}'
            && memmem(connection->line, length, usage, sizeof usage - 1);
    }
    if (!is_right) {
        abandon(connection, CONTENT);
        return;
    }
    connection->is_busy = false;
    in_flight--;
    total++;
    if (is_measured(now)) {
        requests++;
        record(&latency, now - connection->started);
        record(&first_byte, connection->first_byte - connection->started);
    }
    if (connection->closes_after) {
        close(connection->fd);
        reconnects++;
        connect_again(connection);
    }
    start_request(connection, now);
}

/// Reads a complete head. Returns false when the answer has failed or the head was an interim one (1xx).
static bool take_head(struct connection *connection, size_t length) {
    if (length < 13 || memcmp(connection->head, "HTTP/1.", 7) != 0) {
        abandon(connection, FRAMING);
        return false;
    }
    int status = atoi(connection->head + 9);
    if (status >= 100 && status < 200) {
        connection->head_length -= length;
        memmove(connection->head, connection->head + length, connection->head_length);
        return false;
    }
    if (status != 200) {
        last_bad_status = status;
        abandon(connection, STATUS);
        return false;
    }
    connection->is_in_body = true;
    connection->body = body_after(connection->head, length, BODY_TO_CLOSE);
    const char *close_field = head_field(connection->head, length, "connection");
    connection->closes_after = close_field && strncasecmp(close_field, "close", 5) == 0;
    return true;
}

static void take_bytes(struct connection *connection, const char *bytes, size_t count, uint64_t now) {
    while (count > 0 && !connection->is_in_body) {
        size_t room = HEAD_BYTES_MAX - connection->head_length, take = count < room ? count : room;
        memcpy(connection->head + connection->head_length, bytes, take);
        size_t before = connection->head_length;
        connection->head_length += take;
        size_t length = head_length(connection->head, connection->head_length);
        if (!length) {
            if (connection->head_length == HEAD_BYTES_MAX) abandon(connection, FRAMING);
            return;
        }
        bytes += length - before;  // what follows the head is read from the caller's buffer
        count -= length - before;
        connection->head_length = length;
        if (!take_head(connection, length) && (!connection->is_busy || connection->fd < 0)) return;
    }
    if (!connection->is_in_body) return;
    if (count > 0 && !connection->first_byte) connection->first_byte = now;
    size_t used = body_feed(&connection->body, bytes, count, take_body, connection);
    if (connection->body.broken || used < count) return abandon(connection, FRAMING);
    if (connection->body.done) finish(connection, now);
}

static void readable(struct connection *connection) {
    static char buffer[READ_BYTES];
    ssize_t count = recv(connection->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    uint64_t now = now_ns();
    if (count > 0 && connection->is_busy) return take_bytes(connection, buffer, (size_t)count, now);
    if (count == 0 && connection->is_busy && connection->is_in_body && connection->body.kind == BODY_TO_CLOSE) {
        connection->closes_after = true;
        return finish(connection, now);
    }
    if (connection->is_busy) return abandon(connection, count > 0 ? FRAMING : CLOSED);
    close(connection->fd);  // an idle connection that the server closed: allowed, but counted
    connection->fd = -1;
    reconnects++;
}

/// Gives up what takes too long and connects what is not connected.
static void sweep(uint64_t now) {
    uint64_t patience = (uint64_t)(options.timeout * 1e9);
    uint64_t spread = (uint64_t)(options.spread * 1e9) / (uint64_t)options.connections;
    for (int index = 0; index < options.connections; index++) {
        struct connection *connection = &connections[index];
        if (now < started_at + spread * (uint64_t)index) return;  // its turn and that of all after it is yet to come
        if (connection->is_busy && now > connection->started && now - connection->started > patience) {
            abandon(connection, TIMED_OUT);
        }
        if (connection->fd >= 0 || now >= measure_to) continue;
        connect_again(connection);
        bool is_idle = false;
        for (struct connection *other = idle; other; other = other->next_idle) is_idle |= other == connection;
        if (connection->fd >= 0 && !is_idle) start_request(connection, now);
    }
}

// ---- the run

static uint64_t process_cpu_ns(pid_t pid) {
    clockid_t clock;
    struct timespec time;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) < 0) return 0;
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void read_watched(uint64_t *cpu) {
    for (int index = 0; index < options.watched_count; index++) cpu[index] = process_cpu_ns(options.watched[index]);
    cpu[options.watched_count] = process_cpu_ns(getpid());
}

/// Time until something is to be done without an event: a sweep, a border of the window, a request that is due.
static struct timespec time_to_wait(uint64_t now, uint64_t next_sweep) {
    uint64_t until = next_sweep;
    if (measure_from > now && measure_from < until) until = measure_from;
    if (measure_to > now && measure_to < until) until = measure_to;
    if (due_step && idle && next_due < until) until = next_due;
    uint64_t left = until > now ? until - now : 0;  // at most SWEEP_NS
    return (struct timespec){.tv_nsec = (long)left};
}

/// Runs warm-up, window and drain; fills the CPU times of window start and end, and the window's true length.
static uint64_t run(uint64_t *cpu_before, uint64_t *cpu_after) {
    uint64_t window_start = 0, window_end = 0, next_sweep = 0;
    started_at = now_ns();
    measure_from = started_at + (uint64_t)(options.warm_up * 1e9);
    measure_to = measure_from + (uint64_t)(options.seconds * 1e9);
    uint64_t give_up = measure_to + (uint64_t)((options.timeout + 1) * 1e9);
    due_step = options.rate > 0 ? (uint64_t)(1e9 / options.rate) : 0;
    next_due = started_at;
    for (int index = 0; index < options.connections; index++) connections[index].fd = -1;
    for (;;) {
        struct epoll_event events[BATCH];
        uint64_t now = now_ns();
        if (!window_start && now >= measure_from) {
            read_watched(cpu_before);
            window_start = now;
        }
        if (!window_end && now >= measure_to) {
            read_watched(cpu_after);
            window_end = now;
        }
        if (now >= next_sweep) {
            sweep(now);
            next_sweep = now + (now < started_at + (uint64_t)(options.spread * 1e9) ? SPREAD_STEP_NS : SWEEP_NS);
        }
        while (idle && due_step && next_due <= now && now < measure_to) {
            struct connection *connection = idle;
            idle = connection->next_idle;
            start_request(connection, now);
        }
        if (window_end && (in_flight == 0 || now >= give_up)) return window_end - window_start;
        struct timespec wait = time_to_wait(now, next_sweep);
        int ready = epoll_pwait2(poller, events, BATCH, &wait, NULL);
        for (int index = 0; index < ready; index++) {
            struct connection *connection = events[index].data.ptr;
            if (connection->fd >= 0 && events[index].events & EPOLLOUT) send_rest(connection);
            if (connection->fd >= 0 && events[index].events & ~(uint32_t)EPOLLOUT) readable(connection);
        }
    }
}

static void print_histogram(const char *name, const struct histogram *histogram) {
    printf("\"%s\":{\"p50\":%" PRIu64 ",\"p90\":%" PRIu64 ",\"p99\":%" PRIu64 ",\"p999\":%" PRIu64 ",\"max\":%" PRIu64
           ",\"mean\":%" PRIu64 "},",
           name, quantile(histogram, 0.5), quantile(histogram, 0.9), quantile(histogram, 0.99),
           quantile(histogram, 0.999), histogram->most, histogram->total ? histogram->sum / histogram->total : 0);
}

static void report(uint64_t window, const uint64_t *before, const uint64_t *after) {
    printf("{\"window_ns\":%" PRIu64 ",\"requests\":%" PRIu64 ",\"total\":%" PRIu64 ",\"unanswered\":%" PRIu64
           ",\"lost_events\":%" PRIu64 ",\"reconnects\":%" PRIu64 ",\"body_bytes\":%" PRIu64 ",\"last_bad_status\":%d,",
           window, requests, total, in_flight, lost_events, reconnects, body_bytes, last_bad_status);
    print_histogram("latency_ns", &latency);
    print_histogram("first_byte_ns", &first_byte);
    printf("\"failures\":{");
    for (int kind = 0; kind < FAILURE_KINDS; kind++) {
        printf("%s\"%s\":%" PRIu64, kind ? "," : "", failure_names[kind], failures[kind]);
    }
    printf("},\"cpu_ns\":{");
    for (int index = 0; index < options.watched_count; index++) {
        printf("\"%d\":%" PRIu64 ",", (int)options.watched[index], after[index] - before[index]);
    }
    printf("\"loadgen\":%" PRIu64 "}}\n", after[options.watched_count] - before[options.watched_count]);
}

// ---- start

static void read_request(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) fail(path);
    options.request = malloc(8 << 20);
    if (!options.request) fail("malloc");
    options.request_length = fread(options.request, 1, 8 << 20, file);
    fclose(file);
    errno = 0;
    if (options.request_length == 0 || options.request_length == 8 << 20) fail("the request is empty or over 8 MiB");
}

static void read_watch_list(char *list) {
    char *rest = NULL;
    for (char *word = strtok_r(list, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        if (options.watched_count == WATCHED_MAX) fail("too many processes to watch");
        options.watched[options.watched_count++] = atoi(word);
    }
}

static void read_options(int count, char **arguments) {
    static const struct option names[] = {
        {"port", required_argument, NULL, 'p'}, {"request", required_argument, NULL, 'q'},
        {"expect", required_argument, NULL, 'x'}, {"events", required_argument, NULL, 'e'},
        {"connections", required_argument, NULL, 'c'}, {"seconds", required_argument, NULL, 's'},
        {"warm-up", required_argument, NULL, 'w'}, {"rate", required_argument, NULL, 'r'},
        {"spread", required_argument, NULL, 'S'}, {"timeout", required_argument, NULL, 't'},
        {"watch", required_argument, NULL, 'W'}, {NULL, 0, NULL, 0},
    };
    for (int name; (name = getopt_long(count, arguments, "", names, NULL)) != -1;) {
        switch (name) {
        case 'p': options.port = atoi(optarg); break;
        case 'q': read_request(optarg); break;
        case 'x': options.is_stream = strcmp(optarg, "sse") == 0; break;
        case 'e': options.events = atoi(optarg); break;
        case 'c': options.connections = atoi(optarg); break;
        case 's': options.seconds = atof(optarg); break;
        case 'w': options.warm_up = atof(optarg); break;
        case 'r': options.rate = atof(optarg); break;
        case 'S': options.spread = atof(optarg); break;
        case 't': options.timeout = atof(optarg); break;
        case 'W': read_watch_list(optarg); break;
        default: exit(2);
        }
    }
    errno = 0;
    if (options.port < 1 || options.port > 65535) fail("--port must be 1...65535");
    if (!options.request) fail("--request FILE is missing");
    if (options.connections < 1 || options.connections > CONNECTIONS_MAX) fail("--connections must be 1...16384");
    if (options.seconds <= 0 || options.seconds > 86400) fail("--seconds must be above 0 and at most 86400");
    if (options.timeout <= 0 || options.warm_up < 0 || options.rate < 0 || options.spread < 0) {
        fail("times and rates must not be negative");
    }
}

int main(int count, char **arguments) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);  // ends with whoever started it
    read_options(count, arguments);
    poller = epoll_create1(EPOLL_CLOEXEC);
    connections = calloc((size_t)options.connections, sizeof *connections);
    if (poller < 0 || !connections) fail("no memory");
    uint64_t before[WATCHED_MAX + 1] = {0}, after[WATCHED_MAX + 1] = {0};
    report(run(before, after), before, after);
}
