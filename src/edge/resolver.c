/* SPDX-License-Identifier: MIT */
#include "edge/resolver.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/host_error.h"

/* Questions that are not answered yet; SAME_MAX of them may be for one host and port. */
enum { UNDER_WAY_MAX = 8, SAME_MAX = 4 };

/* Owned by its thread until the thread sends the pointer through the pipe; but host and port never
 * change, and the event loop reads both. */
struct question {
        int to; /* the thread's own copy of the pipe's end: a freed resolver does no harm */
        const char *wrong; /* a constant, or NULL */
        struct address_list addresses;
        char *host, *port;
};

struct resolver {
        struct event_base *base; /* borrowed */
        resolver_answer *answer;
        void *context;
        int pipe[2];
        struct event *readable;
        struct question *under_way[UNDER_WAY_MAX]; /* not answered yet; the newest is the last */
        unsigned n_under_way;
        const struct question *asked; /* one of them; NULL: none */
        struct address_book late;     /* answers to abandoned questions */
};

static void question_free(struct question *question)
{
        if (question->to >= 0)
                close(question->to);
        address_list_done(&question->addresses);
        free(question->host);
        free(question->port);
        free(question);
}

static bool is_same(const struct question *question, const char *host, const char *port)
{
        return strcmp(question->host, host) == 0 && strcmp(question->port, port) == 0;
}

/* Returns why an address with a network interface behind it is none, in words, a constant; NULL:
 * the host is a name. The interface may come later. */
static const char *wrong_interface(const char *host)
{
        const char *percent = strchr(host, '%');

        if (!percent || address_family(host) != AF_INET6)
                return NULL;
        if (if_nametoindex(percent + 1))
                return "only a link-local address has an interface behind %";
        return errno == ENODEV ? "this host has no network interface of the name behind %" : NULL;
}

/* Returns why getaddrinfo() failed, in words, a constant. Without a descriptor for its files and
 * sockets, getaddrinfo() blames the name or the name server. */
static const char *wrong_of(const struct question *question, int error, int system_error)
{
        int spare = fcntl(question->to, F_DUPFD_CLOEXEC, 3);
        const char *words =
                error == EAI_SERVICE ? "the port is no name of services(5)" : gai_strerror(error);

        if (spare < 0)
                return host_error_words(HOST_CALL_ANY, errno);
        close(spare);
        if (error == EAI_SYSTEM)
                return host_error_words(HOST_CALL_ANY, system_error);
        if (error == EAI_NONAME && wrong_interface(question->host))
                return wrong_interface(question->host);
        return words ? words : "the system's resolver failed";
}

static void *look_up(void *arg)
{
        struct question *question = arg;
        /* No AI_ADDRCONFIG: the flag would hide ::1 on a host with no other IPv6 address. The
         * system sorts unreachable addresses last. */
        const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
        struct addrinfo *found = NULL;
        int to = question->to, error;

        error = getaddrinfo(question->host, question->port, &hints, &found);
        if (error)
                question->wrong = wrong_of(question, error, errno);
        else if (address_list_add_found(&question->addresses, found) < 0)
                question->wrong = host_error_words(HOST_CALL_ANY, ENOMEM);
        if (found)
                freeaddrinfo(found);
        question->to = -1;
        if (write(to, &question, sizeof(struct question *)) != sizeof(struct question *))
                question_free(question);
        close(to);
        return NULL;
}

static void remove_under_way(struct resolver *resolver, const struct question *question)
{
        unsigned i = 0;

        while (resolver->under_way[i] != question)
                i++;
        resolver->n_under_way--;
        for (; i < resolver->n_under_way; i++)
                resolver->under_way[i] = resolver->under_way[i + 1];
}

