/*
 * The target of the bench: does so little that it is never what is measured.
 *
 *   origin ADDRESS HTTP_PORT TCP_PORT [PATH FILE]...
 *
 * HTTP/1.1 without TLS: a PATH is answered by what FILE holds, a whole answer with its head; `/bytes/N` by N bytes, any other path by two;
 * a body is read and dropped. TCP: the first line of a connection says what becomes of it: `down N` is answered by N bytes and the end,
 * `up N` by one byte when N bytes have come, `up check N` too where they are those that `down` would send, `echo` by what comes, `hold` by
 * one byte and nothing more. Prints `ready` once it listens.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* What fills a TCP answer repeats after so many bytes, of which no part is like another and no buffer is a multiple. */
enum { HEAD_MAX = 65536, PIECE = 1 << 20, PERIOD = 1000003, EVENTS = 256 };
enum mode { LISTEN_HTTP, LISTEN_TCP, HTTP, TCP_FIRST, TCP_DOWN, TCP_UP, TCP_ECHO, TCP_HOLD };

struct peer {
    int fd;
    enum mode mode;
    char *head;           /* what came of a head or a first line, until it is whole */
    size_t head_length;
    unsigned long long left; /* of a request's body, or of what `up` waits for */
    unsigned long long to_send; /* bytes of filling behind `pending` */
    char pending[256];
    size_t pending_length, pending_at;
    const char *whole;    /* an answer out of a file, in place of `pending` */
    size_t whole_left;
    int close_after;
    unsigned long long at; /* how much of what fills has gone, or come */
    int is_checked;
};

/* What a path is answered by. */
struct answer {
    const char *path;
    char *bytes;
    size_t length;
};

static struct answer *answers;
static int answers_count;

static char filling[PERIOD + PIECE];
static char scratch[PIECE];
static int poller;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void want(struct peer *peer, unsigned events, int is_new) {
    struct epoll_event event = {.events = events, .data.ptr = peer};
    if (epoll_ctl(poller, is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, peer->fd, &event) != 0) fail("epoll_ctl");
}

static struct peer *add(int fd, enum mode mode) {
    struct peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL) fail("calloc");
    peer->fd = fd;
    peer->mode = mode;
    want(peer, EPOLLIN, 1);
    return peer;
}

static void drop(struct peer *peer) {
    close(peer->fd);
    free(peer->head);
    free(peer);
}

static void listen_at(const char *address, int port, enum mode mode) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, address, &at.sin_addr) != 1) fail("address");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 4096) != 0) fail("listen");
    add(fd, mode);
}

static void read_answer(struct answer *answer, const char *path, const char *file) {
    FILE *from = fopen(file, "rb");
    if (from == NULL) fail(file);
    answer->path = path;
    answer->bytes = malloc(PIECE);
    if (answer->bytes == NULL) fail("malloc");
    answer->length = fread(answer->bytes, 1, PIECE, from);
    fclose(from);
}

static const struct answer *answer_to(const char *head) {
    const char *target = strchr(head, ' ');
    for (int i = 0; target != NULL && i < answers_count; i++) {
        size_t length = strlen(answers[i].path);
        if (strncmp(target + 1, answers[i].path, length) == 0 && target[1 + length] == ' ') return &answers[i];
    }
    return NULL;
}

/* Sends what is owed; returns -1 where the peer has gone, 1 where it has to wait, 0 where nothing is owed. */
static int flush(struct peer *peer) {
    while (peer->whole_left > 0 || peer->pending_at < peer->pending_length || peer->to_send > 0) {
        ssize_t sent;
        if (peer->whole_left > 0) {
            sent = send(peer->fd, peer->whole, peer->whole_left, MSG_NOSIGNAL);
            if (sent > 0) peer->whole += sent, peer->whole_left -= sent;
        } else if (peer->pending_at < peer->pending_length) {
            int more = peer->to_send > 0 ? MSG_MORE : 0;
            sent = send(peer->fd, peer->pending + peer->pending_at, peer->pending_length - peer->pending_at, MSG_NOSIGNAL | more);
            if (sent > 0) peer->pending_at += sent;
        } else {
            size_t piece = peer->to_send < PIECE ? peer->to_send : PIECE;
            sent = send(peer->fd, filling + peer->at % PERIOD, piece, MSG_NOSIGNAL);
            if (sent > 0) {
                peer->to_send -= sent;
                peer->at += sent;
            }
        }
        if (sent < 0) {
            if (errno != EAGAIN) return -1;
            want(peer, EPOLLOUT, 0);
            return 1;
        }
    }
    peer->pending_at = peer->pending_length = 0;
    if (peer->close_after) {
        shutdown(peer->fd, SHUT_WR);
        peer->close_after = 0;
    }
    return 0;
}

