/* SPDX-License-Identifier: MIT */
/* Which addresses stay on this host, and who the other end is. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/socket.h"
#include "util/user.h"

static bool v4(const char *text)
{
        struct sockaddr_in address = {.sin_family = AF_INET};

        assert_int_equal(inet_pton(AF_INET, text, &address.sin_addr), 1);
        return socket_is_loopback((struct sockaddr *)&address);
}

static bool v6(const char *text)
{
        struct sockaddr_in6 address = {.sin6_family = AF_INET6};

        assert_int_equal(inet_pton(AF_INET6, text, &address.sin6_addr), 1);
        return socket_is_loopback((struct sockaddr *)&address);
}

static void loopback_is_told_from_all_else(void **state)
{
        struct sockaddr_in6 other = {.sin6_family = AF_UNIX, .sin6_addr = IN6ADDR_LOOPBACK_INIT};

        (void)state;
        assert_true(v4("127.0.0.1") && v4("127.255.0.9"));
        assert_false(v4("126.0.0.1") || v4("128.0.0.1") || v4("0.0.0.0") || v4("192.0.2.127"));
        assert_true(v6("::1") && v6("::ffff:127.0.0.1"));
        assert_false(v6("::") || v6("::2") || v6("::ffff:192.0.2.1") || v6("2001:db8::7f00:1") ||
                     v6("::127.0.0.1"));
        assert_false(socket_is_loopback((struct sockaddr *)&other));
}

/* The number of root is 0, as is every byte of memory that was set to nothing. */
static void whom_the_kernel_does_not_tell_is_nobody_and_not_root(void **state)
{
        int fds[] = {-1, open("/dev/null", O_RDONLY | O_CLOEXEC),
                     socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};

        (void)state;
        for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
                struct socket_peer peer;
                char name[USER_NAME_MAX];

                memset(&peer, 0, sizeof(peer));
                socket_peer_get(fds[i], &peer);
                assert_int_equal(peer.pid, 0);
                assert_int_equal(peer.uid, SOCKET_NO_UID);
                assert_int_equal(peer.gid, SOCKET_NO_GID);
                assert_int_equal(peer.n_groups, 0);
                assert_string_equal(peer.program, "");
                user_name(peer.uid, name);
                assert_string_equal(name, "unknown");
                socket_peer_done(&peer);
                assert_int_equal(peer.uid, SOCKET_NO_UID);
                if (i)
                        close(fds[i]);
        }
}

static void a_peer_that_is_told_has_its_own_group_too(void **state)
{
        struct socket_peer peer;
        bool found = false;
        int pair[2];

        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        socket_peer_get(pair[0], &peer);
        assert_int_equal(peer.pid, getpid());
        assert_int_equal(peer.uid, geteuid());
        assert_int_equal(peer.gid, getegid());
        for (size_t i = 0; i < peer.n_groups; i++)
                found = found || peer.groups[i] == getegid();
        assert_true(found);
        socket_peer_done(&peer);
        close(pair[0]);
        close(pair[1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(loopback_is_told_from_all_else),
                cmocka_unit_test(whom_the_kernel_does_not_tell_is_nobody_and_not_root),
                cmocka_unit_test(a_peer_that_is_told_has_its_own_group_too),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
