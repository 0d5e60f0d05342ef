/* SPDX-License-Identifier: MIT */
/*
 * Both ends of a relay under load: the upstream's TCP server and the local clients, in two
 * processes. One run moves a fixed number of equal messages one way, or back and forth, and prints
 * one JSON object: the time it took, and the CPU time that the relay spent on it.
 *
 * down: the upstream sends. up: the clients send. echo: each client sends one, until all are back.
 * fill: the clients send to an upstream that reads nothing, until the relay has taken all. beside:
 * a small message there and back while clients send large ones.
 */
#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "beside.h"

enum {
        HELLO = 64,    /* the frame by which a client shows that the relay has taken it */
        SMALL = 4096,  /* bytes that a socket takes though nobody reads them */
        DEADLINE = 60, /* seconds after which a run is given up */
};

enum work { WORK_DOWN, WORK_UP, WORK_ECHO, WORK_FILL, WORK_BESIDE, WORK_COUNT };

static const char *const work_names[] = {"down", "up", "echo", "fill", "beside"};
_Static_assert(sizeof(work_names) / sizeof(*work_names) == WORK_COUNT, "a name for each work");

struct plan {
        const char *socket; /* NULL: no relay, the clients connect to the port */
        uint16_t port;
        pid_t relay; /* 0: none */
        enum work work;
        size_t size;    /* of a message, with its length field */
        uint64_t count; /* messages that are measured */
        uint64_t warm;  /* messages before */
        unsigned clients;
        unsigned frozen; /* clients besides, that never read */
        bool linked;     /* each client has a connection to the upstream for itself */
};

static int client_connect(const struct plan *plan)
{
        return plan->socket ? unix_connect(plan->socket) : tcp_connect(plan->port);
}

/*
 * Connects both sides. A client's connect() succeeds before the relay knows of it; the relay has
 * taken it for certain when a message of it has come through.
 */
static void join(const struct plan *plan, struct side *clients, struct side *links)
{
        unsigned all = plan->clients + plan->frozen + (plan->work == WORK_BESIDE);
        int listener = tcp_listen(plan->port);
        struct pattern hello;

        side_init(clients, all);
        side_init(links, plan->linked ? all : 1);
        for (unsigned i = 0; i < all; i++) {
                side_add(clients, i, client_connect(plan));
                if (i < links->n)
                        side_add(links, i, tcp_accept(listener));
        }
        close(listener);
        pattern_frame(&hello, HELLO);
        side_send(clients, &hello, HELLO, NULL);
        side_receive(links, &hello, (uint64_t)HELLO * all, NULL, 0);
        pattern_done(&hello);
        clients->n = all - plan->frozen;
}

/*
 * Sends a message for each that has come whole, on the connection on which it came. Large ones only
 * when so many have come as there are clients: nobody reads before everybody has sent.
 */
static void answer(struct side *links, const struct pattern *pattern, unsigned clients)
{
        uint64_t least = pattern->size > SMALL ? clients : 1, came = 0;
        char *bytes = malloc(BUFFER);
        struct epoll_event event;

        while (bytes && epoll_wait(links->epoll, &event, 1, -1) == 1) {
                uint64_t *done = &links->done[event.data.u32];
                ssize_t got = recv(links->fd[event.data.u32], bytes, BUFFER, 0);

                if (got <= 0)
                        exit(got < 0);
                came += (*done + (uint64_t)got) / pattern->size - *done / pattern->size;
                *done += (uint64_t)got;
                if (came < least)
                        continue;
                for (unsigned i = least == 1 ? event.data.u32 : 0; came > 0; i++)
                        for (; links->done[i] >= pattern->size; came--) {
                                send_message(links->fd[i], pattern);
                                links->done[i] -= pattern->size;
                        }
        }
        exit(1);
}