/* Answers the requests whose heads are whole; -1 where the peer has to go. */
static int serve_http(struct peer *peer) {
    for (;;) {
        if (peer->left > 0) {
            size_t take = peer->head_length < peer->left ? peer->head_length : peer->left;
            memmove(peer->head, peer->head + take, peer->head_length -= take);
            peer->left -= take;
            if (peer->left > 0) return 0;
            int state = flush(peer);
            if (state != 0) return state < 0 ? -1 : 1;
        }
        char *end = memmem(peer->head, peer->head_length, "\r\n\r\n", 4);
        if (end == NULL) return peer->head_length == HEAD_MAX ? -1 : 0;
        size_t length = end + 4 - peer->head;
        *end = 0;
        char *path = strstr(peer->head, "/bytes/");
        char *line = strstr(peer->head, "\r\n");
        unsigned long long bytes = path != NULL && (line == NULL || path < line) ? strtoull(path + 7, NULL, 10) : 2;
        char *field = strcasestr(peer->head, "\r\ncontent-length:");
        peer->left = field == NULL ? 0 : strtoull(field + 17, NULL, 10);
        const struct answer *answer = answer_to(peer->head);
        if (answer != NULL) {
            peer->whole = answer->bytes;
            peer->whole_left = answer->length;
        } else {
            peer->pending_length = snprintf(peer->pending, sizeof peer->pending,
                "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %llu\r\n\r\n", bytes);
            peer->pending_at = 0;
            peer->to_send = bytes;
        }
        memmove(peer->head, peer->head + length, peer->head_length -= length);
        if (peer->left > 0) continue;
        int state = flush(peer);
        if (state != 0) return state < 0 ? -1 : 1;
    }
}

/* Counts what came, and looks at it where it was asked to; -1 where the peer has to go. */
static int take_upload(struct peer *peer, const char *bytes, unsigned long long length) {
    if (peer->left == 0) return 0;
    if (length > peer->left) return -1;
    if (peer->is_checked && memcmp(bytes, filling + peer->at % PERIOD, length) != 0) return -1;
    peer->at += length;
    peer->left -= length;
    return peer->left == 0 && send(peer->fd, "k", 1, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static int serve_first_line(struct peer *peer) {
    char *end = memchr(peer->head, '\n', peer->head_length);
    if (end == NULL) return peer->head_length > 200 ? -1 : 0;
    *end = 0;
    size_t rest = peer->head_length - (end + 1 - peer->head);
    if (sscanf(peer->head, "down %llu", &peer->to_send) == 1) {
        peer->mode = TCP_DOWN;
        peer->close_after = 1;
        return flush(peer) < 0 ? -1 : 0;
    }
    peer->is_checked = sscanf(peer->head, "up check %llu", &peer->left) == 1;
    if (peer->is_checked || sscanf(peer->head, "up %llu", &peer->left) == 1) {
        peer->mode = TCP_UP;
        return take_upload(peer, end + 1, rest);
    }
    if (strcmp(peer->head, "echo") == 0) {
        peer->mode = TCP_ECHO;
        return rest > 0 && send(peer->fd, end + 1, rest, MSG_NOSIGNAL) < 0 ? -1 : 0;
    }
    if (strcmp(peer->head, "hold") != 0) return -1;
    peer->mode = TCP_HOLD;
    return send(peer->fd, "h", 1, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

/* Reads what came; -1 where the peer has to go. */
static int receive(struct peer *peer) {
    if (peer->mode == HTTP || peer->mode == TCP_FIRST) {
        if (peer->head == NULL && (peer->head = malloc(HEAD_MAX + 1)) == NULL) fail("malloc");
        ssize_t got = recv(peer->fd, peer->head + peer->head_length, HEAD_MAX - peer->head_length, 0);
        if (got <= 0) return got < 0 && errno == EAGAIN ? 0 : -1;
        peer->head_length += got;
        return peer->mode == HTTP ? serve_http(peer) : serve_first_line(peer);
    }
    int is_counted = peer->mode == TCP_UP && !peer->is_checked;
    ssize_t got = recv(peer->fd, scratch, PIECE, is_counted ? MSG_TRUNC : 0);
    if (got <= 0) return got < 0 && errno == EAGAIN ? 0 : -1;
    if (peer->mode == TCP_ECHO) {
        /* What an echo can't send at once would need a queue: its users send little. */
        return send(peer->fd, scratch, got, MSG_NOSIGNAL) == got ? 0 : -1;
    }
    return peer->mode == TCP_UP ? take_upload(peer, scratch, got) : 0;
}

static void accept_all(struct peer *listener) {
    for (;;) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK), one = 1;
        if (fd < 0) return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        add(fd, listener->mode == LISTEN_HTTP ? HTTP : TCP_FIRST);
    }
}

int main(int count, char **words) {
    if (count < 4 || count % 2 != 0) {
        fprintf(stderr, "usage: origin ADDRESS HTTP_PORT TCP_PORT [PATH FILE]...\n");
        return 2;
    }
    answers_count = (count - 4) / 2;
    answers = calloc(answers_count + 1, sizeof *answers);
    if (answers == NULL) fail("calloc");
    for (int i = 0; i < answers_count; i++) read_answer(&answers[i], words[4 + 2 * i], words[5 + 2 * i]);
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof filling; i++) filling[i] = (uint32_t)(i % PERIOD) * 2654435761u >> 23;
    poller = epoll_create1(0);
    listen_at(words[1], atoi(words[2]), LISTEN_HTTP);
    listen_at(words[1], atoi(words[3]), LISTEN_TCP);
    printf("ready\n");
    fflush(stdout);
    struct epoll_event events[EVENTS];
    for (;;) {
        int ready = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            struct peer *peer = events[i].data.ptr;
            int state = 0;
            if (peer->mode <= LISTEN_TCP) {
                accept_all(peer);
                continue;
            }
            if (events[i].events & EPOLLOUT) {
                state = flush(peer);
                if (state == 0) {
                    want(peer, EPOLLIN, 0);
                    if (peer->mode == HTTP) state = serve_http(peer);
                }
            } else if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) state = receive(peer);
            if (state < 0) drop(peer);
        }
    }
}
