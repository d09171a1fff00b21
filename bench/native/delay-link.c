/*
 * A long line between two network namespaces: a TUN device in each, and every packet that goes into one comes out of the other
 * so much later, in order. Some kernels have no netem.
 *
 *   delay-link MICROSECONDS NAMESPACE DEVICE NAMESPACE DEVICE
 *
 * A namespace is a path, as /run/netns/NAME. The line has no limit to its rate; a packet that finds 65,536 others under way is
 * dropped, and how many were is said at the end. Prints `ready` once both devices are there; who started it sets them up.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { PACKET_MAX = 2048, UNDER_WAY_MAX = 65536 };

struct packet {
    int64_t due; /* nanoseconds */
    size_t length;
    char *bytes;
};

struct way {
    int from, to;
    struct packet *ring;
    size_t first, count;
    unsigned long dropped;
};

static volatile sig_atomic_t is_over;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void over(int signal) {
    (void)signal;
    is_over = 1;
}

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* The device belongs to the namespace that it is made in, wherever its maker goes then. */
static int device_in(const char *namespace, const char *name) {
    int where = open(namespace, O_RDONLY | O_CLOEXEC);
    if (where < 0 || setns(where, CLONE_NEWNET) != 0) fail(namespace);
    close(where);
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) fail("/dev/net/tun");
    struct ifreq request;
    memset(&request, 0, sizeof request);
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (ioctl(fd, TUNSETIFF, &request) != 0) fail(name);
    return fd;
}

static struct way way_between(int from, int to) {
    struct way way = {.from = from, .to = to, .ring = calloc(UNDER_WAY_MAX, sizeof(struct packet))};
    if (way.ring == NULL) fail("calloc");
    return way;
}

static void take(struct way *way, int64_t delay) {
    char bytes[PACKET_MAX];
    for (;;) {
        ssize_t length = read(way->from, bytes, sizeof bytes);
        if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
        /* A device that is not up yet. */
        if (length < 0 && (errno == EIO || errno == EBADFD)) return;
        if (length < 0) fail("read");
        if (way->count == UNDER_WAY_MAX) {
            way->dropped++;
            continue;
        }
        struct packet *packet = &way->ring[(way->first + way->count++) % UNDER_WAY_MAX];
        packet->due = now() + delay;
        packet->length = (size_t)length;
        packet->bytes = malloc((size_t)length);
        if (packet->bytes == NULL) fail("malloc");
        memcpy(packet->bytes, bytes, (size_t)length);
    }
}

static void deliver(struct way *way) {
    while (way->count > 0 && way->ring[way->first].due <= now()) {
        struct packet *packet = &way->ring[way->first];
        if (write(way->to, packet->bytes, packet->length) < 0) way->dropped++;
        free(packet->bytes);
        way->first = (way->first + 1) % UNDER_WAY_MAX;
        way->count--;
    }
}

/* Nanoseconds until the next packet is due; -1 where none is under way. */
static int64_t until_due(const struct way *ways) {
    int64_t least = -1;
    for (int i = 0; i < 2; i++) {
        if (ways[i].count == 0) continue;
        int64_t left = ways[i].ring[ways[i].first].due - now();
        if (left < 0) left = 0;
        if (least < 0 || left < least) least = left;
    }
    return least;
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "delay-link MICROSECONDS NAMESPACE DEVICE NAMESPACE DEVICE\n");
        return 2;
    }
    int64_t delay = atoll(argv[1]) * 1000;
    int left = device_in(argv[2], argv[3]), right = device_in(argv[4], argv[5]);
    struct way ways[2] = {way_between(left, right), way_between(right, left)};
    signal(SIGTERM, over);
    signal(SIGINT, over);
    /* So as not to wait for its turn behind whatever computes; where that is not allowed, it does without. */
    struct sched_param first = {.sched_priority = 10};
    if (sched_setscheduler(0, SCHED_FIFO, &first) != 0) fprintf(stderr, "delay-link: no priority of its own\n");
    printf("ready\n");
    fflush(stdout);
    while (!is_over) {
        int64_t left_ns = until_due(ways);
        struct timespec wait = {.tv_sec = left_ns / 1000000000, .tv_nsec = left_ns % 1000000000};
        struct pollfd ends[2] = {{.fd = left, .events = POLLIN}, {.fd = right, .events = POLLIN}};
        if (ppoll(ends, 2, left_ns < 0 ? NULL : &wait, NULL) < 0 && errno != EINTR) fail("ppoll");
        for (int i = 0; i < 2; i++) take(&ways[i], delay);
        for (int i = 0; i < 2; i++) deliver(&ways[i]);
    }
    printf("dropped %lu\n", ways[0].dropped + ways[1].dropped);
    return 0;
}
