/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store.h"

static void however_many_slabs_leave_a_chain_one_transaction_holds_it(void **unused)
{
        struct image_chain *chain;
        struct store store;

        (void)unused;
        assert_int_equal(store_init(&store), 0);
        chain = &store.image->in.data;
        for (uint64_t i = 0; i < 3 * IMAGE_UNDO; i++)
                chain_append(&store, chain, slab_new(&store, 0), i * IMAGE_SLAB_SIZE);
        store_begin(&store);
        for (uint32_t i = 0; i < IMAGE_UNDO; i++) { /* from the front, then from the middle */
                uint32_t head = chain_head(chain);

                chain_remove(&store, chain, head);
                slab_free(&store, head);
        }
        for (uint32_t i = 1; i < IMAGE_UNDO; i++) {
                uint32_t second = slab_next(&store, chain_head(chain));

                chain_remove(&store, chain, second);
                slab_free(&store, second);
        }
        store_commit(&store);
        assert_int_equal(slab_pos(&store, chain_head(chain)), IMAGE_UNDO * IMAGE_SLAB_SIZE);
        assert_int_equal(slab_pos(&store, slab_next(&store, chain_head(chain))),
                         UINT64_C(2) * IMAGE_UNDO * IMAGE_SLAB_SIZE);
        assert_int_equal(store.n_free + store.n_cold, 2 * IMAGE_UNDO - 1);
        store_done(&store);
}

static void memory_beyond_some_megabytes_goes_back(void **unused)
{
        uint32_t slab[300];
        struct store store;

        (void)unused;
        assert_int_equal(store_init(&store), 0);
        for (int i = 0; i < 300; i++)
                slab[i] = slab_new(&store, IMAGE_SLAB_SIZE);
        assert_int_equal(store.used_bytes, 300 * IMAGE_SLAB_SIZE);
        for (int i = 0; i < 300; i++)
                slab_free(&store, slab[i]);
        assert_int_equal(store.used_bytes, 0);
        assert_true(store.free_bytes <= 8 << 20);
        for (int i = 0; i < 300; i++) {
                slab[i] = slab_new(&store, IMAGE_SLAB_SIZE);
                memset(slab_data(&store, slab[i]), i & 0xff, IMAGE_SLAB_SIZE);
        }
        assert_int_equal(store.used_bytes, 300 * IMAGE_SLAB_SIZE);
        assert_int_equal(store.free_bytes, 0);
        for (int i = 0; i < 300; i++)
                assert_int_equal(slab_data(&store, slab[i])[IMAGE_SLAB_SIZE - 1], i & 0xff);
        store_done(&store);
}

/* ---- what no code may do: an assertion ends the process ---- */

static struct store misused;

static void set_amid_a_transaction(void)
{
        store_begin(&misused);
        store_set(&misused.image->session.inject.end, 1);
}

static void set_alone_what_the_transaction_changed(void)
{
        store_begin(&misused);
        store_put(&misused, &misused.image->latency[0].sum, 1);
        store_set_alone(&misused.image->latency[0].sum, 2);
}

static void put_what_no_successor_rolls_back(void)
{
        store_begin(&misused);
        store_put(&misused, &misused.image->fd_bag, 1);
}

static void look(void)
{
}

static bool aborts(void (*misuse)(void))
{
        pid_t child = fork();
        int status;

        if (child == 0) {
                int null = open("/dev/null", O_WRONLY);

                dup2(null, STDERR_FILENO);
                signal(SIGABRT, SIG_DFL);
                store_hook = look;
                misuse();
                _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void a_store_that_a_crash_would_tear_is_an_assertion(void **unused)
{
        (void)unused;
        assert_int_equal(store_init(&misused), 0);
        assert_true(aborts(set_amid_a_transaction));
        assert_true(aborts(set_alone_what_the_transaction_changed));
        assert_true(aborts(put_what_no_successor_rolls_back));
        store_set(&misused.image->session.inject.end, 1);
        store_begin(&misused);
        store_set_alone(&misused.image->latency[0].sum, 2);
        store_commit(&misused);
        store_done(&misused);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(however_many_slabs_leave_a_chain_one_transaction_holds_it),
                cmocka_unit_test(memory_beyond_some_megabytes_goes_back),
                cmocka_unit_test(a_store_that_a_crash_would_tear_is_an_assertion),
        };

        return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
