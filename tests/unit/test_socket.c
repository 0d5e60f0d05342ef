/* SPDX-License-Identifier: MIT */
/* Which addresses stay on this host. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "util/socket.h"

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

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(loopback_is_told_from_all_else),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
