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
#include "util/address.h"
#include "util/clock.h"
#include "util/host_error.h"
#include "util/socket.h"
#include "util/units.h"

struct dial {
        struct event_base *base; /* borrowed */
        const struct dial_ops *ops;
        void *context;
        const struct config *config; /* borrowed while a round is under way */
        struct resolver *resolver;
        size_t entry, address; /* of the present try: index of the configured, numeric address */
        struct address_list addresses; /* of the entry, or of the last connection */
        bool resolved;                 /* addresses are of the entry */
        const char *origin;            /* of addresses, if the name was not resolved; a constant */
        char unresolved[320];          /* why it was not */
        struct address_book remembered;
        bool tried; /* this round has tried an address */
        int fd;     /* connecting; -1: none */
        struct event *writable, *timer;
        char peer[80];
};

static void next_try(struct dial *dial);

static void forget_addresses(struct dial *dial)
{
        address_list_done(&dial->addresses);
        dial->resolved = false;
        dial->origin = NULL;
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
        case EAFNOSUPPORT:
        case EAGAIN: /* no port */
        case EINVAL: /* a blackhole route */
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
        char text[720];
        int n = snprintf(text, sizeof(text), "connecting to %s: %s", dial->peer, why);

        if (dial->origin)
                snprintf(text + n, sizeof(text) - (size_t)n, " (its address %s; %s)", dial->origin,
                         dial->unresolved);
        dial->address++;
        try_failed(dial, cause, text);
}

