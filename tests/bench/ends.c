/* SPDX-License-Identifier: MIT */
#include "ends.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 512 };

static char *receiving;

uint64_t now_ns(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- the process that is measured ---- */

static uint64_t task_cpu_ns(pid_t pid, const char *task)
{
        char path[512];
        uint64_t ns = 0;
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)pid, task);
        file = fopen(path, "r");
        if (!file)
                return 0;
        if (fscanf(file, "%" SCNu64, &ns) != 1)
                ns = 0;
        fclose(file);
        return ns;
}

static uint64_t process_rss_kib(pid_t pid)
{
        char path[64];
        uint64_t size, pages = 0;
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
        file = fopen(path, "r");
        if (!file)
                return 0;
        if (fscanf(file, "%" SCNu64 " %" SCNu64, &size, &pages) != 2)
                pages = 0;
        fclose(file);
        return pages * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
}

struct use {
        uint64_t cpu_ns, rss_kib;
};

/* Adds what this process and all its descendants use. */
static void add_use(pid_t pid, struct use *use)
{
        char path[512];
        struct dirent *task;
        DIR *tasks;

        snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
        tasks = opendir(path);
        if (!tasks)
                return;
        use->rss_kib += process_rss_kib(pid);
        while ((task = readdir(tasks))) {
                FILE *children;
                int child;

                if (task->d_name[0] == '.')
                        continue;
                use->cpu_ns += task_cpu_ns(pid, task->d_name);
                snprintf(path, sizeof(path), "/proc/%d/task/%s/children", (int)pid, task->d_name);
                children = fopen(path, "r");
                while (children && fscanf(children, "%d", &child) == 1)
                        add_use(child, use);
                if (children)
                        fclose(children);
        }
        closedir(tasks);
}

uint64_t cpu_now_ns(pid_t pid)
{
        struct use use = {0};

        if (pid)
                add_use(pid, &use);
        return use.cpu_ns;
}

/* The kernel books a running thread's time at its next tick or sleep: wait for that. */
uint64_t cpu_settled_ns(pid_t pid)
{
        usleep(30 * 1000);
        return cpu_now_ns(pid);
}

uint64_t rss_kib(pid_t pid)
{
        struct use use = {0};

        if (pid)
                add_use(pid, &use);
        return use.rss_kib;
}

/* ---- messages ---- */

void pattern_init(struct pattern *pattern, const void *head, size_t head_size, size_t body,
                  const char *tail)
{
        size_t size = head_size + body + strlen(tail);

        pattern->size = size;
        pattern->prepared = (size < BUFFER ? BUFFER / size : 1) * size;
        if (posix_memalign((void **)&pattern->bytes, 4096, pattern->prepared + LOOK) != 0 ||
            (!receiving && posix_memalign((void **)&receiving, 4096, BUFFER) != 0))
                errx(1, "memory");
        memset(receiving, 0, BUFFER);
        memcpy(pattern->bytes, head, head_size);
        for (size_t i = 0; i < body; i++)
                pattern->bytes[head_size + i] = (char)(i + i / 256);
        memcpy(pattern->bytes + head_size + body, tail, strlen(tail));
        for (size_t i = size; i < pattern->prepared + LOOK; i++)
                pattern->bytes[i] = pattern->bytes[i - size];
}

void pattern_frame(struct pattern *pattern, size_t size)
{
        uint32_t length = htonl((uint32_t)(size - 4));

        pattern_init(pattern, &length, sizeof(length), size - sizeof(length), "");
}

void pattern_done(struct pattern *pattern)
{
        free(pattern->bytes);
}

/* ---- connections ---- */

void side_init(struct side *side, unsigned n)
{
        *side = (struct side){.n = n, .epoll = -1};
        side->fd = calloc(n, sizeof(*side->fd));
        side->done = calloc(n, sizeof(*side->done));
        side->aside = calloc(n, 1);
        if (!side->fd || !side->done || !side->aside)
                err(1, "memory");
        side_watch(side);
}

static void side_ask(struct side *side, unsigned i, int how, uint32_t events)
{
        struct epoll_event event = {.events = events, .data.u32 = i};

        if (epoll_ctl(side->epoll, how, side->fd[i], &event) < 0)
                err(1, "epoll");
}

void side_add(struct side *side, unsigned i, int fd)
{
        if (fd < 0)
                err(1, "connection");
        side->fd[i] = fd;
        side_ask(side, i, EPOLL_CTL_ADD, EPOLLIN);
}

