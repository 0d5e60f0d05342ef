/* SPDX-License-Identifier: MIT */
/*
 * Both ends of a relay under load: the upstream's TCP server and the local clients, in two
 * processes. One run moves a fixed number of equal messages one way, or back and forth, and prints
 * one JSON object: the time it took, and the CPU time that the relay's process spent on it.
 *
 * The ends are meant to be cheaper than any relay: whole buffers of messages prepared ahead, and
 * reads that look only at the first bytes of what they got.
 */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
        BUFFER = 256 * 1024,
        LOOK = 16,      /* bytes compared at the start of each read */
        HELLO = 64,     /* the frame by which a client shows that the relay has taken it */
        DEADLINE = 120, /* seconds after which a run is given up */
};

enum work { WORK_DOWN, WORK_UP, WORK_ECHO, WORK_COUNT };

static const char *const work_names[] = {"down", "up", "echo"};
_Static_assert(sizeof(work_names) / sizeof(*work_names) == WORK_COUNT, "a name for each work");

struct plan {
        const char *socket;
        uint16_t port;
        pid_t relay;
        enum work work;
        size_t size;    /* of a message, with its length field */
        uint64_t count; /* messages that are measured */
        uint64_t warm;  /* messages before */
        unsigned clients;
        unsigned links; /* connections that the relay makes to the upstream */
};

/* One side's connections. done[i] counts the bytes of fd[i].fd in the phase that runs. */
struct side {
        struct pollfd *fd;
        uint64_t *done;
        unsigned n;
};

static char *sending;   /* whole frames, as many as fit into BUFFER, at least one */
static size_t prepared; /* their bytes */
static char *receiving;

static uint64_t now_ns(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The CPU time of all threads that the process has now, in nanoseconds. */
static uint64_t cpu_ns(pid_t pid)
{
        char path[512];
        uint64_t sum = 0;
        struct dirent *task;
        DIR *tasks;

        snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
        tasks = opendir(path);
        if (!tasks)
                err(1, "%s", path);
        while ((task = readdir(tasks))) {
                uint64_t ns = 0;
                FILE *file;

                snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)pid, task->d_name);
                file = task->d_name[0] == '.' ? NULL : fopen(path, "r");
                if (!file)
                        continue;
                if (fscanf(file, "%" SCNu64, &ns) == 1)
                        sum += ns;
                fclose(file);
        }
        closedir(tasks);
        return sum;
}

/* The kernel books a running thread's time at its next tick or sleep: wait for that. */
static uint64_t cpu_settled_ns(pid_t pid)
{
        usleep(30 * 1000);
        return cpu_ns(pid);
}

static void side_init(struct side *side, unsigned n)
{
        side->fd = calloc(n, sizeof(*side->fd));
        side->done = calloc(n, sizeof(*side->done));
        side->n = n;
        if (!side->fd || !side->done)
                err(1, "memory");
}

static void side_add(struct side *side, unsigned i, int fd, short events)
{
        if (fd < 0)
                err(1, "connection");
        side->fd[i].fd = fd;
        side->fd[i].events = events;
}

static void side_close(struct side *side)
{
        for (unsigned i = 0; i < side->n; i++)
                close(side->fd[i].fd);
}

static int upstream_listen(uint16_t port)
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

static int client_connect(const char *path)
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

static int upstream_accept(int listener)
{
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        int on = 1;

        if (fd >= 0)
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        return fd;
}

/* All frames are the same, so that a stream looks the same from whichever client it came. */
static void prepare(size_t size)
{
        size_t frames = size < BUFFER ? BUFFER / size : 1;
        uint32_t length = htonl((uint32_t)(size - 4));

        prepared = frames * size;
        if (posix_memalign((void **)&sending, 4096, prepared + LOOK) != 0 ||
            posix_memalign((void **)&receiving, 4096, BUFFER) != 0)
                errx(1, "memory");
        for (size_t i = 0; i < prepared + LOOK; i++)
                sending[i] = (char)(i % size);
        for (size_t i = 0; i < prepared + LOOK - 4; i += size)
                memcpy(sending + i, &length, 4);
        memset(receiving, 0, BUFFER);
}

/* Sends what the socket takes of the rest of one connection's bytes. */
static void send_some(struct side *side, unsigned i, uint64_t each, int flags)
{
        size_t at = side->done[i] % prepared;
        size_t want = prepared - at;
        ssize_t got;

        if (want > each - side->done[i])
                want = each - side->done[i];
        got = send(side->fd[i].fd, sending + at, want, flags | MSG_NOSIGNAL);
        if (got < 0 && errno != EAGAIN)
                err(1, "send");
        if (got > 0)
                side->done[i] += (uint64_t)got;
        if (side->done[i] == each)
                side->fd[i].events = 0;
}

