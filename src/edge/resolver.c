/* SPDX-License-Identifier: MIT */
#include "edge/resolver.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/host_error.h"

enum { UNDER_WAY_MAX = 8 };

struct resolver {
        struct event_base *base; /* borrowed */
        resolver_answer *answer;
        void *context;
        int pipe[2];
        struct event *readable;
        unsigned under_way; /* threads that have not answered yet */
        uint64_t asked;     /* the number of the question to be answered; 0: none */
        uint64_t last;      /* the number of the last question */
};

/* Owned by its thread until the thread sends the pointer through the pipe. */
struct question {
        int to; /* the thread's own copy of the pipe's end: a freed resolver does no harm */
        uint64_t number;
        const char *wrong; /* a constant, or NULL */
        struct addrinfo *addresses;
        char *host, *port;
};

static void question_free(struct question *question)
{
        if (question->to >= 0)
                close(question->to);
        if (question->addresses)
                freeaddrinfo(question->addresses);
        free(question->host);
        free(question->port);
        free(question);
}

/* Returns why getaddrinfo() failed, in words, a constant. Without a descriptor for its files and
 * sockets, getaddrinfo() blames the name or the name server. */
static const char *wrong_of(int error, int system_error, int fd)
{
        int spare = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        const char *words = gai_strerror(error);

        if (spare < 0)
                return host_error_words(HOST_CALL_ANY, errno);
        close(spare);
        if (error == EAI_SYSTEM)
                return host_error_words(HOST_CALL_ANY, system_error);
        return words ? words : "the system's resolver failed";
}

static void *look_up(void *arg)
{
        struct question *question = arg;
        /* No AI_ADDRCONFIG: the flag would hide ::1 on a host with no other IPv6 address. The
         * system sorts unreachable addresses last. */
        struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
        int to = question->to, error;

        error = getaddrinfo(question->host, question->port, &hints, &question->addresses);
        if (error)
                question->wrong = wrong_of(error, errno, to);
        question->to = -1;
        if (write(to, &question, sizeof(struct question *)) != sizeof(struct question *))
                question_free(question);
        close(to);
        return NULL;
}

static void answer_comes(evutil_socket_t fd, short what, void *arg)
{
        struct resolver *resolver = arg;
        struct question *question;
        struct addrinfo *addresses;
        const char *wrong;

        (void)what;
        if (read(fd, &question, sizeof(struct question *)) != sizeof(struct question *))
                return;
        resolver->under_way--;
        if (question->number != resolver->asked) {
                question_free(question);
                return;
        }
        resolver->asked = 0;
        wrong = question->wrong;
        addresses = question->addresses;
        question->addresses = NULL;
        question_free(question);
        resolver->answer(resolver->context, wrong, addresses);
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

int resolver_ask(struct resolver *resolver, const char *host, const char *port)
{
        struct question *question;
        int result = -ENOMEM;

        if (resolver->under_way >= UNDER_WAY_MAX)
                return -EBUSY;
        question = calloc(1, sizeof(*question));
        if (!question)
                return -ENOMEM;
        *question = (struct question){.to = fcntl(resolver->pipe[1], F_DUPFD_CLOEXEC, 3),
                                      .number = ++resolver->last,
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
        resolver->under_way++;
        resolver->asked = resolver->last;
        return 0;
}

bool resolver_is_asked(const struct resolver *resolver)
{
        return resolver->asked != 0;
}

void resolver_abandon(struct resolver *resolver)
{
        resolver->asked = 0;
}

void resolver_free(struct resolver *resolver)
{
        if (!resolver)
                return;
        if (resolver->readable)
                event_free(resolver->readable);
        close(resolver->pipe[0]);
        close(resolver->pipe[1]);
        free(resolver);
}
