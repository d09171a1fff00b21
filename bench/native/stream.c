/*
 * A WebSocket client that moves bytes by streams, all of them at once, and does little else.
 *
 *   stream ADDRESS PORT plain|tls v1|raw FILE down|up|echo|idle BYTES
 *
 * FILE holds the request of each stream, to be upgraded: the number of its bytes, 4 bytes with the least first, and the bytes. `v1` speaks
 * holdfast.stream.v1: windows, acknowledgements, pings; `raw` sends and takes bytes alone. Once all are open it is timed how
 * long it takes until each has had BYTES from the target, or the target has had BYTES from each; bytes that come are compared with what they
 * must be. `echo` sends BYTES that differ, a piece at a time, and compares what comes back; of `idle` all but the first are only held, and
 * by the first BYTES go there and back, one at a time. For `idle` it prints `open` once all are, and goes on when a line comes on stdin.
 * Frames are masked beforehand, so that a mask costs it nothing and the other end all that it does. Prints a line of JSON: bytes of each stream,
 * seconds, its own CPU seconds, microseconds of the echoes at 50 and 99 %.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 1 << 16, HEAD = 14, READ = 1 << 18, EVENTS = 256, SMALL = 4096, ACK = 1 << 17, ECHO = 8192, ECHOES = 1 << 20, PERIOD = 1000003 };
enum state { REQUEST, ANSWER, OPENING, OPEN, DONE };
enum direction { DOWN, UP, ECHOED, IDLE };

struct link {
    int fd;
    SSL *tls;
    enum state state;
    const unsigned char *request;
    size_t request_length, request_sent;
    unsigned char small[SMALL]; /* an answer's head, or a control message, until it is whole */
    size_t small_length;
    unsigned char head[HEAD]; /* of the frame that comes */
    size_t head_length;
    unsigned long long frame_left;
    int opcode; /* of the message that comes */
    unsigned char out[SMALL]; /* control frames and the first line, which are sent between frames of bytes */
    size_t out_length;
    const unsigned char *bulk; /* the frame of bytes that is being sent */
    size_t bulk_left;
    unsigned long long to_send, sent, acked, window, got, told;
    int wants_write;
    double echo_began;
};

