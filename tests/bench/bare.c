/* SPDX-License-Identifier: MIT */
/*
 * bench-bare SOCKET PORT: the least that a copying relay can do, to compare with. For each client
 * it opens a connection to 127.0.0.1:PORT and copies each direction in a thread of its own, by
 * blocking reads and writes of 256 KiB.
 */
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BUFFER = 256 * 1024 };

/* Two connections, owned by the two threads together: the last one closes them. */
struct pair {
        int client;
        int upstream;
        atomic_int threads;
};

static void copy(int from, int to)
{
        char *buffer = malloc(BUFFER);
        ssize_t got;

        while (buffer && (got = read(from, buffer, BUFFER)) > 0) {
                for (ssize_t at = 0; at < got;) {
                        ssize_t put = write(to, buffer + at, (size_t)(got - at));

                        if (put < 0) {
                                free(buffer);
                                return;
                        }
                        at += put;
                }
        }
        free(buffer);
}

static void pair_leave(struct pair *pair)
{
        shutdown(pair->client, SHUT_RDWR);
        shutdown(pair->upstream, SHUT_RDWR);
        if (atomic_fetch_sub(&pair->threads, 1) > 1)
                return;
        close(pair->client);
        close(pair->upstream);
        free(pair);
}

static void *copy_up(void *arg)
{
        struct pair *pair = arg;

        copy(pair->client, pair->upstream);
        pair_leave(pair);
        return NULL;
}

static void *copy_down(void *arg)
{
        struct pair *pair = arg;

        copy(pair->upstream, pair->client);
        pair_leave(pair);
        return NULL;
}

static int upstream_connect(uint16_t port)
{
        struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int on = 1;

        name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
                err(1, "socket");
        if (connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0) {
                close(fd);
                return -1;
        }
        return fd;
}

static void pair_start(int client, uint16_t port)
{
        struct pair *pair = malloc(sizeof(*pair));
        int upstream = upstream_connect(port);
        pthread_t up, down;

        if (!pair || upstream < 0) {
                if (upstream >= 0)
                        close(upstream);
                close(client);
                free(pair);
                return;
        }
        pair->client = client;
        pair->upstream = upstream;
        atomic_init(&pair->threads, 2);
        if (pthread_create(&up, NULL, copy_up, pair) != 0 ||
            pthread_create(&down, NULL, copy_down, pair) != 0)
                errx(1, "no thread");
        pthread_detach(up);
        pthread_detach(down);
}

int main(int argc, char **argv)
{
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (argc != 3 || strlen(argv[1]) >= sizeof(name.sun_path))
                errx(2, "usage: bench-bare SOCKET PORT");
        strcpy(name.sun_path, argv[1]);
        signal(SIGPIPE, SIG_IGN);
        if (listener < 0 || bind(listener, (struct sockaddr *)&name, sizeof(name)) < 0 ||
            listen(listener, SOMAXCONN) < 0)
                err(1, "%s", argv[1]);
        for (;;) {
                int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

                if (client < 0)
                        err(1, "accept");
                pair_start(client, (uint16_t)atoi(argv[2]));
        }
}
