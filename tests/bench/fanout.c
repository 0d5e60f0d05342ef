/* SPDX-License-Identifier: MIT */
/*
 * One publisher and many subscribers of a server: ftcpd, or a broker with its own protocol, each
 * spoken as sparingly as it can be. One run prints one JSON object.
 *
 * bulk: messages as fast as they are taken. each: one at a time, until all have it. idle: none.
 *
 * ftcpd pauses its upstream itself. A broker drops, or its memory grows, where a subscriber lags:
 * with --window, what was published and not delivered is at most so much, on average over the
 * subscribers. What did not arrive all the same is counted as lost.
 */
#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ends.h"

enum {
        LEAST = 64, /* bytes of a message */
        HELLO = 5, /* of an ftcpd frame: it waits in a queue, and who is idle is to cost no queue */
        DEADLINE = 150, /* seconds after which a run is given up */
};

enum work { WORK_BULK, WORK_EACH, WORK_IDLE, WORK_COUNT };

static const char *const work_names[] = {"bulk", "each", "idle"};
_Static_assert(sizeof(work_names) / sizeof(*work_names) == WORK_COUNT, "a name for each work");

struct plan;

struct protocol {
        const char *name;
        const char *intermezzo; /* what the server may say between messages */
        int (*subscribe)(const struct plan *plan, unsigned i);
        int (*publisher)(const struct plan *plan);
        /* How `body` bytes are published, and how they are delivered. */
        void (*published)(struct pattern *pattern, size_t body);
        void (*delivered)(struct pattern *pattern, size_t body);
};

struct plan {
        const struct protocol *protocol;
        const char *socket; /* NULL: TCP, at the port */
        uint16_t port;
        pid_t server;
        enum work work;
        size_t size; /* of an ftcpd frame; the body of every protocol is 4 bytes less */
        uint64_t count, warm;
        uint64_t window; /* bytes published, no more than that ahead; 0: none */
        unsigned clients;
};

static int server_connect(const struct plan *plan)
{
        return plan->socket ? unix_connect(plan->socket) : tcp_connect(plan->port);
}

static void say(int fd, const void *bytes, size_t size)
{
        if (send(fd, bytes, size, MSG_NOSIGNAL) != (ssize_t)size)
                err(1, "send");
}

/* Reads until what came ends so. */
static void hear(int fd, const char *end, size_t size)
{
        char heard[4096];
        size_t n = 0;

        while (n < size || memcmp(heard + n - size, end, size) != 0) {
                if (n == sizeof(heard) || recv(fd, heard + n, 1, 0) != 1)
                        errx(1, "the server did not answer as expected: %.*s", (int)n, heard);
                n++;
        }
}

static void hear_text(int fd, const char *end)
{
        hear(fd, end, strlen(end));
}

static void pattern_text(struct pattern *pattern, const char *head, size_t body, const char *tail)
{
        pattern_init(pattern, head, strlen(head), body, tail);
}

/* ---- ftcpd ---- */

static int ftcp_subscribe(const struct plan *plan, unsigned i)
{
        struct pattern hello;
        int fd = server_connect(plan);

        (void)i;
        pattern_frame(&hello, HELLO);
        say(fd, hello.bytes, HELLO);
        pattern_done(&hello);
        return fd;
}

/* The upstream, which has heard of every client when it begins. */
static int ftcp_publisher(const struct plan *plan)
{
        int listener = tcp_listen(plan->port), fd = tcp_accept(listener);
        char hello[HELLO];

        close(listener);
        for (unsigned i = 0; i < plan->clients; i++)
                if (recv(fd, hello, HELLO, MSG_WAITALL) != HELLO)
                        errx(1, "not every client was heard");
        return fd;
}

static void ftcp_pattern(struct pattern *pattern, size_t body)
{
        pattern_frame(pattern, body + 4);
}

/* ---- Redis ---- */

static int redis_subscribe(const struct plan *plan, unsigned i)
{
        static const char command[] = "*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nt\r\n";
        int fd = server_connect(plan);

        (void)i;
        say(fd, command, strlen(command));
        hear_text(fd, "$1\r\nt\r\n:1\r\n");
        return fd;
}

