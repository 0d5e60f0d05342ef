/* SPDX-License-Identifier: MIT */
#pragma once
/* The control server behind a real Unix socket, with a made-up daemon behind it, all in one thread:
 * whoever waits turns the loop. */
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include <event2/event.h>
#include <jansson.h>

#include "daemon/control/control.h"
#include "flow/events.h"

enum { DEADLINE_S = 60 };

/* What the daemon says, and what it was asked to do. */
struct fake {
        struct config config;
        struct config_setting settings[2];
        const char *data_socket;
        size_t n_clients;
        const char *reload_error; /* "" fails without a reason */
        unsigned reloads;
        useconds_t reload_usec;       /* that it takes, asleep */
        char steered[300];            /* the last thing an operator wanted, as words */
        uint64_t accepted, delivered; /* positions */
        unsigned flushed_asked;       /* how often */
        struct store store;           /* for the events */
        struct events events;
        struct taps taps;
        uint64_t gone_client; /* there is no such one */
};
extern struct fake fake;

struct server {
        struct event_base *base;
        struct control *control;
        struct sockaddr_un address;
        socklen_t address_size;
        bool strict; /* what is spent on requests costs a rest, as it does beside a link */
        int listener;
        int fds[600]; /* of clients, closed at the end */
        size_t n_fds;
};
extern struct server server;

/* Set-up and teardown of a test. */
int start(void **state);
int stop(void **state);

/* One turn of the loop; the second fails behind a deadline in seconds of now(). */
void turn(void);
void turn_until(time_t deadline);
time_t now(void);

/* A new connection, non-blocking. */
int client(void);

/* Sends while the server takes; a text goes with its NUL. */
void put(int fd, const void *data, size_t size);
void call(int fd, const char *text);

/* The next reply, a new reference; one byte, or -1 at the end; and that it ends. */
json_t *get(int fd);
int get_byte(int fd);
void assert_ended(int fd);

/* A reply without an error, and one with it (key NULL: without parameters); they take it. */
void assert_result(json_t *reply);
void assert_error(json_t *reply, const char *error, const char *key, const char *value);

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)
