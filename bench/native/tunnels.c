/*
 * Opens tunnels through a proxy to the target of the bench, and uses them.
 *
 *   tunnels ADDRESS PORT FILE rate AT_ONCE SECONDS     sets tunnels up: connects, shakes hands, sends a byte there and has it back, closes
 *   tunnels ADDRESS PORT FILE down TUNNELS BYTES [check]   moves so many bytes through each from the target; `check` compares each byte
 *   tunnels ADDRESS PORT FILE up TUNNELS BYTES [check]     the same to it
 *   tunnels ADDRESS PORT FILE hold TUNNELS             opens them, prints `held`, and ends when its input does
 *
 * FILE holds handshakes, used in turn. Each is the number of its steps, and for each step what is sent, how much comes back, and how
 * that begins: counts have 4 bytes with the least first, texts their length before them. A step that waits for 0 bytes waits for the
 * end of an HTTP answer's head, of status 200. Without steps there is no proxy. Prints a line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
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

/* What the target fills with: no part of it is like another, and no buffer is a multiple of it. */
enum { PERIOD = 1000003, PIECE = 1 << 20, EVENTS = 256, ANSWER_MAX = 4096, SOURCES = 8, OPENING_MAX = 64 };
enum work { RATE, DOWN, UP, HOLD };
enum state { CONNECTING, SHAKING, ASKED, MOVING, DONE };

struct tunnel {
    int fd;
    enum state state;
    const unsigned char *step;
    uint32_t steps_left;
    double began;
    char answer[ANSWER_MAX + 1];
    size_t answer_length;
    unsigned long long moved;
    int is_writing;
};

static enum work work;
static int poller, is_checked;
static struct sockaddr_in server;
static const unsigned char *file, *file_end, *next_handshake;
static unsigned char pattern[PERIOD + PIECE], scratch[4 * PIECE];
static char ask[64];
static size_t ask_length;
static unsigned long long bytes_each;
static unsigned count, opened, failed, finished, source;
static double *times, until;
static size_t room;
static char why[256];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static uint32_t number(const unsigned char **at) {
    const unsigned char *from = *at;
    *at += 4;
    return from[0] | from[1] << 8 | from[2] << 16 | (uint32_t)from[3] << 24;
}

static void wait_for(struct tunnel *tunnel, unsigned events, int how) {
    struct epoll_event event = {.events = events, .data.ptr = tunnel};
    if (epoll_ctl(poller, how, tunnel->fd, &event) != 0) fail("epoll_ctl");
}

/* Several addresses of this host's: none has as many connections as an address or a port range may have. */
static void open_tunnel(struct tunnel *tunnel) {
    int one = 1;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000101 + source++ % SOURCES)};
    tunnel->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (tunnel->fd < 0) fail("socket");
    setsockopt(tunnel->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(tunnel->fd, (struct sockaddr *)&from, sizeof from) != 0) fail("bind");
    setsockopt(tunnel->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(tunnel->fd, (struct sockaddr *)&server, sizeof server) != 0 && errno != EINPROGRESS) fail("connect");
    if (next_handshake == file_end) next_handshake = file;
    tunnel->step = next_handshake;
    tunnel->steps_left = number(&tunnel->step);
    const unsigned char *at = tunnel->step;
    for (uint32_t i = 0; i < tunnel->steps_left; i++) {
        uint32_t length = number(&at);
        at += length + 4;
        length = number(&at);
        at += length;
    }
    next_handshake = at;
    tunnel->state = CONNECTING;
    tunnel->began = now();
    tunnel->answer_length = tunnel->moved = tunnel->is_writing = 0;
    tunnel->answer[0] = 0;
    wait_for(tunnel, EPOLLOUT, EPOLL_CTL_ADD);
}

static int say(struct tunnel *tunnel, const void *bytes, size_t length) {
    return send(tunnel->fd, bytes, length, MSG_NOSIGNAL) == (ssize_t)length ? 0 : -1;
}

/* The next step, or the question for the target behind the last. */
static int go_on(struct tunnel *tunnel) {
    if (tunnel->steps_left > 0) {
        tunnel->state = SHAKING;
        const unsigned char *at = tunnel->step;
        uint32_t length = number(&at);
        return say(tunnel, at, length);
    }
    if (work == RATE || work == HOLD) {
        tunnel->state = ASKED;
        return say(tunnel, ask, ask_length);
    }
    /* Bulk begins once all stand. */
    tunnel->state = ASKED;
    opened++;
    return 0;
}