static void source_failed(struct dial *dial, int error)
{
        char why[240];

        snprintf(why, sizeof(why), "not from SourceAddress=%s: %s", dial->config->source_address,
                 error == EADDRNOTAVAIL
                         ? strerror(error)
                         : host_error_words(error == EINVAL ? HOST_CALL_LINK_LOCAL : HOST_CALL_PORT,
                                            error));
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
        dial->ops->connected(dial->context, fd, address, dial->peer, dial->origin);
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
static int bind_source(struct dial *dial, int fd)
{
        struct address_list source = {0};
        int one = 1, error = 0;

        if (!dial->config->source_address)
                return 0;
        switch (address_list_add_numeric(&source, dial->config->source_address, "0")) {
        case 0: break;
        case -ENOMEM: return ENOMEM;
        default: return ENODEV; /* the interface behind % is not there */
        }
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
        if (bind(fd, &source.items->to.any, source.items->size) < 0)
                error = errno;
        address_list_done(&source);
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
        error = bind_source(dial, dial->fd);
        if (error)
                source_failed(dial, error);
        return !error;
}

/* What failed, by the error of connect(): tells ports that are used up from a host without an
 * address of the family, and a blackhole route from an address without its interface. */
static enum host_call call_of(const struct dial *dial, const struct address *to, int error)
{
        switch (error) {
        case EADDRNOTAVAIL:
        case EAGAIN:
                return dial->config->source_address || tcp_has_source(&to->to.any, to->size)
                               ? HOST_CALL_PORT
                               : HOST_CALL_CONNECT;
        case EINVAL: return address_lacks_interface(to) ? HOST_CALL_LINK_LOCAL : HOST_CALL_CONNECT;
        default: return HOST_CALL_CONNECT;
        }
}

static void connect_to(struct dial *dial, const struct address *to)
{
        char text[128];
        int error = 0;

        socket_address_text(&to->to.any, to->size, dial->peer, sizeof(dial->peer));
        snprintf(text, sizeof(text), "to %s", dial->peer);
        dial->ops->progress(dial->context, LINK_CONNECTING,
                            dial->config->addresses[dial->entry].text, text);
        if (!make_socket(dial, to->to.any.sa_family))
                return;
        tcp_connects(dial->fd, &to->to.any);
        if (connect(dial->fd, &to->to.any, to->size) < 0 && errno != EINPROGRESS)
                error = errno;
        if (!error) {
                dial->writable = event_new(dial->base, dial->fd, EV_WRITE, connect_ends, dial);
                error = dial->writable && event_add(dial->writable, NULL) == 0 ? 0 : ENOMEM;
        }
        if (error)
                connect_failed(dial, cause_of(error),
                               host_error_words(call_of(dial, to, error), error));
        else if (dial->config->connect_timeout_usec != CONFIG_INFINITY)
                timer_arm(dial->timer, dial->config->connect_timeout_usec);
}

/* Takes over the addresses of the entry. Those of another family than SourceAddress= are left out.
 * Returns false, with no address, if none is left. */
static bool take_addresses(struct dial *dial, struct address_list *addresses, const char *origin)
{
        const char *source = dial->config->source_address;

        forget_addresses(dial);
        dial->addresses = *addresses;
        *addresses = (struct address_list){0};
        address_list_keep_family(&dial->addresses, source ? address_family(source) : AF_UNSPEC);
        dial->resolved = dial->addresses.n > 0;
        dial->origin = dial->resolved ? origin : NULL;
        return dial->resolved;
}

/* Takes addresses for the name that was not resolved. Returns how the text of the failure goes on.
 */
static const char *take_earlier(struct dial *dial, const struct config_address *entry)
{
        const struct address_list *remembered =
                address_book_find(&dial->remembered, entry->host, entry->port, 0);
        struct address_list earlier = {0};

        if (resolver_take_late(dial->resolver, entry->host, entry->port, 0, &earlier) &&
            take_addresses(dial, &earlier, "in an earlier answer"))
                return "; an earlier answer, which came late, is used";
        address_list_done(&earlier);
        if (remembered && address_list_add_all(&earlier, remembered) == 0 &&
            take_addresses(dial, &earlier, "when last connected"))
                return "; the address when last connected is tried";
        address_list_done(&earlier);
        return "";
}

static void resolve_failed(struct dial *dial, enum link_cause cause, const char *why)
{
        const struct config_address *entry = &dial->config->addresses[dial->entry];
        bool tried = dial->tried;
        char text[400];

        snprintf(dial->unresolved, sizeof(dial->unresolved), "resolving %s: %s", entry->text, why);
        snprintf(text, sizeof(text), "%s%s", dial->unresolved, take_earlier(dial, entry));
        if (!dial->resolved)
                next_entry(dial);
        try_failed(dial, cause, text);
        if (dial->resolved)
                dial->tried = tried; /* the round may begin behind the earlier addresses */
}

static void no_family_left(struct dial *dial)
{
        const char *source = dial->config->source_address;
        char text[400];

        snprintf(text, sizeof(text), "%s has no %s address, as SourceAddress=%s needs",
                 dial->config->addresses[dial->entry].text,
                 address_family(source) == AF_INET ? "IPv4" : "IPv6", source);
        next_entry(dial);
        try_failed(dial, CAUSE_LOCAL, text);
}

static void use(struct dial *dial, struct address_list *addresses)
{
        if (take_addresses(dial, addresses, NULL))
                next_try(dial);
        else
                no_family_left(dial);
}

static void resolved(void *context, const char *wrong, struct address_list *addresses)
{
        struct dial *dial = context;

        evtimer_del(dial->timer);
        if (wrong)
                resolve_failed(dial, CAUSE_RESOLVE, wrong);
        else
                use(dial, addresses);
}

static void ask(struct dial *dial, const struct config_address *entry)
{
        int result;

        dial->ops->progress(dial->context, LINK_RESOLVING, entry->text, entry->text);
        result = resolver_ask(dial->resolver, entry->host, entry->port);
        if (result < 0)
                resolve_failed(dial, CAUSE_LOCAL,
                               result == -EBUSY ? "earlier questions are still unanswered"
                                                : host_error_words(HOST_CALL_THREAD, -result));
        else
                timer_arm(dial->timer, dial->config->resolve_timeout_usec);
}

static void resolve(struct dial *dial)
{
        const struct config_address *entry = &dial->config->addresses[dial->entry];
        struct address_list found = {0};
        uint64_t now = clock_usec();

        if (address_writing(entry->host) == ADDRESS_PADDED)
                resolve_failed(
                        dial, CAUSE_RESOLVE,
                        "a zero before a number of an IPv4 address means octal to some programs");
        else if (address_list_add_numeric(&found, entry->host, entry->port) == 0 ||
                 resolver_take_late(dial->resolver, entry->host, entry->port,
                                    now > RESOLVER_LATE_USEC ? now - RESOLVER_LATE_USEC : 0,
                                    &found))
                use(dial, &found);
        else
                ask(dial, entry);
        address_list_done(&found);
}

static void next_try(struct dial *dial)
{
        if (dial->entry >= dial->config->n_addresses && !dial->tried) {
                dial->tried = true; /* behind the last address comes the first */
                dial_rewind(dial);
        }
        if (dial->entry >= dial->config->n_addresses) {
                dial_rewind(dial);
                dial->config = NULL;
                dial->ops->exhausted(dial->context);
                return;
        }
        if (!dial->resolved) {
                resolve(dial);
        } else if (dial->address < dial->addresses.n) {
                connect_to(dial, &dial->addresses.items[dial->address]);
        } else {
                next_entry(dial);
                next_try(dial);
        }
}

static void answer_is_overdue(struct dial *dial)
{
        char why[UNITS_TEXT_MAX + 40] = "no answer within ResolveTimeout=";

        units_span_format(dial->config->resolve_timeout_usec, why + strlen(why));
        resolver_abandon(dial->resolver);
        resolve_failed(dial, CAUSE_RESOLVE, why);
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
        } else if (dial->config && resolver_is_asked(dial->resolver)) {
                answer_is_overdue(dial);
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
        address_book_done(&dial->remembered);
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

void dial_recover(struct dial *dial, const struct sockaddr *peer, socklen_t size)
{
        forget_addresses(dial);
        address_list_add(&dial->addresses, peer, size);
}

void dial_remember(struct dial *dial, const struct config *config, const char *address)
{
        struct address_list copy = {0};

        for (size_t i = 0; i < config->n_addresses && dial->addresses.n; i++) {
                const struct config_address *entry = &config->addresses[i];

                if (strcmp(entry->text, address) != 0)
                        continue;
                if (address_list_add_all(&copy, &dial->addresses) == 0)
                        address_book_put(&dial->remembered, entry->host, entry->port, &copy,
                                         clock_usec());
                address_list_done(&copy);
                return;
        }
}