/* Receives once, and compares where the read began with what must stand there. */
static uint64_t receive_some(struct side *side, unsigned i, size_t size, int flags)
{
        size_t at = side->done[i] % size;
        ssize_t got = recv(side->fd[i].fd, receiving, BUFFER, flags);

        if (got < 0 && errno == EAGAIN)
                return 0;
        if (got < 0)
                err(1, "receive");
        if (got == 0)
                errx(1, "the relay closed a connection");
        if (memcmp(receiving, sending + at, got < LOOK ? (size_t)got : LOOK) != 0)
                errx(1, "wrong bytes at position %" PRIu64, side->done[i]);
        side->done[i] += (uint64_t)got;
        return (uint64_t)got;
}

static void side_wait(struct side *side)
{
        if (poll(side->fd, side->n, -1) < 0)
                err(1, "poll");
}

static void send_all(struct side *side, uint64_t each)
{
        uint64_t left = side->n;

        memset(side->done, 0, side->n * sizeof(*side->done));
        while (side->n == 1 && side->done[0] < each)
                send_some(side, 0, each, 0);
        if (side->n == 1)
                return;
        for (unsigned i = 0; i < side->n; i++)
                side->fd[i].events = POLLOUT;
        while (left > 0) {
                side_wait(side);
                left = side->n;
                for (unsigned i = 0; i < side->n; i++) {
                        if (side->fd[i].revents && side->done[i] < each)
                                send_some(side, i, each, MSG_DONTWAIT);
                        left -= side->done[i] == each;
                }
        }
}

static void receive_all(struct side *side, uint64_t total, size_t size)
{
        uint64_t sum = 0;

        memset(side->done, 0, side->n * sizeof(*side->done));
        while (side->n == 1 && sum < total)
                sum += receive_some(side, 0, size, 0);
        while (sum < total) {
                side_wait(side);
                for (unsigned i = 0; i < side->n; i++)
                        if (side->fd[i].revents)
                                sum += receive_some(side, i, size, MSG_DONTWAIT);
        }
        if (sum > total)
                errx(1, "%" PRIu64 " bytes more than were sent", sum - total);
}

/*
 * Connects both sides. A client's connect() succeeds before the relay knows of it; the relay has
 * taken it for certain when a message of it has come through.
 */
static void join(const struct plan *plan, struct side *clients, struct side *links)
{
        int listener = upstream_listen(plan->port);

        side_init(clients, plan->clients);
        side_init(links, plan->links);
        for (unsigned i = 0; i < clients->n; i++)
                side_add(clients, i, client_connect(plan->socket), POLLIN);
        for (unsigned i = 0; i < links->n; i++)
                side_add(links, i, upstream_accept(listener), POLLIN);
        close(listener);

        prepare(HELLO);
        send_all(clients, HELLO);
        receive_all(links, (uint64_t)HELLO * clients->n, HELLO);
        for (unsigned i = 0; i < clients->n; i++)
                clients->fd[i].events = POLLIN;
        free(sending);
        free(receiving);
        prepare(plan->size);
}

static void answer(int fd)
{
        for (;;) {
                ssize_t got = recv(fd, receiving, BUFFER, 0);

                if (got <= 0)
                        exit(got < 0);
                for (ssize_t at = 0; at < got;) {
                        ssize_t sent = send(fd, receiving + at, (size_t)(got - at), MSG_NOSIGNAL);

                        if (sent < 0)
                                exit(1);
                        at += sent;
                }
        }
}

/* Waits for the word to begin. Its end means that the other side has failed. */
static void wait_for_go(int go)
{
        char byte;

        if (read(go, &byte, 1) != 1)
                exit(1);
}

static void give_go(int go)
{
        if (write(go, "", 1) != 1)
                err(1, "the sending process");
}