/* Takes what came of a step's answer: 1 where it is whole, -1 where it is wrong. */
static int take_answer(struct tunnel *tunnel) {
    const unsigned char *at = tunnel->step;
    uint32_t sent = number(&at);
    at += sent;
    uint32_t expected = number(&at), begins = number(&at);
    tunnel->answer[tunnel->answer_length] = 0;
    if (expected == 0) {
        char *end = strstr(tunnel->answer, "\r\n\r\n");
        if (end == NULL) return tunnel->answer_length == ANSWER_MAX ? -1 : 0;
        expected = end + 4 - tunnel->answer;
        if (strncmp(tunnel->answer + 8, " 200", 4) != 0) return -1;
    } else if (tunnel->answer_length < expected) return 0;
    if (memcmp(tunnel->answer, at, begins) != 0 || tunnel->answer_length > expected) return -1;
    tunnel->answer_length = 0;
    tunnel->steps_left--;
    tunnel->step = at + begins;
    return 1;
}

static void note(double time) {
    if (finished == room && (times = realloc(times, (room = room * 2 + 65536) * sizeof *times)) == NULL) fail("realloc");
    times[finished++] = time;
}

static void end_tunnel(struct tunnel *tunnel) {
    close(tunnel->fd);
    tunnel->state = DONE;
    if (work == RATE && now() < until) open_tunnel(tunnel);
    else count--;
}

static int receive_bulk(struct tunnel *tunnel) {
    for (int reads = 0; reads < 4; reads++) {
        ssize_t got = recv(tunnel->fd, scratch, is_checked ? PIECE : sizeof scratch, is_checked ? 0 : MSG_TRUNC);
        if (got < 0 && errno == EAGAIN) return 0;
        if (got < 0) return -1;
        if (got == 0) return tunnel->moved == bytes_each ? 1 : -1;
        if (is_checked && memcmp(scratch, pattern + tunnel->moved % PERIOD, got) != 0) {
            fprintf(stderr, "other bytes than were sent, behind %llu\n", tunnel->moved);
            return -1;
        }
        tunnel->moved += got;
    }
    return 0;
}

static int send_bulk(struct tunnel *tunnel) {
    while (tunnel->moved < bytes_each) {
        size_t piece = bytes_each - tunnel->moved < PIECE ? bytes_each - tunnel->moved : PIECE;
        ssize_t sent = send(tunnel->fd, pattern + tunnel->moved % PERIOD, piece, MSG_NOSIGNAL);
        if (sent < 0) return errno == EAGAIN ? 0 : -1;
        tunnel->moved += sent;
    }
    wait_for(tunnel, EPOLLIN, EPOLL_CTL_MOD);
    tunnel->is_writing = 0;
    return 0;
}

/* 1 where it is done with, -1 where it failed. */
static int handle(struct tunnel *tunnel, unsigned events) {
    if (tunnel->state == CONNECTING) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(tunnel->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0) {
            errno = error;
            return -1;
        }
        wait_for(tunnel, EPOLLIN, EPOLL_CTL_MOD);
        return go_on(tunnel);
    }
    if (tunnel->state == SHAKING) {
        ssize_t got = recv(tunnel->fd, tunnel->answer + tunnel->answer_length, ANSWER_MAX - tunnel->answer_length, 0);
        if (got <= 0) return got < 0 && errno == EAGAIN ? 0 : -1;
        tunnel->answer_length += got;
        int whole = take_answer(tunnel);
        return whole <= 0 ? whole : go_on(tunnel);
    }
    if (tunnel->state == MOVING) {
        if (work == DOWN) return receive_bulk(tunnel);
        if (tunnel->is_writing && events & EPOLLOUT) return send_bulk(tunnel);
    }
    char byte;
    ssize_t got = recv(tunnel->fd, &byte, 1, 0);
    if (got < 0 && errno == EAGAIN) return 0;
    if (got <= 0) return -1;
    if (work == RATE) note(now() - tunnel->began);
    else if (work == HOLD) opened++;
    else if (work == UP && byte == 'k' && tunnel->moved == bytes_each) return 1;
    else return -1;
    return work == RATE;
}