static const unsigned char MASK[4] = {0x5a, 0x13, 0xc7, 0x88};
static unsigned char bulk_frame[HEAD + PIECE], last_frame[HEAD + PIECE], scratch[READ];
/* What the target answers by: see origin.c. */
static unsigned char filling[PERIOD + READ];
static size_t bulk_length, last_length, echo_length;
static unsigned char echo_frame[HEAD + ECHO], echo_bytes[ECHO];
static int poller, is_v1;
static enum direction direction;
static unsigned long long each;
static size_t opened, finished;
static double *times;
static size_t echoes;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void broken(const char *why) {
    fprintf(stderr, "stream: %s\n", why);
    exit(1);
}

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static double cpu(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* A masked frame; returns its length. */
static size_t frame(unsigned char *to, int opcode, const void *bytes, size_t length) {
    size_t at = 2;
    to[0] = 0x80 | opcode;
    if (length < 126) to[1] = 0x80 | length;
    else if (length < 65536) {
        to[1] = 0x80 | 126;
        to[at++] = length >> 8;
        to[at++] = length;
    } else {
        to[1] = 0x80 | 127;
        for (int shift = 56; shift >= 0; shift -= 8) to[at++] = (unsigned long long)length >> shift;
    }
    memcpy(to + at, MASK, 4);
    at += 4;
    for (size_t i = 0; i < length; i++) to[at + i] = ((const unsigned char *)bytes)[i] ^ MASK[i & 3];
    return at + length;
}

/* As recv and send: -1 with EAGAIN where it has to wait. */
static ssize_t take(struct link *link, void *to, size_t most) {
    if (link->tls == NULL) return recv(link->fd, to, most, 0);
    int got = SSL_read(link->tls, to, most);
    if (got > 0) return got;
    int why = SSL_get_error(link->tls, got);
    if (why == SSL_ERROR_ZERO_RETURN) return 0;
    errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : EIO;
    return -1;
}

static ssize_t give(struct link *link, const void *from, size_t length) {
    if (link->tls == NULL) return send(link->fd, from, length, MSG_NOSIGNAL);
    int sent = SSL_write(link->tls, from, length);
    if (sent > 0) return sent;
    int why = SSL_get_error(link->tls, sent);
    errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : EIO;
    return -1;
}

static void want(struct link *link, int writes) {
    if (writes == link->wants_write) return;
    struct epoll_event event = {.events = writes ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = link};
    if (epoll_ctl(poller, EPOLL_CTL_MOD, link->fd, &event) != 0) fail("epoll_ctl");
    link->wants_write = writes;
}

static void put(struct link *link, int opcode, const void *bytes, size_t length) {
    if (link->out_length + HEAD + length > SMALL) broken("too many control messages wait");
    link->out_length += frame(link->out + link->out_length, opcode, bytes, length);
}

/* Sends what is owed, as far as the window and the socket go. */
static void flush(struct link *link) {
    for (;;) {
        const unsigned char *from;
        size_t length;
        if (link->request_sent < link->request_length) {
            from = link->request + link->request_sent;
            length = link->request_length - link->request_sent;
        } else if (link->bulk_left > 0) {
            from = link->bulk;
            length = link->bulk_left;
        } else if (link->out_length > 0) {
            from = link->out;
            length = link->out_length;
        } else if (link->to_send > 0) {
            size_t piece = link->to_send < PIECE ? link->to_send : PIECE;
            if (is_v1 && link->sent + piece - link->acked > link->window) return want(link, 0);
            link->bulk = piece == PIECE ? bulk_frame : last_frame;
            link->bulk_left = piece == PIECE ? bulk_length : last_length;
            link->to_send -= piece;
            link->sent += piece;
            continue;
        } else return want(link, 0);
        ssize_t sent = give(link, from, length);
        if (sent < 0 && errno == EAGAIN) return want(link, 1);
        if (sent <= 0) broken("a stream broke while it was written to");
        if (link->request_sent < link->request_length) link->request_sent += sent;
        else if (link->bulk_left > 0) {
            link->bulk += sent;
            link->bulk_left -= sent;
        } else memmove(link->out, link->out + sent, link->out_length -= sent);
    }
}

static void echo(struct link *link) {
    link->echo_began = now();
    if (direction == IDLE) put(link, 2, echo_bytes, 1);
    else {
        link->bulk = echo_frame;
        link->bulk_left = echo_length;
    }
    flush(link);
}

static void over(struct link *link) {
    link->state = DONE;
    finished++;
    if (is_v1) {
        const char *text = "{\"type\":\"rst\",\"code\":\"stream_cancelled\",\"detail\":\"\"}";
        put(link, 1, text, strlen(text));
    }
    put(link, 8, "\x03\xe8", 2);
    flush(link);
}

/* Bytes of the target. */
static void bytes(struct link *link, const unsigned char *from, size_t length) {
    unsigned long long at = link->got;
    link->got += length;
    if (link->state == DONE) return;
    if (is_v1 && link->got - link->told >= ACK) {
        char text[64];
        link->told = link->got;
        put(link, 1, text, snprintf(text, sizeof text, "{\"type\":\"ack\",\"bytes\":%llu}", link->got));
        if (link->bulk_left == 0) flush(link);
    }
    switch (direction) {
    case DOWN:
        if (link->got > each) broken("more bytes came than were asked for");
        if (memcmp(from, filling + at % PERIOD, length) != 0) broken("a byte is wrong");
        if (link->got == each) over(link);
        return;
    case UP:
        if (length != 1 || *from != 'k' || link->got != 1) broken("the target said something else");
        over(link);
        return;
    default: {
        size_t piece = direction == IDLE ? 1 : ECHO;
        if (at % piece + length > piece || memcmp(from, echo_bytes + at % piece, length) != 0) broken("a byte is wrong");
        if (link->got % piece != 0) return;
        if (echoes < ECHOES) times[echoes++] = now() - link->echo_began;
        if (link->got >= each) over(link);
        else echo(link);
    }
    }
}

static void control(struct link *link) {
    link->small[link->small_length] = 0;
    const char *text = (const char *)link->small, *at;
    if (link->opcode == 9) return put(link, 10, text, link->small_length);
    if (link->opcode == 10) return;
    if (link->opcode == 8) {
        if (link->state != DONE) broken("a stream was closed");
        return;
    }
    if (strstr(text, "\"type\":\"open\"") != NULL) {
        if ((at = strstr(text, "\"window\":")) == NULL) broken("no window");
        link->window = strtoull(at + 9, NULL, 10);
        link->state = OPEN;
        opened++;
    } else if (strstr(text, "\"type\":\"ack\"") != NULL) {
        if ((at = strstr(text, "\"bytes\":")) == NULL) broken("no count");
        link->acked = strtoull(at + 8, NULL, 10);
        flush(link);
    } else if (strstr(text, "\"type\":\"ping\"") != NULL) {
        put(link, 1, "{\"type\":\"pong\"}", 15);
        flush(link);
    } else if (strstr(text, "\"type\":\"rst\"") != NULL && link->state != DONE) broken(text);
}

/* Reads frames, whose payload is dealt with where it lies. */
static void frames(struct link *link, const unsigned char *from, size_t length) {
    while (length > 0) {
        if (link->frame_left == 0) {
            link->head[link->head_length++] = *from++;
            length--;
            if (link->head_length < 2) continue;
            size_t more = link->head[1] == 127 ? 8 : link->head[1] == 126 ? 2 : 0;
            if (link->head_length < 2 + more) continue;
            link->head_length = 0;
            unsigned long long payload = more == 0 ? link->head[1] : 0;
            for (size_t i = 0; i < more; i++) payload = payload << 8 | link->head[2 + i];
            if ((link->head[0] & 0x0f) != 0) link->opcode = link->head[0] & 0x0f;
            link->frame_left = payload;
            if (link->opcode != 2) link->small_length = 0;
            if (payload == 0 && link->opcode != 2) control(link);
            continue;
        }
        size_t piece = length < link->frame_left ? length : link->frame_left;
        link->frame_left -= piece;
        if (link->opcode == 2) bytes(link, from, piece);
        else {
            if (link->small_length + piece >= SMALL) broken("a control message is too long");
            memcpy(link->small + link->small_length, from, piece);
            link->small_length += piece;
            if (link->frame_left == 0) control(link);
        }
        from += piece;
        length -= piece;
    }
}

static void receive(struct link *link) {
    for (;;) {
        ssize_t got = take(link, scratch, READ);
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) {
            if (link->state != DONE) broken("a stream broke");
            epoll_ctl(poller, EPOLL_CTL_DEL, link->fd, NULL);
            return;
        }
        const unsigned char *from = scratch;
        if (link->state == ANSWER) {
            size_t room = SMALL - 1 - link->small_length, piece = (size_t)got < room ? (size_t)got : room;
            memcpy(link->small + link->small_length, from, piece);
            link->small[link->small_length + piece] = 0;
            char *end = strstr((char *)link->small, "\r\n\r\n");
            if (end == NULL) {
                link->small_length += piece;
                continue;
            }
            if (strncmp((char *)link->small, "HTTP/1.1 101", 12) != 0) broken((char *)link->small);
            size_t used = end + 4 - (char *)link->small - link->small_length;
            from += used;
            got -= used;
            link->small_length = 0;
            link->state = is_v1 ? OPENING : OPEN;
            if (!is_v1) opened++;
        }
        frames(link, from, got);
        if (link->tls == NULL && got < READ) return;
    }
}

