/* SPDX-License-Identifier: MIT */
#include "edge/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "edge/resolver.h"
#include "edge/tcp.h"
#include "edge/timer.h"
#include "util/clock.h"
#include "util/host_error.h"
#include "util/socket.h"

#define RESOLVE_USEC (10 * USEC_PER_SEC)

struct dial {
        struct event_base *base; /* borrowed */
        const struct dial_ops *ops;
        void *context;
        const struct config *config; /* borrowed while a round is under way */
        struct resolver *resolver;
        size_t entry, address; /* of the present try: index of the configured, numeric address */
        struct addrinfo *addresses; /* of the entry; owned; NULL: not resolved */
        bool tried;                 /* this round has tried an address */
        int fd;                     /* connecting; -1: none */
        struct event *writable, *timer;
        char peer[80];
};

static void next_try(struct dial *dial);

static void forget_addresses(struct dial *dial)
{
        if (dial->addresses)
                freeaddrinfo(dial->addresses);
        dial->addresses = NULL;
}

static void drop_socket(struct dial *dial)
{
        if (dial->writable)
                event_free(dial->writable);
        dial->writable = NULL;
        if (dial->fd >= 0)
                close(dial->fd);
        dial->fd = -1;
}

static void next_entry(struct dial *dial)
{
        forget_addresses(dial);
        dial->entry++;
        dial->address = 0;
}

static enum link_cause cause_of(int error)
{
        switch (error) {
        case ECONNREFUSED: return CAUSE_REFUSED;
        case ECONNRESET: return CAUSE_RESET;
        case ETIMEDOUT: return CAUSE_TIMEOUT;
        case EMFILE:
        case ENFILE:
        case ENOMEM:
        case ENOBUFS:
        case EADDRNOTAVAIL:
        case EADDRINUSE:
        case EAGAIN: /* no port */
        case EACCES:
        case EPERM: return CAUSE_LOCAL;
        default: return CAUSE_UNREACHABLE;
        }
}

/* The next try begins from the timer, so that a long row of failures is no deep recursion. */
static void try_failed(struct dial *dial, enum link_cause cause, const char *text)
{
        drop_socket(dial);
        dial->tried = true;
        dial->ops->failed(dial->context, cause, text);
        if (dial->config)
                timer_arm(dial->timer, 0);
}

static void connect_failed(struct dial *dial, enum link_cause cause, const char *why)
{
        char text[400];

        snprintf(text, sizeof(text), "connecting to %s: %s", dial->peer, why);
        dial->address++;
        try_failed(dial, cause, text);
}

static void source_failed(struct dial *dial, int error)
{
        char why[240];

        snprintf(why, sizeof(why), "not from SourceAddress=%s: %s", dial->config->source_address,
                 error == EADDRNOTAVAIL ? strerror(error)
                                        : host_error_words(HOST_CALL_PORT, error));
        connect_failed(dial, CAUSE_LOCAL, why);
}

/* True if the socket is connected to itself: a loopback port in the ephemeral range can answer
 * itself. */
static bool is_ourselves(int fd)
{
        struct sockaddr_storage here = {0}, there = {0};
        socklen_t here_size = sizeof(here), there_size = sizeof(there);

        return getsockname(fd, (struct sockaddr *)&here, &here_size) == 0 &&
               getpeername(fd, (struct sockaddr *)&there, &there_size) == 0 &&
               here_size == there_size && memcmp(&here, &there, here_size) == 0;
}

static void finish_connect(struct dial *dial)
{
        const char *address;
        int fd = dial->fd;

        if (is_ourselves(fd)) {
                char text[160];

                snprintf(text, sizeof(text), "connected to itself at %s: nobody listens there",
                         dial->peer);
                dial->address++;
                try_failed(dial, CAUSE_LOCAL, text);
                return;
        }
        dial->fd = -1;
        drop_socket(dial);
        evtimer_del(dial->timer);
        address = dial->config->addresses[dial->entry].text;
        dial->config = NULL;
        dial->ops->connected(dial->context, fd, address, dial->peer);
}