/* Of the first that failed: where it was, and what it had been told. */
static void describe_failure(const struct tunnel *tunnel) {
    static const char *const names[] = {"connecting", "shaking hands", "asking the target", "moving bytes", "done"};
    int told = 0;
    /* As a text of JSON's takes it: what SOCKS says is no text. */
    while (told < 100 && tunnel->answer[told] >= 0x20 && tunnel->answer[told] <= 0x7e && strchr("\"\\", tunnel->answer[told]) == NULL) told++;
    snprintf(why, sizeof why, "failed while %s, after %llu bytes and %.1f ms: %s; answered: %.*s", names[tunnel->state], tunnel->moved,
        (now() - tunnel->began) * 1e3, errno != 0 ? strerror(errno) : "no error", told, tunnel->answer);
}

static void turn(int timeout) {
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(poller, events, EVENTS, timeout);
    for (int i = 0; i < ready; i++) {
        struct tunnel *tunnel = events[i].data.ptr;
        errno = 0;
        int state = handle(tunnel, events[i].events);
        if (state < 0 && failed++ == 0) describe_failure(tunnel);
        if (state < 0 && work != RATE) {
            fprintf(stderr, "%s\n", why);
            exit(1);
        }
        if (state != 0) end_tunnel(tunnel);
    }
}

static void start_bulk(struct tunnel *tunnel) {
    tunnel->state = MOVING;
    if (say(tunnel, ask, ask_length) != 0) fail("send");
    tunnel->is_writing = work == UP;
    if (work == UP) wait_for(tunnel, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(double share) {
    return finished == 0 ? 0 : times[(size_t)(share * (finished - 1))] * 1e6;
}

static double cpu(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

int main(int words, char **word) {
    if (words < 6) {
        fprintf(stderr, "usage: tunnels ADDRESS PORT FILE rate|down|up|hold COUNT [SECONDS|BYTES] [check]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    server.sin_family = AF_INET;
    server.sin_port = htons(atoi(word[2]));
    if (inet_pton(AF_INET, word[1], &server.sin_addr) != 1) fail("address");
    int fd = open(word[3], O_RDONLY);
    struct stat stat;
    if (fd < 0 || fstat(fd, &stat) != 0 || stat.st_size == 0) fail(word[3]);
    file = next_handshake = mmap(NULL, stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (file == MAP_FAILED) fail("mmap");
    file_end = file + stat.st_size;
    work = strcmp(word[4], "rate") == 0 ? RATE : strcmp(word[4], "down") == 0 ? DOWN : strcmp(word[4], "up") == 0 ? UP : HOLD;
    unsigned tunnels = count = atoi(word[5]);
    is_checked = words > 7;
    double seconds = work == RATE ? atof(word[6]) : 0;
    if (work == DOWN || work == UP) bytes_each = strtoull(word[6], NULL, 10);
    for (size_t i = 0; i < sizeof pattern; i++) pattern[i] = (uint32_t)(i % PERIOD) * 2654435761u >> 23;
    const char *checked = is_checked && work == UP ? "check " : "";
    ask_length = work == RATE ? sprintf(ask, "echo\nx") : work == HOLD ? sprintf(ask, "hold\n")
        : sprintf(ask, "%s %s%llu\n", word[4], checked, bytes_each);
    poller = epoll_create1(0);
    struct tunnel *all = calloc(tunnels, sizeof *all);
    if (all == NULL) fail("calloc");
    double began = now(), cpu_began = cpu();
    until = began + seconds;
    if (work == RATE) {
        for (unsigned i = 0; i < tunnels; i++) open_tunnel(&all[i]);
        while (count > 0) turn(1000);
    } else {
        for (unsigned i = 0; i < tunnels; i++) {
            open_tunnel(&all[i]);
            while (i + 1 - opened >= OPENING_MAX) turn(1000);
        }
        while (opened < tunnels) turn(1000);
        if (work == HOLD) {
            printf("held\n");
            fflush(stdout);
            return read(0, scratch, 1) < 0;
        }
        /* How long they took to open is nothing that bytes cost. */
        printf("opened\n");
        fflush(stdout);
        if (read(0, scratch, 1) < 0) return 1;
        began = now();
        cpu_began = cpu();
        for (unsigned i = 0; i < tunnels; i++) start_bulk(&all[i]);
        while (count > 0) turn(1000);
    }
    double took = now() - began;
    if (finished > 0) qsort(times, finished, sizeof *times, ascending);
    printf("{\"setups\":%u,\"failed\":%u,\"seconds\":%.6f,\"cpuSeconds\":%.6f,\"bytes\":%llu,\"p50\":%.1f,\"p99\":%.1f,\"why\":\"%s\"}\n", finished, failed,
        took, cpu() - cpu_began, work == RATE ? 0 : bytes_each * tunnels, percentile(0.5), percentile(0.99), why);
    return 0;
}