static void turn(int ms) {
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(poller, events, EVENTS, ms);
    for (int i = 0; i < ready; i++) {
        struct link *link = events[i].data.ptr;
        if (events[i].events & EPOLLOUT) flush(link);
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(link);
    }
}

static int ascending(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

int main(int count, char **words) {
    if (count != 8) {
        fprintf(stderr, "usage: stream ADDRESS PORT plain|tls v1|raw FILE down|up|echo|idle BYTES\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(atoi(words[2]))};
    if (inet_pton(AF_INET, words[1], &server.sin_addr) != 1) fail("address");
    SSL_CTX *context = NULL;
    if (strcmp(words[3], "tls") == 0) {
        context = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    }
    is_v1 = strcmp(words[4], "v1") == 0;
    direction = strcmp(words[6], "down") == 0 ? DOWN : strcmp(words[6], "up") == 0 ? UP : strcmp(words[6], "echo") == 0 ? ECHOED : IDLE;
    each = strtoull(words[7], NULL, 10);
    for (size_t i = 0; i < sizeof filling; i++) filling[i] = (uint32_t)(i % PERIOD) * 2654435761u >> 23;
    for (size_t i = 0; i < ECHO; i++) echo_bytes[i] = i * 31 + (i >> 8);
    echo_length = frame(echo_frame, 2, echo_bytes, ECHO);
    bulk_length = frame(bulk_frame, 2, filling, PIECE);
    last_length = frame(last_frame, 2, filling, each % PIECE);
    times = calloc(ECHOES, sizeof *times);
    int fd = open(words[5], O_RDONLY);
    struct stat about;
    if (fd < 0 || fstat(fd, &about) != 0) fail(words[5]);
    const unsigned char *at = mmap(NULL, about.st_size, PROT_READ, MAP_PRIVATE, fd, 0), *end = at + about.st_size;
    if (at == MAP_FAILED) fail("mmap");
    poller = epoll_create1(0);
    struct link *first = NULL;
    struct link **links = calloc(about.st_size / 4, sizeof *links);
    size_t streams = 0;
    while (at < end) {
        struct link *link = calloc(1, sizeof *link);
        int one = 1;
        if (first == NULL) first = link;
        link->request_length = at[0] | at[1] << 8 | at[2] << 16 | (size_t)at[3] << 24;
        link->request = at + 4;
        at += 4 + link->request_length;
        link->fd = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (connect(link->fd, (struct sockaddr *)&server, sizeof server) != 0) fail("connect");
        if (context != NULL) {
            link->tls = SSL_new(context);
            SSL_set_fd(link->tls, link->fd);
            if (SSL_connect(link->tls) != 1) broken("no TLS");
        }
        fcntl(link->fd, F_SETFL, O_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = link};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, link->fd, &event) != 0) fail("epoll_ctl");
        link->state = ANSWER;
        flush(link);
        links[streams++] = link;
        /* A few at a time: how fast streams are opened is not measured here. */
        while (streams - opened > 8) turn(-1);
    }
    while (opened < streams) turn(-1);
    char line[64];
    int length = direction == DOWN ? snprintf(line, sizeof line, "down %llu\n", each)
               : direction == UP   ? snprintf(line, sizeof line, "up %llu\n", each)
                                   : snprintf(line, sizeof line, "echo\n");
    if (direction == IDLE) {
        printf("open\n");
        fflush(stdout);
        fcntl(0, F_SETFL, O_NONBLOCK);
        char go;
        while (read(0, &go, 1) < 0 && errno == EAGAIN) turn(100);
    }
    double began = now(), computed = cpu();
    for (size_t i = 0; i < streams; i++) {
        struct link *link = links[i];
        put(link, 2, line, length);
        link->sent += length;
        if (direction == UP) link->to_send = each;
        flush(link);
        if (direction == ECHOED || (direction == IDLE && link == first)) {
            /* Alone, so that the target echoes it whole. */
            double until = now() + 0.02;
            while (now() < until) turn(1);
            echo(link);
        }
    }
    while (finished < (direction == IDLE ? 1 : streams)) turn(-1);
    double seconds = now() - began;
    qsort(times, echoes, sizeof *times, ascending);
    printf("{\"bytes\":%llu,\"seconds\":%.6f,\"cpuSeconds\":%.6f,\"p50\":%.1f,\"p99\":%.1f}\n", each, seconds, cpu() - computed,
        echoes == 0 ? 0 : times[echoes / 2] * 1e6, echoes == 0 ? 0 : times[echoes * 99 / 100] * 1e6);
    fflush(stdout);
    for (size_t i = 0; i < streams; i++) if (links[i]->state != DONE) over(links[i]);
    /* Until the closes have been answered, or a while has passed. */
    double until = now() + 0.3;
    while (now() < until) turn(10);
    return 0;
}