static void answer_comes(evutil_socket_t fd, short what, void *arg)
{
        struct resolver *resolver = arg;
        const struct question *asked = resolver->asked;
        struct question *question;

        (void)what;
        if (read(fd, &question, sizeof(struct question *)) != sizeof(struct question *))
                return;
        remove_under_way(resolver, question);
        if (asked == question ||
            (asked && !question->wrong && is_same(asked, question->host, question->port))) {
                resolver->asked = NULL;
                resolver->answer(resolver->context, question->wrong, &question->addresses);
        } else if (!question->wrong) {
                address_book_put(&resolver->late, question->host, question->port,
                                 &question->addresses, clock_usec());
        }
        question_free(question);
}

struct resolver *resolver_new(struct event_base *base, resolver_answer *answer, void *context)
{
        struct resolver *resolver = calloc(1, sizeof(*resolver));

        if (!resolver)
                return NULL;
        *resolver = (struct resolver){.base = base, .answer = answer, .context = context};
        if (pipe2(resolver->pipe, O_CLOEXEC) < 0) {
                free(resolver);
                return NULL;
        }
        fcntl(resolver->pipe[0], F_SETFL, O_NONBLOCK);
        resolver->readable =
                event_new(base, resolver->pipe[0], EV_READ | EV_PERSIST, answer_comes, resolver);
        if (!resolver->readable || event_add(resolver->readable, NULL) < 0) {
                resolver_free(resolver);
                return NULL;
        }
        return resolver;
}

int resolver_thread(void *(*run)(void *arg), void *arg)
{
        sigset_t all, old;
        pthread_attr_t attr;
        pthread_t thread;
        int error;

        sigfillset(&all);
        pthread_attr_init(&attr);
        pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        pthread_attr_setstacksize(&attr, 256 * 1024);
        pthread_sigmask(SIG_SETMASK, &all, &old); /* the event loop handles signals */
        error = pthread_create(&thread, &attr, run, arg);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        pthread_attr_destroy(&attr);
        return -error;
}

/* Starts a thread with a question. Returns 0 or a negative errno. */
static int start(struct resolver *resolver, const char *host, const char *port)
{
        struct question *question;
        int result = -ENOMEM;

        if (resolver->n_under_way == UNDER_WAY_MAX)
                return -EBUSY;
        question = calloc(1, sizeof(*question));
        if (!question)
                return -ENOMEM;
        *question = (struct question){.to = fcntl(resolver->pipe[1], F_DUPFD_CLOEXEC, 3),
                                      .host = strdup(host),
                                      .port = strdup(port)};
        if (question->to < 0)
                result = -errno;
        else if (question->host && question->port)
                result = resolver_thread(look_up, question);
        if (result < 0) {
                question_free(question);
                return result;
        }
        resolver->under_way[resolver->n_under_way++] = question;
        return 0;
}

int resolver_ask(struct resolver *resolver, const char *host, const char *port)
{
        const struct question *newest = NULL;
        unsigned same = 0;
        int result;

        for (unsigned i = 0; i < resolver->n_under_way; i++) {
                if (!is_same(resolver->under_way[i], host, port))
                        continue;
                newest = resolver->under_way[i];
                same++;
        }
        result = same < SAME_MAX ? start(resolver, host, port) : -EBUSY;
        if (result == 0)
                newest = resolver->under_way[resolver->n_under_way - 1];
        resolver->asked = newest;
        return newest ? 0 : result;
}

bool resolver_is_asked(const struct resolver *resolver)
{
        return resolver->asked != NULL;
}

void resolver_abandon(struct resolver *resolver)
{
        resolver->asked = NULL;
}

bool resolver_take_late(struct resolver *resolver, const char *host, const char *port,
                        uint64_t since, struct address_list *addresses)
{
        const struct address_list *late = address_book_find(&resolver->late, host, port, since);
        bool taken = late && address_list_add_all(addresses, late) == 0;

        if (late)
                address_book_remove(&resolver->late, host, port);
        return taken;
}

void resolver_free(struct resolver *resolver)
{
        if (!resolver)
                return;
        if (resolver->readable)
                event_free(resolver->readable);
        close(resolver->pipe[0]);
        close(resolver->pipe[1]);
        address_book_done(&resolver->late);
        free(resolver);
}
