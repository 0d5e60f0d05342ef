/* SPDX-License-Identifier: MIT */
/* Whose turn it is at the control server, and how much of the loop's time all of them may take. */
#include "daemon/control/control_internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/control_room.h"
#include "util/clock.h"
#include "wire/varlink.h"

#define HEALTH "{\"method\":\"io.ftcpd.Health\"}"

/* A request that takes its time: a MiB of one string. */
static char large[VARLINK_MESSAGE_MAX + 1];

static int begin(void **state)
{
        int n = sprintf(large, "%s", "{\"method\":\"io.ftcpd.Health\",\"parameters\":{\"x\":\"");

        memset(large + n, 'x', (size_t)(VARLINK_MESSAGE_MAX - n));
        strcpy(large + VARLINK_MESSAGE_MAX - 3, "\"}}");
        start(state);
        server.strict = true;
        return 0;
}

static double seconds(clockid_t clock)
{
        struct timespec t;

        clock_gettime(clock, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Sleeps in the loop until there is something to do. */
static void wait_in_loop(void)
{
        event_base_loopexit(server.base, &(struct timeval){.tv_usec = 20000});
        event_base_loop(server.base, EVLOOP_ONCE);
}

static bool is_answered(int fd)
{
        char byte;

        return recv(fd, &byte, 1, MSG_PEEK) == 1;
}

/* Sends what the socket takes of a large request; *sent counts. */
static void push_large(int fd, size_t *sent)
{
        ssize_t n = send(fd, large + *sent, sizeof(large) - *sent, MSG_NOSIGNAL);

        *sent += n > 0 ? (size_t)n : 0;
}

static void those_who_ask_for_much_leave_the_loop_most_of_its_time(void **state)
{
        enum { N = 6 };
        size_t sent[N] = {0}, answered = 0;
        double cpu, wall;
        bool told[N] = {0};
        int fds[N];

        (void)state;
        for (int i = 0; i < N; i++)
                fds[i] = client();
        cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
        wall = seconds(CLOCK_MONOTONIC);
        while (answered < N) {
                for (int i = 0; i < N; i++) {
                        if (sent[i] < sizeof(large))
                                push_large(fds[i], &sent[i]);
                        if (!told[i] && is_answered(fds[i])) {
                                told[i] = true;
                                answered++;
                        }
                }
                wait_in_loop();
                if (seconds(CLOCK_MONOTONIC) - wall > DEADLINE_S)
                        fail_msg("they are not answered");
        }
        cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
        wall = seconds(CLOCK_MONOTONIC) - wall;
        printf("# %zu large requests took %.3f s of %.3f s\n", answered, cpu, wall);
        /* The sending is in it, too; without a rest it would be all of the time. */
        assert_true(cpu < wall / 2);
}

static void who_asks_for_little_goes_before_those_who_ask_for_much(void **state)
{
        enum { N = 6 };
        time_t deadline = now() + DEADLINE_S;
        size_t answered = 0;
        int fds[N], fd;

        (void)state;
        for (int i = 0; i < N; i++) {
                fds[i] = client();
                for (size_t sent = 0; sent < sizeof(large) - 1000;) {
                        size_t n =
                                send(fds[i], large + sent, 1000, MSG_NOSIGNAL) == 1000 ? 1000 : 0;

                        sent += n;
                        turn_until(deadline);
                }
        }
        /* Their last bytes make them all due at once. */
        for (int i = 0; i < N; i++) {
                size_t rest = sizeof(large) % 1000;

                while (send(fds[i], large + sizeof(large) - rest, rest, MSG_NOSIGNAL) !=
                       (ssize_t)rest)
                        turn_until(deadline); /* its socket is still full */
        }
        fd = client();
        assert_int_equal(send(fd, HEALTH, sizeof(HEALTH), MSG_NOSIGNAL), sizeof(HEALTH));
        while (!is_answered(fd)) {
                wait_in_loop();
                turn_until(deadline);
        }
        for (int i = 0; i < N; i++)
                answered += is_answered(fds[i]);
        printf("# %zu of %d large requests were answered before\n", answered, N);
        assert_in_range(answered, 0, N - 2);
}

/* More requests than can be served between two rests, and no end of them. */
static void keep_busy(const int *fds, size_t n)
{
        static const char eight[] = HEALTH "\0" HEALTH "\0" HEALTH "\0" HEALTH "\0" HEALTH
                                           "\0" HEALTH "\0" HEALTH "\0" HEALTH;
        char waste[65536];

        for (size_t i = 0; i < n; i++) {
                while (recv(fds[i], waste, sizeof(waste), 0) > 0)
                        ;
                send(fds[i], eight, sizeof(eight), MSG_NOSIGNAL);
        }
}

static void those_who_ask_for_much_are_not_forgotten_beside_those_who_never_stop(void **state)
{
        enum { N = 200 };
        time_t deadline = now() + DEADLINE_S;
        size_t sent = 0;
        int busy[N], fd = client();

        (void)state;
        for (int i = 0; i < N; i++)
                busy[i] = client();
        while (!is_answered(fd)) {
                if (sent < sizeof(large))
                        push_large(fd, &sent);
                keep_busy(busy, N);
                turn_until(deadline);
        }
}

static void a_crowd_at_the_door_waits_outside_and_comes_in(void **state)
{
        enum { N = 300 };
        time_t deadline = now() + DEADLINE_S;
        int fds[N];

        (void)state;
        budget_spend(&server.control->door, 20000, clock_usec());
        for (int i = 0; i < N; i++) {
                fds[i] = client();
                assert_int_equal(send(fds[i], HEALTH, sizeof(HEALTH), MSG_NOSIGNAL),
                                 sizeof(HEALTH));
        }
        for (int i = 0; i < N; i++)
                while (!is_answered(fds[i])) {
                        wait_in_loop();
                        turn_until(deadline);
                }
}

enum { STRANGER = 65534, ANOTHER = 65533 };

/* A connection of another user, with this request. */
static int client_of(uid_t uid, const char *request, size_t size)
{
        int fd;

        assert_return_code(seteuid(uid), errno);
        fd = client();
        assert_return_code(seteuid(0), errno);
        assert_int_equal(send(fd, request, size, MSG_NOSIGNAL), size);
        return fd;
}

static size_t count_answered(const int *fds, size_t n)
{
        size_t answered = 0;

        for (size_t i = 0; i < n; i++)
                answered += is_answered(fds[i]);
        return answered;
}

/* The time that was spent on others is far beyond their part. */
static void use_up(void)
{
        budget_spend(&server.control->queue.others.budget, 3600 * USEC_PER_SEC, clock_usec());
}

static void who_may_steer_is_answered_before_any_of_those_who_wait(void **state)
{
        enum { N = 50 };
        time_t deadline = now() + DEADLINE_S;
        int fds[N], fd;

        (void)state;
        if (geteuid() != 0)
                skip(); /* other users are needed */
        use_up();
        for (int i = 0; i < N; i++)
                fds[i] = client_of(i % 2 ? STRANGER : ANOTHER, HEALTH, sizeof(HEALTH));
        while (server.control->n_clients < N)
                turn_until(deadline);
        fd = client_of(0, HEALTH, sizeof(HEALTH));
        while (!is_answered(fd))
                turn_until(deadline);
        assert_int_equal(count_answered(fds, N), 0);
        server.control->queue.others.budget.debt = 0;
        event_active(server.control->queue.timer, EV_TIMEOUT, 0);
        while (count_answered(fds, N) < N)
                turn_until(deadline);
}

static void those_of_admin_are_among_them(void **state)
{
        uid_t uid = STRANGER;
        time_t deadline = now() + DEADLINE_S;
        int fd, other;

        (void)state;
        if (geteuid() != 0)
                skip(); /* other users are needed */
        fake.config.admin.uids = &uid;
        fake.config.admin.n_uids = 1;
        use_up();
        other = client_of(ANOTHER, HEALTH, sizeof(HEALTH));
        fd = client_of(STRANGER, HEALTH, sizeof(HEALTH));
        while (!is_answered(fd))
                turn_until(deadline);
        assert_false(is_answered(other));
}

static void one_with_many_connections_is_one_user_in_the_line(void **state)
{
        enum { N = 60 };
        time_t deadline = now() + DEADLINE_S;
        int fds[N], fd;

        (void)state;
        if (geteuid() != 0)
                skip(); /* other users are needed */
        use_up();
        for (int i = 0; i < N; i++)
                fds[i] = client_of(STRANGER, large, 100000);
        while (server.control->n_clients < N)
                turn_until(deadline);
        fd = client_of(ANOTHER, HEALTH, sizeof(HEALTH));
        while (server.control->queue.others.shares.waiting.tqh_first == NULL ||
               server.control->n_clients <= N)
                turn_until(deadline);
        for (int i = 0; i < 5; i++)
                turn_until(deadline);
        /* Just enough for one slot at a time. */
        for (int slots = 0; slots < 3 && !is_answered(fd); slots++) {
                server.control->queue.others.budget.debt = 5000 * CONTROL_BUDGET.share - 1;
                event_active(server.control->queue.timer, EV_TIMEOUT, 0);
                turn_until(deadline);
        }
        assert_true(is_answered(fd));
        assert_int_equal(count_answered(fds, N), 0);
}

static void who_may_steer_waits_for_time_of_its_own_and_others_get_a_slot_between(void **state)
{
        enum { N = 8 };
        time_t deadline = now() + DEADLINE_S;
        int fds[N], fd;

        (void)state;
        if (geteuid() != 0)
                skip(); /* other users are needed */
        budget_spend(&server.control->queue.first.budget, 3600 * USEC_PER_SEC, clock_usec());
        use_up();
        for (int i = 0; i < N; i++)
                fds[i] = client_of(0, HEALTH, sizeof(HEALTH));
        fd = client_of(STRANGER, HEALTH, sizeof(HEALTH));
        while (server.control->n_clients <= N ||
               !server.control->queue.others.shares.waiting.tqh_first)
                turn_until(deadline);
        assert_int_equal(count_answered(fds, N), 0);
        server.control->queue.first.budget.debt = server.control->queue.others.budget.debt = 0;
        event_active(server.control->queue.timer, EV_TIMEOUT, 0);
        turn_until(deadline);
        assert_true(is_answered(fd));
        while (count_answered(fds, N) < N)
                turn_until(deadline);
}

#define MONITOR "{\"method\":\"io.ftcpd.Monitor\",\"more\":true}"

static void events_of_those_who_may_not_steer_take_slots(void **state)
{
        time_t deadline = now() + DEADLINE_S;
        int fd, other;

        (void)state;
        if (geteuid() != 0)
                skip(); /* other users are needed */
        fd = client_of(0, MONITOR, sizeof(MONITOR));
        other = client_of(STRANGER, MONITOR, sizeof(MONITOR));
        for (int i = 0; i < 10; i++)
                turn_until(deadline);
        use_up();
        events_add(&fake.events, &(struct image_facts){.kind = EVENT_RELOAD}, "a reload");
        while (!is_answered(fd))
                turn_until(deadline);
        turn_until(deadline);
        assert_false(is_answered(other));
        server.control->queue.others.budget.debt = 0;
        event_active(server.control->queue.timer, EV_TIMEOUT, 0);
        while (!is_answered(other))
                turn_until(deadline);
}

/* A third of the places each, and none has more than half. */
static void a_user_without_a_place_gets_one_of_the_user_with_most(void **state)
{
        enum { N = 3 };
        const uid_t uids[] = {STRANGER, ANOTHER, 65532};
        time_t deadline = now() + DEADLINE_S;
        int fds[N][N], fd;
        size_t closed = 0;
        char byte;

        (void)state;
        if (geteuid() != 0)
                skip(); /* other users are needed */
        fake.config.control_max_clients = (uint64_t)N * N;
        for (int i = 0; i < N; i++)
                for (int j = 0; j < N; j++)
                        fds[i][j] = client_of(uids[i], "", 0);
        while (server.control->n_clients < (size_t)N * N)
                turn_until(deadline);
        fd = client_of(65531, HEALTH, sizeof(HEALTH));
        while (!is_answered(fd))
                turn_until(deadline);
        assert_ended(client_of(uids[0], "", 0));
        for (int i = 0; i < N; i++)
                for (int j = 0; j < N; j++)
                        closed += recv(fds[i][j], &byte, 1, 0) == 0;
        assert_int_equal(closed, 1);
}

/* A stop signal that hits within a turn, a processor that somebody else has. */
static void a_turn_in_which_nothing_is_done_costs_nothing(void **state)
{
        int fd = client();

        (void)state;
        fake.reload_usec = 300000;
        call(fd, "{\"method\":\"io.ftcpd.Reload\"}");
        while (!is_answered(fd))
                turn();
        fake.reload_usec = 0;
        assert_int_equal(fake.reloads, 1);
        assert_true(server.control->queue.first.budget.debt < 100000 * CONTROL_BUDGET.share);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#undef TEST
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, stop)
                TEST(those_who_ask_for_much_leave_the_loop_most_of_its_time),
                TEST(who_asks_for_little_goes_before_those_who_ask_for_much),
                TEST(those_who_ask_for_much_are_not_forgotten_beside_those_who_never_stop),
                TEST(a_crowd_at_the_door_waits_outside_and_comes_in),
                TEST(who_may_steer_is_answered_before_any_of_those_who_wait),
                TEST(those_of_admin_are_among_them),
                TEST(one_with_many_connections_is_one_user_in_the_line),
                TEST(who_may_steer_waits_for_time_of_its_own_and_others_get_a_slot_between),
                TEST(events_of_those_who_may_not_steer_take_slots),
                TEST(a_user_without_a_place_gets_one_of_the_user_with_most),
                TEST(a_turn_in_which_nothing_is_done_costs_nothing),
        };

        return cmocka_run_group_tests_name("control_queue", tests, NULL, NULL);
}
