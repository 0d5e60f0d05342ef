/* SPDX-License-Identifier: MIT */
#include "beside.h"

#include <arpa/inet.h>
#include <err.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HEAD = 4 };

/* Where in its messages a connection to the upstream stands. */
struct walk {
        unsigned char head[HEAD];
        size_t had;  /* bytes of the head */
        size_t left; /* bytes of the body that are to come */
        bool small;
};

/* One message has come whole. */
static void came(struct walk *walk, int fd, const struct pattern *small, uint64_t *bulk)
{
        walk->had = 0;
        if (walk->small)
                send_message(fd, small);
        else
                __atomic_add_fetch(bulk, 1, __ATOMIC_RELAXED);
}

static void walk_on(struct walk *walk, int fd, const char *bytes, size_t size,
                    const struct pattern *small, uint64_t *bulk)
{
        for (size_t at = 0; at < size;) {
                size_t n;

                if (walk->had < HEAD) {
                        uint32_t length;

                        walk->head[walk->had++] = (unsigned char)bytes[at++];
                        memcpy(&length, walk->head, HEAD);
                        walk->left = ntohl(length);
                        walk->small = walk->left == small->size - HEAD;
                        continue;
                }
                n = size - at < walk->left ? size - at : walk->left;
                at += n;
                walk->left -= n;
                if (!walk->left)
                        came(walk, fd, small, bulk);
        }
}

static void upstream(struct side *links, const struct pattern *small, uint64_t *bulk)
{
        struct walk *walks = calloc(links->n, sizeof(*walks));
        char *bytes = malloc(BUFFER);
        struct epoll_event event;

        while (walks && bytes && epoll_wait(links->epoll, &event, 1, -1) == 1) {
                int fd = links->fd[event.data.u32];
                ssize_t got = recv(fd, bytes, BUFFER, 0);

                if (got <= 0)
                        exit(got < 0);
                walk_on(&walks[event.data.u32], fd, bytes, (size_t)got, small, bulk);
        }
        exit(1);
}

static void senders(struct side *clients, const struct pattern *bulk)
{
        struct side others = *clients;

        others.fd++;
        others.n--;
        side_watch(&others);
        /* What comes back for all is not for them. */
        for (unsigned i = 0; i < others.n; i++)
                shutdown(others.fd[i], SHUT_RD);
        side_send(&others, bulk, UINT64_MAX / bulk->size * bulk->size, NULL);
        exit(1);
}

static pid_t child(void)
{
        pid_t pid = fork();

        if (pid < 0)
                err(1, "fork");
        if (pid == 0)
                prctl(PR_SET_PDEATHSIG, SIGKILL);
        return pid;
}

static void ask(struct side *one, const struct pattern *small)
{
        side_send(one, small, small->size, NULL);
        if (side_receive(one, small, small->size, NULL, 0) < small->size)
                errx(1, "no answer");
}

static void measure(struct side *clients, const struct pattern *small, uint64_t count,
                    const uint64_t *bulk, pid_t relay, struct beside *result)
{
        uint64_t *took = calloc(count, sizeof(*took)), start, last, before;
        struct side one = *clients;

        if (!took)
                err(1, "memory");
        one.n = 1;
        for (uint64_t i = 0; i < count / 10 + 1; i++)
                ask(&one, small);
        result->cpu_ns = cpu_now_ns(relay);
        before = __atomic_load_n(bulk, __ATOMIC_RELAXED);
        start = last = now_ns();
        for (uint64_t i = 0; i < count; i++) {
                uint64_t now;

                ask(&one, small);
                now = now_ns();
                took[i] = now - last;
                last = now;
        }
        while (__atomic_load_n(bulk, __ATOMIC_RELAXED) == before)
                ask(&one, small); /* a short run: until there was something to be beside of */
        last = now_ns();
        result->bulk = __atomic_load_n(bulk, __ATOMIC_RELAXED) - before;
        result->cpu_ns = cpu_now_ns(relay) - result->cpu_ns;
        result->ns = last - start;
        result->p50_ns = median(took, count);
        result->p99_ns = took[count - 1 - count / 100];
        free(took);
}

void beside_run(struct side *clients, struct side *links, const struct pattern *small,
                const struct pattern *bulk, uint64_t count, pid_t relay, struct beside *result)
{
        uint64_t *came_bulk = mmap(NULL, sizeof(*came_bulk), PROT_READ | PROT_WRITE,
                                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        pid_t up, from;

        if (came_bulk == MAP_FAILED)
                err(1, "memory");
        up = child();
        if (up == 0) {
                side_watch(links);
                upstream(links, small, came_bulk);
        }
        from = child();
        if (from == 0)
                senders(clients, bulk);
        measure(clients, small, count, came_bulk, relay, result);
        kill(from, SIGKILL);
        kill(up, SIGKILL);
        waitpid(from, NULL, 0);
        waitpid(up, NULL, 0);
        munmap(came_bulk, sizeof(*came_bulk));
}
