/* SPDX-License-Identifier: MIT */
#include "ctl/peer/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctl/peer/conn.h"
#include "ctl/talk/ctl.h"
#include "ctl/talk/local.h"
#include "ctl/verbs/verbs.h"
#include "util/address.h"
#include "util/clock.h"
#include "util/host_error.h"
#include "util/socket.h"

enum { CONNS_MAX = 1000, NAME = 128, STDOUT_BUFFER = 64 * 1024, REST_USEC = 100000 };

#define TELL_USEC (60 * USEC_PER_SEC)

struct peer {
        struct ctl *ctl;
        const struct peer_options *options;
        struct peer_result result;
        int signals;
        int listener;
        unsigned accepted;
        uint64_t rest_until; /* an accept failed: no other one before */
        uint64_t told_at;    /* when that was last told; 0: never */
        struct conn *conns[CONNS_MAX];
        size_t n_conns;
        struct pollfd fds[CONNS_MAX + 2];
};

/* Cuts "HOST:PORT", "[V6]:PORT" or "PORT" into its parts, in place. False for another text. */
static bool split_address(char *text, const char **host, const char **port)
{
        char *colon = strrchr(text, ':');

        *host = "127.0.0.1";
        *port = colon ? colon + 1 : text;
        if (colon) {
                *colon = '\0';
                *host = text;
                if (*text == '[' && colon > text && colon[-1] == ']') {
                        colon[-1] = '\0';
                        *host = text + 1;
                } else if (strchr(text, ':')) {
                        return false;
                }
        }
        return **port && **host;
}

static int listen_on(const struct addrinfo *address)
{
        int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int on = 1, error;

        if (fd < 0)
                return -errno;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        socket_keep_in_line(fd);
        if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, 128) == 0)
                return fd;
        error = errno;
        close(fd);
        return -error;
}

/* Listens on the first of a name's addresses where that can be: a host may be without IPv6. */
static int listen_on_any(const struct addrinfo *found)
{
        int fd, first = 0;

        for (; found; found = found->ai_next) {
                fd = listen_on(found);
                if (fd >= 0)
                        return fd;
                first = first ? first : fd;
        }
        return first;
}

static int peer_listen(struct peer *peer)
{
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
        struct addrinfo *found = NULL;
        struct sockaddr_storage bound;
        socklen_t size = sizeof(bound);
        const char *host, *port;
        char text[NAME], name[NAME];
        int error;

        snprintf(text, sizeof(text), "%s", peer->options->listen);
        if (!split_address(text, &host, &port)) {
                ctl_fail(peer->ctl, 0, "--listen %s: expected HOST:PORT, [V6]:PORT or PORT",
                         peer->options->listen);
                return ctl_usage(peer->ctl, NULL);
        }
        if (address_writing(host) == ADDRESS_PADDED)
                return ctl_fail(peer->ctl, CTL_FAILED,
                                "--listen %s: a zero before a number means octal to some programs: "
                                "write the address without it",
                                peer->options->listen);
        error = getaddrinfo(host, port, &hints, &found);
        if (error)
                return ctl_fail(peer->ctl, CTL_FAILED, "--listen %s: %s", peer->options->listen,
                                gai_strerror(error));
        peer->listener = listen_on_any(found);
        freeaddrinfo(found);
        if (peer->listener < 0)
                return ctl_fail(peer->ctl, CTL_FAILED, "can't listen on %s: %s",
                                peer->options->listen, strerror(-peer->listener));
        getsockname(peer->listener, (struct sockaddr *)&bound, &size);
        socket_address_text((struct sockaddr *)&bound, size, name, sizeof(name));
        printf("listening on %s\n", name);
        fflush(stdout);
        return CTL_DONE;
}

/* The connection that could not be accepted keeps the socket readable, and would wake us at once.
 */
static void peer_rest(struct peer *peer, int error, uint64_t now)
{
        peer->rest_until = now + REST_USEC;
        if (peer->told_at && now - peer->told_at < TELL_USEC)
                return;
        fprintf(stderr, "ftcpctl: can't accept connections for now: %s\n",
                host_error_words(HOST_CALL_ACCEPT, error));
        peer->told_at = now;
}