static int by_value(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

static void round_trip(struct side *clients, size_t size)
{
        send_all(clients, size);
        receive_all(clients, size, size);
}

static void report(const struct plan *plan, uint64_t messages, uint64_t ns, uint64_t cpu,
                   uint64_t p50)
{
        printf("{\"work\": \"%s\", \"size\": %zu, \"clients\": %u, \"messages\": %" PRIu64
               ", \"seconds\": %.6f, \"cpu_ns\": %" PRIu64,
               work_names[plan->work], plan->size, plan->clients, messages, (double)ns / 1e9, cpu);
        if (p50)
                printf(", \"p50_us\": %.3f", (double)p50 / 1e3);
        printf("}\n");
}

static void run_echo(const struct plan *plan, struct side *clients)
{
        uint64_t *took = calloc(plan->count, sizeof(*took));
        uint64_t cpu, start, last;

        if (!took)
                err(1, "memory");
        for (uint64_t i = 0; i < plan->warm; i++)
                round_trip(clients, plan->size);
        cpu = cpu_settled_ns(plan->relay);
        start = last = now_ns();
        for (uint64_t i = 0; i < plan->count; i++) {
                uint64_t now;

                round_trip(clients, plan->size);
                now = now_ns();
                took[i] = now - last;
                last = now;
        }
        cpu = cpu_settled_ns(plan->relay) - cpu;
        qsort(took, plan->count, sizeof(*took), by_value);
        report(plan, plan->count, last - start, cpu, took[plan->count / 2]);
        free(took);
}

/* Everything sent before is received before the clocks are read: no work in flight is counted. */
static void run_bulk(const struct plan *plan, struct side *to, int go)
{
        uint64_t copies = plan->work == WORK_DOWN ? plan->clients : 1;
        uint64_t cpu, start, took;

        give_go(go);
        receive_all(to, plan->warm * plan->size * copies, plan->size);
        cpu = cpu_settled_ns(plan->relay);
        start = now_ns();
        give_go(go);
        receive_all(to, plan->count * plan->size * copies, plan->size);
        took = now_ns() - start;
        cpu = cpu_settled_ns(plan->relay) - cpu;
        report(plan, plan->count * copies, took, cpu, 0);
}

static void run_sender(const struct plan *plan, struct side *from, int go)
{
        uint64_t share = plan->work == WORK_UP ? plan->clients : 1;

        wait_for_go(go);
        send_all(from, plan->warm / share * plan->size);
        wait_for_go(go);
        send_all(from, plan->count / share * plan->size);
        pause(); /* its connections stay until the other side has measured */
}

/* The child is the side that sends, or answers; the parent measures. */
static void run(const struct plan *plan)
{
        struct side clients, links;
        struct side *child, *parent;
        int go[2];
        pid_t pid;

        join(plan, &clients, &links);
        child = plan->work == WORK_UP ? &clients : &links;
        parent = plan->work == WORK_UP ? &links : &clients;
        if (pipe(go) < 0 || (pid = fork()) < 0)
                err(1, "fork");
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                close(go[1]);
                side_close(parent);
                if (plan->work == WORK_ECHO)
                        answer(child->fd[0].fd);
                run_sender(plan, child, go[0]);
                exit(0);
        }
        close(go[0]);
        side_close(child);
        if (plan->work == WORK_ECHO)
                run_echo(plan, parent);
        else
                run_bulk(plan, parent, go[1]);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        close(go[1]);
        side_close(parent);
}

static uint64_t number(const char *text, uint64_t min, uint64_t max)
{
        char *end;
        unsigned long long value;

        errno = 0;
        value = strtoull(text, &end, 10);
        if (errno || *end || end == text || value < min || value > max)
                errx(2, "%s: a number from %" PRIu64 " to %" PRIu64 " is expected", text, min, max);
        return value;
}

static enum work work_parse(const char *text)
{
        for (int i = 0; i < WORK_COUNT; i++)
                if (strcmp(text, work_names[i]) == 0)
                        return (enum work)i;
        errx(2, "%s: down, up or echo is expected", text);
}

static void plan_parse(struct plan *plan, int argc, char **argv)
{
        static const struct option options[] = {
                {"socket", required_argument, NULL, 's'},  {"port", required_argument, NULL, 'p'},
                {"pid", required_argument, NULL, 'r'},     {"work", required_argument, NULL, 'w'},
                {"size", required_argument, NULL, 'S'},    {"count", required_argument, NULL, 'n'},
                {"warm", required_argument, NULL, 'W'},    {"links", required_argument, NULL, 'l'},
                {"clients", required_argument, NULL, 'c'}, {NULL, 0, NULL, 0},
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
                case 'W': plan->warm = number(optarg, 1, UINT32_MAX); break;
                case 'l': plan->links = (unsigned)number(optarg, 1, 10000); break;
                case 'c': plan->clients = (unsigned)number(optarg, 1, 10000); break;
                default: exit(2);
                }
        }
        if (!plan->socket || !plan->port || !plan->relay)
                errx(2, "--socket, --port and --pid are needed");
        if (plan->work == WORK_ECHO && plan->clients > 1)
                errx(2, "an echo has one client");
        if (plan->work == WORK_UP) {
                plan->count -= plan->count % plan->clients;
                plan->warm -= plan->warm % plan->clients;
        }
}

int main(int argc, char **argv)
{
        struct plan plan = {
                .size = HELLO, .count = 1000000, .warm = 1000, .clients = 1, .links = 1};

        plan_parse(&plan, argc, argv);
        alarm(DEADLINE);
        run(&plan);
        return 0;
}
