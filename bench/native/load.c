/*
 * Sends HTTP/1.1 requests over connections that stay, one at a time on each, and times each to the last byte of its answer.
 *
 *   load ADDRESS PORT CONNECTIONS SECONDS FILE [repeat] [tls] [skip=N] [watch=PID]
 *
 * FILE holds the requests: for each the number of its bytes, 4 bytes with the least first, and the bytes as they are sent. Each is sent once, in order,
 * until they or the time is up; with `repeat` from the start again. A connection that the server closes between two answers is opened anew.
 * Prints a line of JSON: requests, seconds, its own CPU seconds, statuses, bytes of bodies, microseconds at 50, 90 and 99 %.
 *
 * `tls` speaks TLS and looks at no certificate. `skip=N` doesn't count the first N, which open what stays open; the time begins behind
 * them. `watch=PID` tells what that process has computed meanwhile, in seconds, with all its threads.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <openssl/ssl.h>

enum { HEAD_MAX = 65536, PIECE = 1 << 18, EVENTS = 256, STATUSES = 600 };
enum body { NONE, COUNTED, CHUNKED, TO_END };

struct link {
    int fd;
    SSL *ssl; /* NULL in the clear */
    const unsigned char *request;
    size_t request_length, sent;
    double began;
    char head[HEAD_MAX + 1];
    size_t head_length;
    int in_body;
    enum body body;
    unsigned long long left;
    int status, must_close;
    /* Of a chunked body: how much of `\r\n0\r\n\r\n` the last bytes were, which nothing but its end holds here. */
    char tail[7];
};

static const unsigned char *file, *at, *file_end;
static int repeats, poller;
static struct sockaddr_in server;
static double *times;
static size_t done, room;
static unsigned long long statuses[STATUSES], bytes, broken;
static char scratch[PIECE];
static double until, seconds, counted_from, cpu_from, watched_from;
static int busy;
static SSL_CTX *tls;
static size_t answered, skips;
static clockid_t watched;
static int watches;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static double cpu(clockid_t clock) {
    struct timespec time;
    if (clock_gettime(clock, &time) != 0) fail("cpu");
    return time.tv_sec + time.tv_nsec / 1e9;
}

/* From now on it counts. */
static void count_on(void) {
    counted_from = now();
    until = counted_from + seconds;
    cpu_from = cpu(CLOCK_PROCESS_CPUTIME_ID);
    if (watches) watched_from = cpu(watched);
}

static ssize_t tls_result(struct link *link, int result) {
    if (result > 0) return result;
    int error = SSL_get_error(link->ssl, result);
    errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : ECONNRESET;
    return error == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

static ssize_t put(struct link *link, const void *data, size_t length) {
    if (link->ssl == NULL) return send(link->fd, data, length, MSG_NOSIGNAL);
    return tls_result(link, SSL_write(link->ssl, data, length));
}

static ssize_t get(struct link *link, void *data, size_t room) {
    if (link->ssl == NULL) return recv(link->fd, data, room, 0);
    return tls_result(link, SSL_read(link->ssl, data, room));
}

static void close_link(struct link *link) {
    SSL_free(link->ssl);
    link->ssl = NULL;
    close(link->fd);
}

static void open_link(struct link *link) {
    int one = 1;
    link->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(link->fd, (struct sockaddr *)&server, sizeof server) != 0) fail("connect");
    setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (tls != NULL) {
        link->ssl = SSL_new(tls);
        if (link->ssl == NULL || SSL_set_fd(link->ssl, link->fd) != 1 || SSL_connect(link->ssl) != 1) fail("TLS");
    }
    fcntl(link->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = link};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, link->fd, &event) != 0) fail("epoll_ctl");
}

/* Takes the next request; 0 where there is none or no time. */
static int take(struct link *link) {
    if (at >= file_end && repeats) at = file;
    if (at >= file_end || (answered >= skips && now() >= until)) return 0;
    link->request_length = at[0] | at[1] << 8 | at[2] << 16 | (size_t)at[3] << 24;
    link->request = at + 4;
    at += 4 + link->request_length;
    link->sent = link->head_length = link->in_body = link->must_close = 0;
    link->began = now();
    return 1;
}

static int push(struct link *link) {
    while (link->sent < link->request_length) {
        ssize_t sent = put(link, link->request + link->sent, link->request_length - link->sent);
        if (sent < 0 && errno != EAGAIN) return -1;
        int waits = sent < 0;
        if (!waits) link->sent += sent;
        struct epoll_event event = {.events = EPOLLIN | (waits ? EPOLLOUT : 0), .data.ptr = link};
        epoll_ctl(poller, EPOLL_CTL_MOD, link->fd, &event);
        if (waits) return 0;
    }
    return 0;
}

static void start(struct link *link) {
    if (!take(link)) {
        close_link(link);
        busy--;
        return;
    }
    if (link->must_close || push(link) < 0) {
        close_link(link);
        open_link(link);
        link->sent = 0;
        if (push(link) < 0) fail("send");
    }
}

static void finish(struct link *link) {
    if (++answered <= skips) {
        if (answered == skips) count_on();
    } else {
        if (done == room && (times = realloc(times, (room = room * 2 + 65536) * sizeof *times)) == NULL) fail("realloc");
        times[done++] = now() - link->began;
    }
    statuses[link->status]++;
    if (link->must_close) {
        close_link(link);
        open_link(link);
    }
    start(link);
}