/* Without replies, which nobody here would look at. */
static int redis_publisher(const struct plan *plan)
{
        static const char ping[] = "*1\r\n$4\r\nPING\r\n";
        static const char off[] = "*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\n";
        int fd = server_connect(plan);

        say(fd, ping, strlen(ping));
        hear_text(fd, "+PONG\r\n");
        say(fd, off, strlen(off));
        return fd;
}

static void redis_published(struct pattern *pattern, size_t body)
{
        char head[80];

        snprintf(head, sizeof(head), "*3\r\n$7\r\nPUBLISH\r\n$1\r\nt\r\n$%zu\r\n", body);
        pattern_text(pattern, head, body, "\r\n");
}

static void redis_delivered(struct pattern *pattern, size_t body)
{
        char head[80];

        snprintf(head, sizeof(head), "*3\r\n$7\r\nmessage\r\n$1\r\nt\r\n$%zu\r\n", body);
        pattern_text(pattern, head, body, "\r\n");
}

/* ---- NATS ---- */

static int nats_open(const struct plan *plan, const char *more)
{
        static const char command[] = "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n";
        int fd = server_connect(plan);

        hear_text(fd, "\r\n");
        say(fd, command, strlen(command));
        say(fd, more, strlen(more));
        hear_text(fd, "PONG\r\n");
        return fd;
}

static int nats_subscribe(const struct plan *plan, unsigned i)
{
        (void)i;
        return nats_open(plan, "SUB t 1\r\nPING\r\n");
}

static int nats_publisher(const struct plan *plan)
{
        return nats_open(plan, "PING\r\n");
}

static void nats_published(struct pattern *pattern, size_t body)
{
        char head[64];

        snprintf(head, sizeof(head), "PUB t %zu\r\n", body);
        pattern_text(pattern, head, body, "\r\n");
}

static void nats_delivered(struct pattern *pattern, size_t body)
{
        char head[64];

        snprintf(head, sizeof(head), "MSG t 1 %zu\r\n", body);
        pattern_text(pattern, head, body, "\r\n");
}

/* ---- MQTT, at most once ---- */

static int mqtt_open(const struct plan *plan, const char *name, unsigned i)
{
        unsigned char head[] = {0x10, 0, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 0};
        int fd = server_connect(plan), n;
        char id[16];

        n = snprintf(id, sizeof(id), "%s%u", name, i);
        head[1] = (unsigned char)(sizeof(head) - 2 + (size_t)n);
        head[sizeof(head) - 1] = (unsigned char)n;
        say(fd, head, sizeof(head));
        say(fd, id, (size_t)n);
        hear(fd, "\x20\x02\x00\x00", 4);
        return fd;
}

static int mqtt_subscribe(const struct plan *plan, unsigned i)
{
        static const char command[] = "\x82\x06\x00\x01\x00\x01t\x00";
        int fd = mqtt_open(plan, "s", i);

        say(fd, command, 8);
        hear(fd, "\x90\x03\x00\x01\x00", 5);
        return fd;
}

static int mqtt_publisher(const struct plan *plan)
{
        return mqtt_open(plan, "p", 0);
}