static void peer_accept(struct peer *peer, uint64_t now)
{
        struct sockaddr_storage from;
        socklen_t size = sizeof(from);
        char name[NAME];
        int fd = accept4(peer->listener, (struct sockaddr *)&from, &size,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct conn *conn = fd >= 0 ? malloc(sizeof(*conn)) : NULL;

        if (!conn) {
                int error = errno;

                if (fd >= 0)
                        close(fd);
                if (error != EAGAIN && error != EINTR && error != ECONNABORTED)
                        peer_rest(peer, error, now);
                return;
        }
        socket_address_text((struct sockaddr *)&from, size, name, sizeof(name));
        conn_init(conn, peer->options, &peer->result, fd, ++peer->accepted, name);
        peer->conns[peer->n_conns++] = conn;
}

/* Sleeps until an event or the next conn_wake(). Returns the number of connections in peer->fds. */
static size_t peer_poll(struct peer *peer)
{
        uint64_t now = clock_usec(), wake = UINT64_MAX;
        size_t n = peer->n_conns;
        bool rests = now < peer->rest_until;

        if (rests)
                wake = peer->rest_until;
        peer->fds[0] = (struct pollfd){.fd = peer->signals, .events = POLLIN};
        peer->fds[1] = (struct pollfd){.fd = n < CONNS_MAX && !rests ? peer->listener : -1,
                                       .events = POLLIN};
        for (size_t i = 0; i < n; i++) {
                uint64_t at = conn_wake(peer->conns[i], now);

                wake = at < wake ? at : wake;
                peer->fds[i + 2] = (struct pollfd){.fd = peer->conns[i]->fd,
                                                   .events = conn_events(peer->conns[i], now)};
        }
        fflush(stdout);
        if (poll(peer->fds, n + 2, local_poll_msec(wake)) < 0)
                memset(peer->fds, 0, sizeof(peer->fds));
        return n;
}

static void peer_conn(struct conn *conn, short events, uint64_t now)
{
        if (events & POLLIN)
                conn_read(conn);
        else if (events & (POLLERR | POLLHUP))
                conn_hangup(conn);
        if (events & POLLOUT)
                conn_write(conn);
        conn_run(conn, now);
}

static void peer_loop(struct peer *peer)
{
        while (!peer->result.exit) {
                size_t n = peer_poll(peer), kept = 0;
                uint64_t now = clock_usec();

                if (peer->fds[0].revents)
                        return;
                if (peer->fds[1].revents)
                        peer_accept(peer, now);
                for (size_t i = 0; i < peer->n_conns; i++)
                        peer_conn(peer->conns[i], i < n ? peer->fds[i + 2].revents : 0, now);
                for (size_t i = 0; i < peer->n_conns; i++) {
                        struct conn *conn = peer->conns[i];

                        if (!conn_over(conn, now)) {
                                peer->conns[kept++] = conn;
                                continue;
                        }
                        conn_done(conn);
                        free(conn);
                }
                peer->n_conns = kept;
        }
}

static int peer_run(struct ctl *ctl, const struct peer_options *options)
{
        struct peer *peer = calloc(1, sizeof(*peer));
        sigset_t set;
        int code;

        if (!peer)
                return ctl_fail(ctl, CTL_FAILED, "no memory");
        peer->ctl = ctl;
        peer->options = options;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigprocmask(SIG_BLOCK, &set, NULL);
        peer->signals = signalfd(-1, &set, SFD_CLOEXEC);
        code = peer_listen(peer);
        if (code == CTL_DONE) {
                setvbuf(stdout, NULL, _IOFBF, STDOUT_BUFFER);
                peer_loop(peer);
                while (peer->n_conns) {
                        conn_done(peer->conns[--peer->n_conns]);
                        free(peer->conns[peer->n_conns]);
                }
                close(peer->listener);
                code = peer->result.failed ? CTL_FAILED : peer->result.code;
        }
        close(peer->signals);
        free(peer);
        return code;
}

int verb_peer(struct ctl *ctl, int argc, char **argv)
{
        struct peer_options options;
        int code = peer_options_read(&options, ctl, argc, argv);

        if (code == CTL_DONE)
                code = peer_run(ctl, &options);
        peer_options_done(&options);
        return code;
}