void side_watch(struct side *side)
{
        if (side->epoll >= 0)
                close(side->epoll);
        side->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (side->epoll < 0)
                err(1, "epoll");
        for (unsigned i = 0; i < side->n; i++)
                if (side->fd[i])
                        side_ask(side, i, EPOLL_CTL_ADD, EPOLLIN);
}

void side_close(struct side *side)
{
        for (unsigned i = 0; i < side->n; i++)
                close(side->fd[i]);
        close(side->epoll);
}

int tcp_listen(uint16_t port)
{
        struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int on = 1;

        name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
            bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0 || listen(fd, SOMAXCONN) < 0)
                err(1, "127.0.0.1:%u", port);
        return fd;
}

/* Without a wait at its end: ten thousand ports would be used up soon. */
static int tcp_options(int fd)
{
        struct linger linger = {1, 0};
        int on = 1;

        if (fd >= 0 && (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
                        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) < 0))
                err(1, "setsockopt");
        return fd;
}

int tcp_accept(int listener)
{
        return tcp_options(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
}

int tcp_connect(uint16_t port)
{
        struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
        int fd = tcp_options(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

        name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (fd < 0 || connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0)
                err(1, "127.0.0.1:%u", port);
        return fd;
}

int unix_connect(const char *path)
{
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (strlen(path) >= sizeof(name.sun_path))
                errx(1, "%s: too long for a socket", path);
        strcpy(name.sun_path, path);
        if (fd < 0 || connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0)
                err(1, "%s", path);
        return fd;
}

/* ---- credit ---- */

static long futex(uint32_t *word, int what, uint32_t value)
{
        return syscall(SYS_futex, word, what, value, NULL, NULL, 0);
}

static void flow_wait(struct flow *flow, uint64_t sent)
{
        while (flow && flow->window) {
                uint32_t news = __atomic_load_n(&flow->news, __ATOMIC_SEQ_CST);

                if (sent < __atomic_load_n(&flow->taken, __ATOMIC_SEQ_CST) + flow->window)
                        return;
                __atomic_store_n(&flow->waits, 1, __ATOMIC_SEQ_CST);
                if (sent >= __atomic_load_n(&flow->taken, __ATOMIC_SEQ_CST) + flow->window)
                        futex(&flow->news, FUTEX_WAIT, news);
                __atomic_store_n(&flow->waits, 0, __ATOMIC_SEQ_CST);
        }
}

static void flow_give(struct flow *flow, uint64_t taken)
{
        if (!flow || !flow->window)
                return;
        __atomic_store_n(&flow->taken, taken, __ATOMIC_SEQ_CST);
        __atomic_add_fetch(&flow->news, 1, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&flow->waits, __ATOMIC_SEQ_CST))
                futex(&flow->news, FUTEX_WAKE, INT_MAX);
}

/* ---- moving bytes ---- */

/* Sends what the socket takes of the rest of one connection's bytes. */
static void send_some(struct side *side, unsigned i, const struct pattern *pattern, uint64_t each,
                      int flags)
{
        size_t at = side->done[i] % pattern->prepared;
        size_t want = pattern->prepared - at;
        ssize_t got;

        if (want > each - side->done[i])
                want = each - side->done[i];
        got = send(side->fd[i], pattern->bytes + at, want, flags | MSG_NOSIGNAL);
        if (got < 0 && errno != EAGAIN)
                err(1, "send");
        if (got > 0)
                side->done[i] += (uint64_t)got;
}

static int side_wait(struct side *side, struct epoll_event *events, int ms)
{
        int n = epoll_wait(side->epoll, events, EVENTS, ms);

        if (n < 0 && errno != EINTR)
                err(1, "epoll");
        return n;
}

static void send_one(struct side *side, const struct pattern *pattern, uint64_t each,
                     struct flow *flow)
{
        while (side->done[0] < each) {
                flow_wait(flow, side->done[0]);
                if (flow && flow->window && each > flow->window)
                        send_some(side, 0, pattern,
                                  side->done[0] + flow->window < each ? side->done[0] + flow->window
                                                                      : each,
                                  0);
                else
                        send_some(side, 0, pattern, each, 0);
        }
}

void side_send(struct side *side, const struct pattern *pattern, uint64_t each, struct flow *flow)
{
        struct epoll_event events[EVENTS];
        unsigned left = side->n;

        memset(side->done, 0, side->n * sizeof(*side->done));
        if (side->n == 1) {
                send_one(side, pattern, each, flow);
                return;
        }
        for (unsigned i = 0; i < side->n; i++) {
                send_some(side, i, pattern, each, MSG_DONTWAIT);
                left -= side->done[i] == each;
                if (side->done[i] < each)
                        side_ask(side, i, EPOLL_CTL_MOD, EPOLLOUT);
        }
        while (left > 0) {
                int n = side_wait(side, events, -1);

                for (int k = 0; k < n; k++) {
                        unsigned i = events[k].data.u32;

                        send_some(side, i, pattern, each, MSG_DONTWAIT);
                        if (side->done[i] < each)
                                continue;
                        side_ask(side, i, EPOLL_CTL_MOD, EPOLLIN);
                        left--;
                }
        }
}

void send_message(int fd, const struct pattern *pattern)
{
        for (size_t at = 0; at < pattern->size;) {
                ssize_t sent = send(fd, pattern->bytes + at, pattern->size - at, MSG_NOSIGNAL);

                if (sent < 0)
                        exit(1);
                at += (size_t)sent;
        }
}

/* Byte by byte: what is no message must be the intermezzo. Returns the bytes of messages. */
static uint64_t sort_out(struct side *side, unsigned i, const struct pattern *pattern, size_t got)
{
        const char *between = side->intermezzo ? side->intermezzo : "";
        uint64_t done = side->done[i];

        for (size_t k = 0; k < got; k++) {
                if (!side->aside[i] && receiving[k] == pattern->bytes[done % pattern->size]) {
                        done++;
                } else if ((side->aside[i] || done % pattern->size == 0) &&
                           receiving[k] == between[side->aside[i]] && receiving[k]) {
                        side->aside[i]++;
                        if (!between[side->aside[i]])
                                side->aside[i] = 0;
                } else {
                        errx(1, "wrong bytes at position %" PRIu64, done);
                }
        }
        return done - side->done[i];
}

/* Receives once, and compares where the read began and ended with what must stand there. */
static uint64_t receive_some(struct side *side, unsigned i, const struct pattern *pattern,
                             int flags)
{
        size_t at = side->done[i] % pattern->size, look, last;
        ssize_t got = recv(side->fd[i], receiving, BUFFER, flags);
        uint64_t bytes;

        if (got < 0 && errno == EAGAIN)
                return 0;
        if (got < 0)
                err(1, "receive");
        if (got == 0)
                errx(1, "connection %u was closed", i);
        bytes = (uint64_t)got;
        look = bytes < LOOK ? bytes : LOOK;
        last = (at + bytes - look) % pattern->size;
        if (side->aside[i] || memcmp(receiving, pattern->bytes + at, look) != 0 ||
            memcmp(receiving + bytes - look, pattern->bytes + last, look) != 0)
                bytes = sort_out(side, i, pattern, bytes);
        side->done[i] += bytes;
        return bytes;
}

uint64_t side_receive(struct side *side, const struct pattern *pattern, uint64_t total,
                      struct flow *flow, size_t sent_size)
{
        struct epoll_event events[EVENTS];
        uint64_t sum = 0;

        memset(side->done, 0, side->n * sizeof(*side->done));
        while (side->n == 1 && sum < total && !flow)
                sum += receive_some(side, 0, pattern, 0);
        while (sum < total) {
                int n = side_wait(side, events, SILENCE * 1000);

                if (n == 0)
                        break;
                for (int k = 0; k < n; k++)
                        sum += receive_some(side, events[k].data.u32, pattern, MSG_DONTWAIT);
                flow_give(flow, sum / pattern->size / side->n * sent_size);
        }
        if (sum > total)
                errx(1, "%" PRIu64 " bytes more than were sent", sum - total);
        for (unsigned i = 0; i < side->n; i++)
                if (side->done[i] % pattern->size != 0)
                        errx(1, "connection %u ended within a message", i);
        return sum;
}

/* ---- the rest ---- */

/* Its end means that the other side has failed. */
void wait_for_go(int go)
{
        char byte;

        if (read(go, &byte, 1) != 1)
                exit(1);
}

void give_go(int go)
{
        if (write(go, "", 1) != 1)
                err(1, "the sending process");
}

static int by_value(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

uint64_t median(uint64_t *values, size_t n)
{
        qsort(values, n, sizeof(*values), by_value);
        return values[n / 2];
}

uint64_t number(const char *text, uint64_t min, uint64_t max)
{
        char *end;
        unsigned long long value;

        errno = 0;
        value = strtoull(text, &end, 10);
        if (errno || *end || end == text || value < min || value > max)
                errx(2, "%s: a number from %" PRIu64 " to %" PRIu64 " is expected", text, min, max);
        return value;
}