static void mqtt_pattern(struct pattern *pattern, size_t body)
{
        unsigned char head[16] = {0x30};
        size_t rest = body + 3, n = 1;

        for (; n == 1 || rest; rest >>= 7)
                head[n++] = (unsigned char)((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
        memcpy(head + n, "\0\1t", 3);
        pattern_init(pattern, head, n + 3, body, "");
}

static const struct protocol protocols[] = {
        {"ftcp", NULL, ftcp_subscribe, ftcp_publisher, ftcp_pattern, ftcp_pattern},
        {"redis", NULL, redis_subscribe, redis_publisher, redis_published, redis_delivered},
        {"nats", "PING\r\n", nats_subscribe, nats_publisher, nats_published, nats_delivered},
        {"mqtt", NULL, mqtt_subscribe, mqtt_publisher, mqtt_pattern, mqtt_pattern},
};

/* ---- the works ---- */

struct result {
        uint64_t messages, lost, ns, cpu_ns, p50_ns;
        uint64_t rss_before, rss_joined;
};

struct stage {
        const struct plan *plan;
        struct side subscribers;
        int publisher;
        struct pattern published, delivered;
        struct result result;
};

static void join(struct stage *stage)
{
        const struct plan *plan = stage->plan;
        struct side *side = &stage->subscribers;

        stage->result.rss_before = rss_kib(plan->server);
        side_init(side, plan->clients);
        side->intermezzo = plan->protocol->intermezzo;
        for (unsigned i = 0; i < plan->clients; i++)
                side_add(side, i, plan->protocol->subscribe(plan, i));
        stage->publisher = plan->protocol->publisher(plan);
        plan->protocol->published(&stage->published, plan->size - 4);
        plan->protocol->delivered(&stage->delivered, plan->size - 4);
        stage->result.rss_joined = rss_kib(plan->server);
}

static void publish(struct stage *stage, struct flow *flow, int go)
{
        const struct plan *plan = stage->plan;
        struct side side;

        side_init(&side, 1);
        side_add(&side, 0, stage->publisher);
        wait_for_go(go);
        side_send(&side, &stage->published, plan->warm * stage->published.size, flow);
        wait_for_go(go);
        side_send(&side, &stage->published, plan->count * stage->published.size, flow);
        pause(); /* its connection stays until the other process has measured */
}

/* Returns how many deliveries there were. */
static uint64_t deliveries(struct stage *stage, struct flow *flow, uint64_t published)
{
        uint64_t total = published * stage->plan->clients * stage->delivered.size;

        return side_receive(&stage->subscribers, &stage->delivered, total, flow,
                            stage->published.size) /
               stage->delivered.size;
}

static void run_bulk(struct stage *stage)
{
        const struct plan *plan = stage->plan;
        struct result *r = &stage->result;
        struct flow *flow = mmap(NULL, sizeof(*flow), PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        int go[2];
        pid_t pid;

        if (flow == MAP_FAILED)
                err(1, "memory");
        flow->window = plan->window;
        if (pipe(go) < 0 || (pid = fork()) < 0)
                err(1, "fork");
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                close(go[1]);
                side_close(&stage->subscribers);
                publish(stage, flow, go[0]);
                exit(0);
        }
        close(go[0]);
        side_watch(&stage->subscribers);
        give_go(go[1]);
        if (deliveries(stage, flow, plan->warm) < plan->warm * plan->clients)
                errx(1, "messages were lost before anything was measured");
        flow->taken = 0;
        r->cpu_ns = cpu_settled_ns(plan->server);
        r->ns = now_ns();
        give_go(go[1]);
        r->messages = deliveries(stage, flow, plan->count);
        r->ns = now_ns() - r->ns;
        r->cpu_ns = cpu_settled_ns(plan->server) - r->cpu_ns;
        r->lost = plan->count * plan->clients - r->messages;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
}

static void one_to_all(struct stage *stage)
{
        for (size_t at = 0; at < stage->published.size;) {
                ssize_t sent = send(stage->publisher, stage->published.bytes + at,
                                    stage->published.size - at, MSG_NOSIGNAL);

                if (sent < 0)
                        err(1, "send");
                at += (size_t)sent;
        }
        if (deliveries(stage, NULL, 1) < stage->plan->clients)
                errx(1, "a message was lost");
}

static void run_each(struct stage *stage)
{
        const struct plan *plan = stage->plan;
        struct result *r = &stage->result;
        uint64_t *took = calloc(plan->count, sizeof(*took)), last;

        if (!took)
                err(1, "memory");
        for (uint64_t i = 0; i < plan->warm; i++)
                one_to_all(stage);
        r->cpu_ns = cpu_settled_ns(plan->server);
        r->ns = last = now_ns();
        for (uint64_t i = 0; i < plan->count; i++) {
                uint64_t now;

                one_to_all(stage);
                now = now_ns();
                took[i] = now - last;
                last = now;
        }
        r->ns = last - r->ns;
        r->cpu_ns = cpu_settled_ns(plan->server) - r->cpu_ns;
        r->messages = plan->count * plan->clients;
        r->p50_ns = median(took, plan->count);
        free(took);
}

static void report(const struct stage *stage)
{
        const struct plan *plan = stage->plan;
        const struct result *r = &stage->result;

        printf("{\"protocol\": \"%s\", \"work\": \"%s\", \"size\": %zu, \"clients\": %u, "
               "\"messages\": %" PRIu64 ", \"lost\": %" PRIu64 ", \"seconds\": %.6f, "
               "\"cpu_ns\": %" PRIu64 ", \"rss_before_kib\": %" PRIu64
               ", \"rss_joined_kib\": %" PRIu64 ", \"rss_kib\": %" PRIu64,
               plan->protocol->name, work_names[plan->work], plan->size, plan->clients, r->messages,
               r->lost, (double)r->ns / 1e9, r->cpu_ns, r->rss_before, r->rss_joined,
               rss_kib(plan->server));
        if (r->p50_ns)
                printf(", \"p50_us\": %.3f", (double)r->p50_ns / 1e3);
        printf("}\n");
}

static const struct protocol *protocol_parse(const char *text)
{
        for (size_t i = 0; i < sizeof(protocols) / sizeof(*protocols); i++)
                if (strcmp(text, protocols[i].name) == 0)
                        return &protocols[i];
        errx(2, "%s: ftcp, redis, nats or mqtt is expected", text);
}

static enum work work_parse(const char *text)
{
        for (int i = 0; i < WORK_COUNT; i++)
                if (strcmp(text, work_names[i]) == 0)
                        return (enum work)i;
        errx(2, "%s: bulk, each or idle is expected", text);
}

static void plan_parse(struct plan *plan, int argc, char **argv)
{
        static const struct option options[] = {
                {"protocol", required_argument, NULL, 'P'},
                {"socket", required_argument, NULL, 's'},
                {"port", required_argument, NULL, 'p'},
                {"pid", required_argument, NULL, 'r'},
                {"work", required_argument, NULL, 'w'},
                {"size", required_argument, NULL, 'S'},
                {"count", required_argument, NULL, 'n'},
                {"warm", required_argument, NULL, 'W'},
                {"window", required_argument, NULL, 'i'},
                {"clients", required_argument, NULL, 'c'},
                {NULL, 0, NULL, 0},
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
                switch (c) {
                case 'P': plan->protocol = protocol_parse(optarg); break;
                case 's': plan->socket = optarg; break;
                case 'p': plan->port = (uint16_t)number(optarg, 1, UINT16_MAX); break;
                case 'r': plan->server = (pid_t)number(optarg, 1, INT32_MAX); break;
                case 'w': plan->work = work_parse(optarg); break;
                case 'S': plan->size = number(optarg, LEAST, 16 << 20); break;
                case 'n': plan->count = number(optarg, 1, UINT32_MAX); break;
                case 'W': plan->warm = number(optarg, 0, UINT32_MAX); break;
                case 'i': plan->window = number(optarg, 0, UINT32_MAX); break;
                case 'c': plan->clients = (unsigned)number(optarg, 1, 10000); break;
                default: exit(2);
                }
        }
        if (!plan->protocol || !plan->server || (!plan->socket && !plan->port))
                errx(2, "--protocol, --pid and --socket or --port are needed");
}

int main(int argc, char **argv)
{
        struct plan plan = {.size = LEAST, .count = 100000, .warm = 1000, .clients = 1};
        struct stage stage = {.plan = &plan};

        plan_parse(&plan, argc, argv);
        alarm(DEADLINE);
        join(&stage);
        if (plan.work == WORK_BULK)
                run_bulk(&stage);
        else if (plan.work == WORK_EACH)
                run_each(&stage);
        else
                stage.result.cpu_ns = cpu_settled_ns(plan.server);
        report(&stage);
        return 0;
}