static void connect_ends(evutil_socket_t fd, short what, void *arg)
{
        struct dial *dial = arg;
        int error = 0;
        socklen_t size = sizeof(error);

        (void)what;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
                error = errno;
        if (error == EACCES) /* connect() says at once what this host forbids */
                connect_failed(dial, CAUSE_UNREACHABLE,
                               "Permission denied (a firewall forbids it, by ICMPv6)");
        else if (error)
                connect_failed(dial, cause_of(error), host_error_words(HOST_CALL_CONNECT, error));
        else
                finish_connect(dial);
}

/* Binds to SourceAddress=, if configured. Returns 0 or an errno. */
static int bind_source(struct dial *dial, int fd, int family)
{
        struct addrinfo hints = {
                .ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
        struct addrinfo *source;
        int one = 1, error;

        if (!dial->config->source_address)
                return 0;
        if (getaddrinfo(dial->config->source_address, NULL, &hints, &source) != 0)
                return EAFNOSUPPORT;
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
        error = bind(fd, source->ai_addr, source->ai_addrlen) < 0 ? errno : 0;
        freeaddrinfo(source);
        return error;
}

/* Returns false after a failure, which was told to failed(). */
static bool make_socket(struct dial *dial, int family)
{
        int error;

        dial->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (dial->fd < 0) {
                connect_failed(dial, CAUSE_LOCAL, host_error_words(HOST_CALL_SOCKET, errno));
                return false;
        }
        error = bind_source(dial, dial->fd, family);
        if (error)
                source_failed(dial, error);
        return !error;
}

/* Tells ports that are used up from a host without an address of the family. */
static enum host_call call_of(const struct dial *dial, const struct addrinfo *to)
{
        return dial->config->source_address || tcp_has_source(to->ai_addr, to->ai_addrlen)
                       ? HOST_CALL_PORT
                       : HOST_CALL_CONNECT;
}

static void connect_to(struct dial *dial, const struct addrinfo *to)
{
        char text[128];
        int error = 0;

        socket_address_text(to->ai_addr, to->ai_addrlen, dial->peer, sizeof(dial->peer));
        snprintf(text, sizeof(text), "to %s", dial->peer);
        dial->ops->progress(dial->context, LINK_CONNECTING,
                            dial->config->addresses[dial->entry].text, text);
        if (!make_socket(dial, to->ai_family))
                return;
        tcp_connects(dial->fd, to->ai_addr);
        if (connect(dial->fd, to->ai_addr, to->ai_addrlen) < 0 && errno != EINPROGRESS)
                error = errno;
        if (!error) {
                dial->writable = event_new(dial->base, dial->fd, EV_WRITE, connect_ends, dial);
                error = dial->writable && event_add(dial->writable, NULL) == 0 ? 0 : ENOMEM;
        }
        if (error)
                connect_failed(dial, cause_of(error),
                               host_error_words(error == EADDRNOTAVAIL || error == EAGAIN
                                                        ? call_of(dial, to)
                                                        : HOST_CALL_CONNECT,
                                                error));
        else if (dial->config->connect_timeout_usec != CONFIG_INFINITY)
                timer_arm(dial->timer, dial->config->connect_timeout_usec);
}

static void resolve_failed(struct dial *dial, enum link_cause cause, const char *why)
{
        char text[400];

        snprintf(text, sizeof(text), "resolving %s: %s", dial->config->addresses[dial->entry].text,
                 why);
        next_entry(dial);
        try_failed(dial, cause, text);
}

static void resolved(void *context, const char *wrong, struct addrinfo *addresses)
{
        struct dial *dial = context;

        evtimer_del(dial->timer);
        if (wrong) {
                resolve_failed(dial, CAUSE_RESOLVE, wrong);
                return;
        }
        dial->addresses = addresses;
        next_try(dial);
}

static void resolve(struct dial *dial)
{
        const struct config_address *address = &dial->config->addresses[dial->entry];
        struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                 .ai_socktype = SOCK_STREAM,
                                 .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
        int result;

        if (getaddrinfo(address->host, address->port, &hints, &dial->addresses) == 0) {
                next_try(dial);
                return;
        }
        dial->addresses = NULL;
        dial->ops->progress(dial->context, LINK_RESOLVING, address->text, address->text);
        result = resolver_ask(dial->resolver, address->host, address->port);
        if (result < 0)
                resolve_failed(dial, CAUSE_LOCAL,
                               result == -EBUSY ? "earlier questions are still unanswered"
                                                : host_error_words(HOST_CALL_THREAD, -result));
        else
                timer_arm(dial->timer, RESOLVE_USEC);
}

static void next_try(struct dial *dial)
{
        struct addrinfo *to = dial->addresses;

        if (dial->entry >= dial->config->n_addresses && !dial->tried) {
                dial->tried = true; /* behind the last address comes the first */
                dial_rewind(dial);
                to = NULL;
        }
        if (dial->entry >= dial->config->n_addresses) {
                dial_rewind(dial);
                dial->config = NULL;
                dial->ops->exhausted(dial->context);
                return;
        }
        if (!to) {
                resolve(dial);
                return;
        }
        for (size_t i = 0; to && i < dial->address; i++)
                to = to->ai_next;
        if (to) {
                connect_to(dial, to);
        } else {
                next_entry(dial);
                next_try(dial);
        }
}

/* True if the connection attempt has ended: after a stall of ftcpd the timer may come first. */
static bool is_answered(int fd)
{
        struct pollfd poller = {.fd = fd, .events = POLLOUT};

        return poll(&poller, 1, 0) > 0;
}

static void timer_fires(evutil_socket_t fd, short what, void *arg)
{
        struct dial *dial = arg;

        (void)fd;
        (void)what;
        if (dial->fd >= 0 && is_answered(dial->fd)) {
                connect_ends(dial->fd, EV_WRITE, dial);
        } else if (dial->fd >= 0) {
                connect_failed(dial, CAUSE_TIMEOUT, "no answer within ConnectTimeout=");
        } else if (dial->config && !dial->addresses && dial->entry < dial->config->n_addresses) {
                if (resolver_is_asked(dial->resolver)) {
                        resolver_abandon(dial->resolver);
                        resolve_failed(dial, CAUSE_RESOLVE, "no answer within 10s");
                } else {
                        next_try(dial);
                }
        } else if (dial->config) {
                next_try(dial);
        }
}

struct dial *dial_new(struct event_base *base, const struct dial_ops *ops, void *context)
{
        struct dial *dial = calloc(1, sizeof(*dial));

        if (!dial)
                return NULL;
        *dial = (struct dial){.base = base, .ops = ops, .context = context, .fd = -1};
        dial->resolver = resolver_new(base, resolved, dial);
        dial->timer = evtimer_new(base, timer_fires, dial);
        if (!dial->resolver || !dial->timer) {
                dial_free(dial);
                return NULL;
        }
        return dial;
}

void dial_free(struct dial *dial)
{
        if (!dial)
                return;
        drop_socket(dial);
        forget_addresses(dial);
        resolver_free(dial->resolver);
        if (dial->timer)
                event_free(dial->timer);
        free(dial);
}

void dial_start(struct dial *dial, const struct config *config)
{
        dial_stop(dial);
        dial->config = config;
        dial->tried = false;
        timer_arm(dial->timer, 0);
}

void dial_stop(struct dial *dial)
{
        resolver_abandon(dial->resolver);
        drop_socket(dial);
        forget_addresses(dial);
        evtimer_del(dial->timer);
        dial->config = NULL;
}

void dial_configure(struct dial *dial, const struct config *config)
{
        if (dial->config)
                dial->config = config;
}

void dial_rewind(struct dial *dial)
{
        forget_addresses(dial);
        dial->entry = dial->address = 0;
}

void dial_skip(struct dial *dial)
{
        forget_addresses(dial);
        dial->address++;
}
