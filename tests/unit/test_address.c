/* SPDX-License-Identifier: MIT */
/* IPv4 addresses as people write them, and the book that remembers the addresses of names. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "util/address.h"

static void a_number_with_a_zero_before_it_is_no_plain_address(void **state)
{
        static const struct {
                const char *host;
                enum address_writing writing;
        } hosts[] = {
                {"192.0.2.1", ADDRESS_PLAIN},
                {"0.0.0.0", ADDRESS_PLAIN},
                {"010.0.0.1", ADDRESS_PADDED},
                {"10.0.0.01", ADDRESS_PADDED},
                {"10.00.0.1", ADDRESS_PADDED},
                {"127.000.000.010", ADDRESS_PADDED},
                {"10.0.0.09", ADDRESS_PADDED},
                {"010", ADDRESS_PADDED},
                {"0x7f.010.0.1", ADDRESS_PADDED},
                {"127.1", ADDRESS_SHORT},
                {"10.0.1", ADDRESS_SHORT},
                {"2130706433", ADDRESS_SHORT},
                {"0x7f.0.0.1", ADDRESS_SHORT},
                {"192.0.2.256", ADDRESS_BROKEN},
                {"1.2.3.4.5", ADDRESS_BROKEN},
                {"99999999999", ADDRESS_BROKEN},
                {"010.example.com", ADDRESS_NAME},
                {"1.2.3.x", ADDRESS_NAME},
                {"0", ADDRESS_SHORT},
                {"feed-01", ADDRESS_NAME},
                {"10.0.0.1.", ADDRESS_BROKEN}, /* and not the absolute name of DNS */
                {"10.0.0.1..", ADDRESS_BROKEN},
                {"10..0.1", ADDRESS_BROKEN},
                {"127.1.", ADDRESS_BROKEN},
                {"0x7f.0.0.1.", ADDRESS_BROKEN},
                {"1.", ADDRESS_BROKEN},
                {"010.0.0.1.", ADDRESS_PADDED},
                {"10.0.0.1.01", ADDRESS_PADDED},
                {"10.0.0.1.example.", ADDRESS_NAME},
                {"feed.", ADDRESS_NAME},
                {".1", ADDRESS_NAME},
                {".", ADDRESS_NAME},
                {"", ADDRESS_NAME},
                {"::1", ADDRESS_NAME},
                {"::ffff:010.0.0.1", ADDRESS_NAME},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts); i++) {
                if (address_writing(hosts[i].host) != hosts[i].writing)
                        fail_msg("%s is read as %d", hosts[i].host,
                                 (int)address_writing(hosts[i].host));
        }
}

static void an_address_has_a_family_and_a_name_has_none(void **state)
{
        (void)state;
        assert_int_equal(address_family("192.0.2.1"), AF_INET);
        assert_int_equal(address_family("::1"), AF_INET6);
        assert_int_equal(address_family("fe80::1%lo"), AF_INET6);
        assert_int_equal(address_family("fe80::1%"), AF_UNSPEC);
        assert_int_equal(address_family("192.0.2.1%lo"), AF_UNSPEC);
        assert_int_equal(address_family("127.1"), AF_UNSPEC);
        assert_int_equal(address_family("010.0.0.1"), AF_UNSPEC);
        assert_int_equal(address_family("localhost"), AF_UNSPEC);
        assert_int_equal(address_family(""), AF_UNSPEC);
}

static void only_a_link_local_address_without_its_interface_lacks_it(void **state)
{
        static const struct {
                const char *host;
                bool lacks;
        } hosts[] = {
                {"fe80::1", true}, {"febf::1", true}, {"fe80::1%lo", false},  {"fec0::1", false},
                {"::1", false},    {"::", false},     {"169.254.0.1", false},
        };
        struct address_list list = {0};

        (void)state;
        for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts); i++) {
                assert_int_equal(address_list_add_numeric(&list, hosts[i].host, "1"), 0);
                if (address_lacks_interface(&list.items[i]) != hosts[i].lacks)
                        fail_msg("%s", hosts[i].host);
        }
        address_list_done(&list);
}

static void only_the_addresses_of_one_family_are_kept_in_their_order(void **state)
{
        static const char *const hosts[] = {"::1", "192.0.2.1", "::2", "192.0.2.2"};
        struct address_list addresses = {0};

        (void)state;
        for (size_t i = 0; i < 4; i++)
                assert_int_equal(address_list_add_numeric(&addresses, hosts[i], "4000"), 0);
        assert_int_equal(address_list_add_numeric(&addresses, "localhost", "4000"), -EINVAL);
        assert_int_equal(address_list_add_numeric(&addresses, "192.0.2.1", "http"), -EINVAL);
        address_list_keep_family(&addresses, AF_UNSPEC);
        assert_int_equal(addresses.n, 4);
        address_list_keep_family(&addresses, AF_INET);
        assert_int_equal(addresses.n, 2);
        assert_int_equal(ntohl(addresses.items[0].to.v4.sin_addr.s_addr) & 255, 1);
        assert_int_equal(ntohl(addresses.items[1].to.v4.sin_addr.s_addr) & 255, 2);
        address_list_keep_family(&addresses, AF_INET6);
        assert_int_equal(addresses.n, 0);
        address_list_done(&addresses);
}

static void enter(struct address_book *book, const char *host, const char *port, uint64_t now)
{
        struct address_list addresses = {0};

        assert_int_equal(address_list_add_numeric(&addresses, "192.0.2.1", "4000"), 0);
        address_book_put(book, host, port, &addresses, now);
        assert_int_equal(addresses.n, 0);
}

static void a_book_has_one_entry_for_a_host_and_port(void **state)
{
        struct address_book book = {0};

        (void)state;
        assert_null(address_book_find(&book, "a", "1", 0));
        enter(&book, "a", "1", 5);
        enter(&book, "a", "2", 6);
        enter(&book, "a", "1", 7);
        assert_int_equal(book.n, 2);
        assert_non_null(address_book_find(&book, "a", "1", 7));
        assert_null(address_book_find(&book, "a", "1", 8));
        assert_null(address_book_find(&book, "b", "1", 0));
        address_book_remove(&book, "a", "1");
        address_book_remove(&book, "a", "1");
        assert_null(address_book_find(&book, "a", "1", 0));
        assert_int_equal(address_book_find(&book, "a", "2", 0)->n, 1);
        address_book_done(&book);
}

static void a_full_book_gives_up_its_oldest_entry(void **state)
{
        struct address_book book = {0};
        char name[16];

        (void)state;
        for (unsigned i = 0; i <= ADDRESS_BOOK_MAX; i++) {
                snprintf(name, sizeof(name), "n%u", i);
                enter(&book, name, "1", i == 0 ? 2 : i == 1 ? 1 : i + 2);
        }
        assert_int_equal(book.n, ADDRESS_BOOK_MAX);
        assert_non_null(address_book_find(&book, "n0", "1", 0));
        assert_null(address_book_find(&book, "n1", "1", 0));
        assert_non_null(address_book_find(&book, name, "1", 0));
        address_book_done(&book);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_number_with_a_zero_before_it_is_no_plain_address),
                cmocka_unit_test(an_address_has_a_family_and_a_name_has_none),
                cmocka_unit_test(only_a_link_local_address_without_its_interface_lacks_it),
                cmocka_unit_test(only_the_addresses_of_one_family_are_kept_in_their_order),
                cmocka_unit_test(a_book_has_one_entry_for_a_host_and_port),
                cmocka_unit_test(a_full_book_gives_up_its_oldest_entry),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
