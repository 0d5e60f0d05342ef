/* SPDX-License-Identifier: MIT */
/* What was lent stays as it was, whatever becomes of the slab that it stood in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "flow/recover.h"
#include "store/store.h"

enum { LENT = 20000 };

static struct store store;
static int end[2];

static int set_up(void **state)
{
        (void)state;
        assert_int_equal(store_init(&store), 0);
        return socketpair(AF_UNIX, SOCK_STREAM, 0, end);
}

static int tear_down(void **state)
{
        (void)state;
        close(end[0]);
        close(end[1]);
        store_done(&store);
        return 0;
}

static uint32_t filled_slab(int byte)
{
        uint32_t slab = slab_new(&store, IMAGE_SLAB_SIZE);

        assert_true(slab != SLAB_NONE);
        memset(slab_data(&store, slab), byte, IMAGE_SLAB_SIZE);
        return slab;
}

/* The slab becomes another's, which writes to it. */
static void use_again(uint32_t slab)
{
        while (store_tidy(&store))
                ;
        while (filled_slab('b') != slab)
                ;
}

/* Not at the beginning of a page. */
static void lend(uint32_t slab)
{
        off_t at = slab_lend(&store, slab_data(&store, slab) + 1000);

        assert_int_equal(sendfile(end[0], store.fd, &at, LENT), LENT);
}

static void assert_got(int byte)
{
        unsigned char bytes[LENT], expected[LENT];

        memset(expected, byte, LENT);
        assert_int_equal(recv(end[1], bytes, LENT, MSG_WAITALL), LENT);
        assert_memory_equal(bytes, expected, LENT);
}

static void crash(void)
{
        int fd = dup(store.fd);

        store_done(&store);
        assert_int_equal(store_open(&store, fd), 0);
        assert_null(recover_image(&store, &frame_spec_default));
}

static void a_slab_that_is_used_again(void **state)
{
        uint32_t slab = filled_slab('a');

        (void)state;
        lend(slab);
        assert_true(slab_is_lent(&store, slab_data(&store, slab)));
        slab_free(&store, slab);
        assert_int_not_equal(filled_slab('b'), slab); /* its pages are still lent */
        assert_false(store_tidy(&store));
        assert_int_equal(store.free_bytes, 0);
        assert_int_equal(filled_slab('b'), slab);
        assert_false(slab_is_lent(&store, slab_data(&store, slab)));
        assert_got('a');
}

/* Of one that was not lent the memory is kept, which costs nothing. */
static void a_slab_that_was_not_lent_keeps_its_memory(void **state)
{
        (void)state;
        slab_free(&store, filled_slab('a'));
        assert_int_equal(store.free_bytes, IMAGE_SLAB_SIZE);
}

/* It is behind all that the successor knows of. */
static void a_slab_that_nobody_has_after_a_crash(void **state)
{
        uint32_t slab = filled_slab('a');

        (void)state;
        lend(slab);
        crash();
        use_again(slab);
        assert_got('a');
}

/* And here before. */
static void a_slab_before_one_that_is_in_use_after_a_crash(void **state)
{
        uint32_t slab = filled_slab('a');

        (void)state;
        lend(slab);
        chain_append(&store, &store.image->in.data, filled_slab('c'), 0);
        crash();
        use_again(slab);
        assert_got('a');
}

/* The predecessor may have lent it, too. */
static void a_slab_that_is_in_use_after_a_crash_and_free_later(void **state)
{
        uint32_t slab = filled_slab('a');

        (void)state;
        chain_append(&store, &store.image->in.data, slab, 0);
        lend(slab);
        crash();
        chain_remove(&store, &store.image->in.data, slab);
        slab_free(&store, slab);
        use_again(slab);
        assert_got('a');
}

/* Of memory that an earlier build left nobody knows whether it is in huge pages. */
static void the_memory_of_an_earlier_build_is_not_lent(void **state)
{
        (void)state;
        store.image->small = 0;
        crash();
        assert_false(store.lends);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_slab_that_is_used_again, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_slab_that_was_not_lent_keeps_its_memory, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(a_slab_that_nobody_has_after_a_crash, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(a_slab_before_one_that_is_in_use_after_a_crash,
                                                set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_slab_that_is_in_use_after_a_crash_and_free_later,
                                                set_up, tear_down),
                cmocka_unit_test_setup_teardown(the_memory_of_an_earlier_build_is_not_lent, set_up,
                                                tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