/* Counts bytes of a body; 1 where it is whole. */
static int body_bytes(struct link *link, const char *data, size_t length) {
    bytes += length;
    if (link->body == COUNTED) {
        link->left -= length < link->left ? length : link->left;
        return link->left == 0;
    }
    if (link->body != CHUNKED) return link->body == NONE;
    if (length >= 7) memcpy(link->tail, data + length - 7, 7);
    else {
        memmove(link->tail, link->tail + length, 7 - length);
        memcpy(link->tail + 7 - length, data, length);
    }
    return memcmp(link->tail, "\r\n0\r\n\r\n", 7) == 0 || memcmp(link->tail + 2, "0\r\n\r\n", 5) == 0;
}

/* Reads a head that has come whole; 1 where the answer is whole with it. */
static int read_head(struct link *link) {
    char *end = memmem(link->head, link->head_length, "\r\n\r\n", 4);
    if (end == NULL) {
        if (link->head_length == HEAD_MAX) fail("a head is too long");
        return 0;
    }
    size_t length = end + 4 - link->head;
    end[2] = 0;
    link->status = atoi(link->head + 9);
    if (link->status < 100 || link->status >= STATUSES) fail("no status");
    if (link->status < 200) {
        memmove(link->head, link->head + length, link->head_length -= length);
        return read_head(link);
    }
    char *counted = strcasestr(link->head, "\r\ncontent-length:");
    link->left = counted == NULL ? 0 : strtoull(counted + 17, NULL, 10);
    link->body = strcasestr(link->head, "\r\ntransfer-encoding: chunked") != NULL ? CHUNKED
        : counted != NULL ? (link->left > 0 ? COUNTED : NONE)
        : link->status == 204 || link->status == 304 ? NONE : TO_END;
    link->must_close = strcasestr(link->head, "\r\nconnection: close") != NULL || link->body == TO_END;
    link->in_body = 1;
    memcpy(link->tail, "       ", 7);
    if (link->body == CHUNKED) memcpy(link->tail + 5, "\r\n", 2);
    return body_bytes(link, link->head + length, link->head_length - length);
}

static void receive(struct link *link) {
    for (;;) {
        ssize_t got = link->in_body ? get(link, scratch, PIECE)
                                    : get(link, link->head + link->head_length, HEAD_MAX - link->head_length);
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) {
            if (link->in_body && link->body == TO_END) {
                finish(link);
                return;
            }
            broken++;
            close_link(link);
            open_link(link);
            start(link);
            return;
        }
        int whole;
        if (link->in_body) whole = body_bytes(link, scratch, got);
        else {
            link->head_length += got;
            link->head[link->head_length] = 0;
            whole = read_head(link);
        }
        if (whole) {
            finish(link);
            return;
        }
    }
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double microseconds(double share) {
    return done == 0 ? 0 : times[(size_t)(share * (done - 1))] * 1e6;
}

int main(int count, char **words) {
    if (count < 6) {
        fprintf(stderr, "usage: load ADDRESS PORT CONNECTIONS SECONDS FILE [repeat] [tls] [skip=N] [watch=PID]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    server.sin_family = AF_INET;
    server.sin_port = htons(atoi(words[2]));
    if (inet_pton(AF_INET, words[1], &server.sin_addr) != 1) fail("address");
    int links = atoi(words[3]), fd = open(words[5], O_RDONLY);
    struct stat stat;
    if (fd < 0 || fstat(fd, &stat) != 0) fail(words[5]);
    file = mmap(NULL, stat.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (file == MAP_FAILED) fail("mmap");
    at = file;
    file_end = file + stat.st_size;
    seconds = atof(words[4]);
    for (int i = 6; i < count; i++) {
        if (strcmp(words[i], "repeat") == 0) repeats = 1;
        else if (strcmp(words[i], "tls") == 0) {
            if ((tls = SSL_CTX_new(TLS_client_method())) == NULL) fail("TLS");
            SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        } else if (strncmp(words[i], "skip=", 5) == 0) skips = strtoull(words[i] + 5, NULL, 10);
        else if (strncmp(words[i], "watch=", 6) == 0) {
            watches = 1;
            if (clock_getcpuclockid(atoi(words[i] + 6), &watched) != 0) fail("watch");
        } else fail(words[i]);
    }
    poller = epoll_create1(0);
    busy = links;
    struct link **all = calloc(links, sizeof *all);
    for (int i = 0; i < links; i++) {
        if (all == NULL || (all[i] = calloc(1, sizeof **all)) == NULL) fail("calloc");
        open_link(all[i]);
    }
    count_on();
    for (int i = 0; i < links; i++) start(all[i]);
    struct epoll_event events[EVENTS];
    while (busy > 0) {
        int ready = epoll_wait(poller, events, EVENTS, 10000);
        if (ready == 0) {
            fprintf(stderr, "no answer for 10 s\n");
            return 1;
        }
        for (int i = 0; i < ready; i++) {
            struct link *link = events[i].data.ptr;
            if (events[i].events & EPOLLOUT && push(link) < 0) fail("send");
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(link);
        }
    }
    double took = now() - counted_from, own = cpu(CLOCK_PROCESS_CPUTIME_ID) - cpu_from;
    double others = watches ? cpu(watched) - watched_from : 0;
    qsort(times, done, sizeof *times, ascending);
    printf("{\"requests\":%zu,\"seconds\":%.6f,\"cpuSeconds\":%.6f,\"watchedCpuSeconds\":%.6f,\"bytes\":%llu,\"broken\":%llu,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"statuses\":{",
        done, took, own, others, bytes, broken, microseconds(0.5), microseconds(0.9), microseconds(0.99));
    const char *comma = "";
    for (int i = 0; i < STATUSES; i++) {
        if (statuses[i] == 0) continue;
        printf("%s\"%d\":%llu", comma, i, statuses[i]);
        comma = ",";
    }
    printf("}}\n");
    return 0;
}
