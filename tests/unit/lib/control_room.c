/* SPDX-License-Identifier: MIT */
#include "control_room.h"
#include "daemon/control/control_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config.h"
#include "util/diag.h"

static char path_configured[] = "/run/ftcpd.sock", conf_file[] = "/etc/ftcpd.conf", seven[] = "7";

struct fake fake;

struct server server;

static void fake_status(void *context, struct status *out)
{
        assert_ptr_equal(context, &fake);
        out->version = PACKAGE_VERSION;
        out->upstream.state = LINK_UP;
        out->upstream.address = "host:1";
        out->clients = fake.n_clients;
        out->latency = fake.store.image->latency;
        out->to_upstream.queued = (struct count){fake.accepted - fake.delivered,
                                                 10 * (fake.accepted - fake.delivered)};
}

static size_t fake_clients(void *context, uint64_t after, struct status_client *out, size_t max)
{
        size_t n = 0;

        assert_ptr_equal(context, &fake);
        for (size_t i = after; n < max && i < fake.n_clients; i++, n++) {
                out[n] = (struct status_client){.id = i + 1, .local = true, .pid = 4711};
                snprintf(out[n].program, sizeof(out[n].program), "program-%zu", i);
        }
        return n;
}

static const struct config *fake_config(void *context)
{
        assert_ptr_equal(context, &fake);
        return &fake.config;
}

static const struct events *fake_events(void *context)
{
        assert_ptr_equal(context, &fake);
        return &fake.events;
}

static void fake_event(void *context)
{
        (void)context;
        if (server.control)
                control_news(server.control);
}

static const char *fake_data_socket(void *context)
{
        assert_ptr_equal(context, &fake);
        return fake.data_socket;
}

static int fake_reload(void *context, struct config_report *report)
{
        assert_ptr_equal(context, &fake);
        fake.reloads++;
        usleep(fake.reload_usec);
        if (!fake.reload_error)
                return 0;
        if (*fake.reload_error) {
                report->errors = calloc(1, sizeof(char *));
                report->errors[0] = strdup(fake.reload_error);
                report->n_errors = 1;
                report->sockets = calloc(1, sizeof(char *));
                report->sockets[0] = strdup("[Local] Socket: /run/\xff is bound anew");
                report->n_sockets = 1;
        }
        return -EINVAL;
}

static void fake_hold(void *context, const char *by, const char *reason, uint64_t for_usec)
{
        assert_ptr_equal(context, &fake);
        snprintf(fake.steered, sizeof(fake.steered), "hold by %s, %s, %" PRId64, by,
                 reason ? reason : "-", (int64_t)for_usec);
}

static void fake_release(void *context, const char *by)
{
        assert_ptr_equal(context, &fake);
        snprintf(fake.steered, sizeof(fake.steered), "release by %s", by);
}

static void fake_reconnect(void *context, const char *by)
{
        assert_ptr_equal(context, &fake);
        snprintf(fake.steered, sizeof(fake.steered), "reconnect by %s", by);
}

static int fake_drop_client(void *context, uint64_t id, const char *by)
{
        assert_ptr_equal(context, &fake);
        snprintf(fake.steered, sizeof(fake.steered), "drop %" PRIu64 " by %s", id, by);
        return id <= fake.n_clients ? 0 : -ENOENT;
}

static int fake_set_log_level(void *context, const char *level, const char *by)
{
        assert_ptr_equal(context, &fake);
        snprintf(fake.steered, sizeof(fake.steered), "log level %s by %s", level, by);
        return strcmp(level, "debug") == 0 ? 0 : -EINVAL;
}

static uint64_t fake_accepted(void *context)
{
        assert_ptr_equal(context, &fake);
        return fake.accepted;
}

static bool fake_flushed(void *context, uint64_t position)
{
        assert_ptr_equal(context, &fake);
        fake.flushed_asked++;
        return fake.delivered >= position;
}

static int fake_tap(void *context, struct tap *tap)
{
        assert_ptr_equal(context, &fake);
        if (tap->client_id && tap->client_id == fake.gone_client)
                return -ENOENT;
        taps_add(&fake.taps, tap);
        return 0;
}

static void fake_untap(void *context, struct tap *tap)
{
        assert_ptr_equal(context, &fake);
        taps_remove(tap);
}

static const struct control_ops ops = {
        .status = fake_status,
        .clients = fake_clients,
        .config = fake_config,
        .events = fake_events,
        .data_socket = fake_data_socket,
        .reload = fake_reload,
        .hold = fake_hold,
        .release = fake_release,
        .reconnect = fake_reconnect,
        .drop_client = fake_drop_client,
        .set_log_level = fake_set_log_level,
        .accepted = fake_accepted,
        .flushed = fake_flushed,
        .tap = fake_tap,
        .untap = fake_untap,
};