static void report(const struct plan *plan, uint64_t messages, uint64_t ns, uint64_t cpu,
                   uint64_t p50, uint64_t p99)
{
        printf("{\"work\": \"%s\", \"size\": %zu, \"clients\": %u, \"messages\": %" PRIu64
               ", \"seconds\": %.6f, \"cpu_ns\": %" PRIu64 ", \"rss_kib\": %" PRIu64,
               work_names[plan->work], plan->size, plan->clients, messages, (double)ns / 1e9, cpu,
               rss_kib(plan->relay));
        if (p50)
                printf(", \"p50_us\": %.3f, \"p99_us\": %.3f", (double)p50 / 1e3,
                       (double)p99 / 1e3);
        printf("}\n");
}

static void round_trip(struct side *clients, const struct pattern *pattern)
{
        side_send(clients, pattern, pattern->size, NULL);
        side_receive(clients, pattern, pattern->size * clients->n, NULL, 0);
}

static void run_echo(const struct plan *plan, struct side *clients, const struct pattern *pattern)
{
        uint64_t rounds = plan->count / clients->n ? plan->count / clients->n : 1;
        uint64_t *took = calloc(rounds, sizeof(*took));
        uint64_t cpu, start, last;

        if (!took)
                err(1, "memory");
        for (uint64_t i = 0; i < plan->warm; i += clients->n)
                round_trip(clients, pattern);
        cpu = cpu_settled_ns(plan->relay);
        start = last = now_ns();
        for (uint64_t i = 0; i < rounds; i++) {
                uint64_t now;

                round_trip(clients, pattern);
                now = now_ns();
                took[i] = now - last;
                last = now;
        }
        cpu = cpu_settled_ns(plan->relay) - cpu;
        start = last - start;
        last = median(took, rounds);
        report(plan, rounds * clients->n, start, cpu, last, took[rounds - 1 - rounds / 100]);
        free(took);
}

static void receive(struct side *to, const struct pattern *pattern, uint64_t messages)
{
        uint64_t total = messages * pattern->size;

        if (side_receive(to, pattern, total, NULL, 0) < total)
                errx(1, "messages are missing");
}

/* Everything sent before is received before the clocks are read: no work in flight is counted. */
static void run_bulk(const struct plan *plan, struct side *to, const struct pattern *pattern,
                     int go)
{
        uint64_t copies = plan->work == WORK_DOWN ? plan->clients : 1;
        uint64_t cpu, start, took;

        give_go(go);
        receive(to, pattern, plan->warm * copies);
        cpu = cpu_settled_ns(plan->relay);
        start = now_ns();
        give_go(go);
        receive(to, pattern, plan->count * copies);
        took = now_ns() - start;
        cpu = cpu_settled_ns(plan->relay) - cpu;
        report(plan, plan->count * copies, took, cpu, 0, 0);
}

static void run_sender(const struct plan *plan, struct side *from, const struct pattern *pattern,
                       int go)
{
        uint64_t share = plan->work == WORK_UP ? plan->clients : 1;

        wait_for_go(go);
        side_send(from, pattern, plan->warm / share * pattern->size, NULL);
        wait_for_go(go);
        side_send(from, pattern, plan->count / share * pattern->size, NULL);
        pause(); /* its connections stay until the other side has measured */
}

/* Until the relay has read all that the clients have sent. */
static void wait_taken(const struct side *clients)
{
        for (unsigned i = 0; i < clients->n; i++)
                for (int left = 1; left > 0; usleep(500))
                        if (ioctl(clients->fd[i], SIOCOUTQ, &left) < 0)
                                err(1, "SIOCOUTQ");
}

static void run_fill(const struct plan *plan, struct side *clients, const struct pattern *pattern)
{
        uint64_t cpu, start, took;

        side_send(clients, pattern, plan->warm / plan->clients * pattern->size, NULL);
        wait_taken(clients);
        cpu = cpu_settled_ns(plan->relay);
        start = now_ns();
        side_send(clients, pattern, plan->count / plan->clients * pattern->size, NULL);
        wait_taken(clients);
        took = now_ns() - start;
        cpu = cpu_settled_ns(plan->relay) - cpu;
        report(plan, plan->count, took, cpu, 0, 0);
}