int start(void **state)
{
        (void)state;
        diag_open(LOG_EMERG);
        memset(&fake, 0, sizeof(fake));
        memset(&server, 0, sizeof(server));
        fake.settings[0] =
                (struct config_setting){"Local", "Socket", path_configured, conf_file, 3};
        fake.settings[1] = (struct config_setting){"Local", "MaxClients", seven, NULL, 0};
        fake.config.settings = fake.settings;
        fake.config.n_settings = 2;
        fake.config.control_max_clients = 2000;
        assert_int_equal(store_init(&fake.store), 0);
        taps_init(&fake.taps);
        events_init(&fake.events, &fake.store, fake_event, NULL);
        server.base = event_base_new();
        server.control = control_new(server.base, &control_ftcpd, &ops, &fake);
        server.listener = socket(AF_UNIX, SOCK_STREAM, 0);
        server.address.sun_family = AF_UNIX;
        /* An address of the family alone asks the kernel for a free abstract name. */
        assert_return_code(
                bind(server.listener, (struct sockaddr *)&server.address, sizeof(sa_family_t)),
                errno);
        server.address_size = sizeof(server.address);
        getsockname(server.listener, (struct sockaddr *)&server.address, &server.address_size);
        assert_return_code(listen(server.listener, 4096), errno);
        assert_int_equal(control_listen(server.control, server.listener), 0);
        return 0;
}

int stop(void **state)
{
        (void)state;
        control_free(server.control);
        store_done(&fake.store);
        event_base_free(server.base);
        for (size_t i = 0; i < server.n_fds; i++)
                close(server.fds[i]);
        return 0;
}

/* There is no link here that could suffer, so what is spent on requests is forgiven at once. */
static void forgive(struct control *control)
{
        control->queue.first.budget = control->queue.others.budget = CONTROL_BUDGET;
        control->door = CONTROL_BUDGET;
        if (evtimer_pending(control->queue.timer, NULL))
                event_active(control->queue.timer, EV_TIMEOUT, 0);
}

void turn(void)
{
        if (!server.strict && server.control)
                forgive(server.control);
        event_base_loop(server.base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
}

time_t now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec;
}

void turn_until(time_t deadline)
{
        turn();
        if (now() > deadline)
                fail_msg("it did not happen in time");
}

int client(void)
{
        time_t deadline = now() + DEADLINE_S;
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

        assert_in_range(server.n_fds, 0, 599);
        while (connect(fd, (struct sockaddr *)&server.address, server.address_size) < 0) {
                assert_int_equal(errno, EAGAIN); /* the server's queue is full */
                turn_until(deadline);
        }
        return server.fds[server.n_fds++] = fd;
}

void put(int fd, const void *data, size_t size)
{
        time_t deadline = now() + DEADLINE_S;

        for (const char *p = data; size > 0;) {
                ssize_t n = send(fd, p, size, MSG_NOSIGNAL);

                if (n < 0 && errno != EAGAIN)
                        fail_msg("send: %s", strerror(errno));
                p += n > 0 ? n : 0;
                size -= n > 0 ? (size_t)n : 0;
                turn_until(deadline);
        }
}

/* A text and its NUL. */
void call(int fd, const char *text)
{
        put(fd, text, strlen(text) + 1);
}

/* One byte, or -1 at the end. */
int get_byte(int fd)
{
        time_t deadline = now() + DEADLINE_S;
        unsigned char byte;
        ssize_t n;

        while ((n = recv(fd, &byte, 1, 0)) < 0 && errno == EAGAIN)
                turn_until(deadline);
        return n == 1 ? byte : -1;
}

/* Takes what is there up to a NUL; 0 when nothing is. */
static size_t get_part(int fd, char *to, size_t room)
{
        ssize_t n = recv(fd, to, room, MSG_PEEK);
        char *end = n > 0 ? memchr(to, 0, (size_t)n) : NULL;

        if (n < 0 && errno == EAGAIN)
                return 0;
        assert_true(n > 0);
        return (size_t)recv(fd, to, end ? (size_t)(end - to) + 1 : (size_t)n, 0);
}

json_t *get(int fd)
{
        static char text[8 * 1024 * 1024];
        time_t deadline = now() + DEADLINE_S;
        json_t *json;
        size_t n = 0;

        while (n == 0 || text[n - 1] != 0) {
                size_t got = get_part(fd, text + n, sizeof(text) - n);

                n += got;
                if (got == 0)
                        turn_until(deadline);
        }
        json = json_loadb(text, n - 1, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(json);
        return json;
}

void assert_ended(int fd)
{
        assert_int_equal(get_byte(fd), -1);
}

void assert_result(json_t *reply)
{
        assert_null(json_object_get(reply, "error"));
        assert_true(json_is_object(json_object_get(reply, "parameters")));
        assert_int_equal(json_object_size(reply), 1);
        json_decref(reply);
}

/* key NULL: an error without parameters. */
void assert_error(json_t *reply, const char *error, const char *key, const char *value)
{
        json_t *parameters = json_object_get(reply, "parameters");

        assert_string_equal(json_string_value(json_object_get(reply, "error")), error);
        assert_int_equal(json_object_size(parameters), key ? 1 : 0);
        if (key)
                assert_string_equal(json_string_value(json_object_get(parameters, key)), value);
        json_decref(reply);
}