static void run_beside(const struct plan *plan, struct side *clients, struct side *links,
                       const struct pattern *pattern)
{
        struct beside result;
        struct pattern small;

        pattern_frame(&small, HELLO);
        beside_run(clients, links, &small, pattern, plan->count, plan->relay, &result);
        pattern_done(&small);
        report(plan, result.bulk, result.ns, result.cpu_ns, result.p50_ns, result.p99_ns);
}

/* The child is the side that sends, or answers; the parent measures. */
static void run_pair(const struct plan *plan, struct side *child, struct side *parent,
                     const struct pattern *pattern)
{
        int go[2];
        pid_t pid;

        if (pipe(go) < 0 || (pid = fork()) < 0)
                err(1, "fork");
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                close(go[1]);
                side_close(parent);
                side_watch(child);
                if (plan->work == WORK_ECHO)
                        answer(child, pattern, plan->clients);
                run_sender(plan, child, pattern, go[0]);
                exit(0);
        }
        close(go[0]);
        side_close(child);
        side_watch(parent);
        if (plan->work == WORK_ECHO)
                run_echo(plan, parent, pattern);
        else
                run_bulk(plan, parent, pattern, go[1]);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        close(go[1]);
}

static void run(const struct plan *plan)
{
        struct side clients, links;
        struct pattern pattern;
        bool up = plan->work == WORK_UP;

        join(plan, &clients, &links);
        pattern_frame(&pattern, plan->size);
        memset(links.done, 0, links.n * sizeof(*links.done));
        if (plan->work == WORK_FILL)
                run_fill(plan, &clients, &pattern);
        else if (plan->work == WORK_BESIDE)
                run_beside(plan, &clients, &links, &pattern);
        else
                run_pair(plan, up ? &clients : &links, up ? &links : &clients, &pattern);
}

static enum work work_parse(const char *text)
{
        for (int i = 0; i < WORK_COUNT; i++)
                if (strcmp(text, work_names[i]) == 0)
                        return (enum work)i;
        errx(2, "%s: down, up, echo, fill or beside is expected", text);
}

static void plan_parse(struct plan *plan, int argc, char **argv)
{
        static const struct option options[] = {
                {"socket", required_argument, NULL, 's'},
                {"port", required_argument, NULL, 'p'},
                {"pid", required_argument, NULL, 'r'},
                {"work", required_argument, NULL, 'w'},
                {"size", required_argument, NULL, 'S'},
                {"count", required_argument, NULL, 'n'},
                {"warm", required_argument, NULL, 'W'},
                {"linked", no_argument, NULL, 'l'},
                {"clients", required_argument, NULL, 'c'},
                {"frozen", required_argument, NULL, 'f'},
                {NULL, 0, NULL, 0},
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
                switch (c) {
                case 's': plan->socket = optarg; break;
                case 'p': plan->port = (uint16_t)number(optarg, 1, UINT16_MAX); break;
                case 'r': plan->relay = (pid_t)number(optarg, 1, INT32_MAX); break;
                case 'w': plan->work = work_parse(optarg); break;
                case 'S': plan->size = number(optarg, HELLO, 16 << 20); break;
                case 'n': plan->count = number(optarg, 1, UINT32_MAX); break;
                case 'W': plan->warm = number(optarg, 0, UINT32_MAX); break;
                case 'l': plan->linked = true; break;
                case 'c': plan->clients = (unsigned)number(optarg, 1, 10000); break;
                case 'f': plan->frozen = (unsigned)number(optarg, 0, 100); break;
                default: exit(2);
                }
        }
        if (!plan->port)
                errx(2, "--port is needed");
        if (plan->work == WORK_UP || plan->work == WORK_FILL) {
                plan->count = (plan->count + plan->clients - 1) / plan->clients * plan->clients;
                plan->warm -= plan->warm % plan->clients;
        }
}

int main(int argc, char **argv)
{
        struct plan plan = {.size = HELLO, .count = 1000000, .warm = 1000, .clients = 1};
        struct rlimit files;

        plan_parse(&plan, argc, argv);
        if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
                files.rlim_cur = files.rlim_max;
                setrlimit(RLIMIT_NOFILE, &files);
        }
        alarm(DEADLINE);
        run(&plan);
        return 0;
}
