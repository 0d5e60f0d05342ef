/* SPDX-License-Identifier: MIT */
/* A file without an image, or with another header, is refused; a new image is taken up. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "flow/recover.h"
#include "store/store.h"
#include "util/memfd.h"

static int open_result(int fd)
{
        struct store store;
        int result = store_open(&store, fd);

        if (result == 0)
                store_done(&store);
        return result;
}

static void a_file_of_another_size_is_refused(void **state)
{
        struct store store;
        int fd;

        (void)state;
        assert_int_equal(store_init(&store), 0);
        fd = dup(store.fd);
        assert_int_equal(open_result(dup(fd)), 0);
        assert_int_equal(ftruncate(fd, (off_t)store.mapped - 1), 0);
        assert_int_equal(open_result(dup(fd)), -EPROTO);
        assert_int_equal(ftruncate(fd, (off_t)store.mapped + 4096), 0);
        assert_int_equal(open_result(dup(fd)), -EPROTO);
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(open_result(fd), -EPROTO);
        store_done(&store);
}

static void what_is_no_image_is_refused(void **state)
{
        int ends[2];

        (void)state;
        assert_int_equal(pipe(ends), 0);
        assert_int_equal(open_result(ends[0]), -EPROTO);
        close(ends[1]);
        assert_int_equal(open_result(open("/dev/null", O_RDWR | O_CLOEXEC)), -EPROTO);
        assert_int_equal(open_result(memfd_make("empty")), -EPROTO);
}

static void each_word_of_the_header_counts(void **state)
{
        struct store store;
        uint64_t *words;

        (void)state;
        assert_int_equal(store_init(&store), 0);
        words = (uint64_t *)&store.image->header;
        for (size_t i = 0; i < sizeof(store.image->header) / sizeof(*words); i++) {
                words[i]++;
                assert_int_equal(open_result(dup(store.fd)), -EPROTO);
                words[i]--;
        }
        assert_int_equal(open_result(dup(store.fd)), 0);
        store_done(&store);
}

static void a_new_image_is_taken_up_as_it_is(void **state)
{
        struct store store, again;

        (void)state;
        assert_int_equal(store_init(&store), 0);
        assert_int_equal(store_open(&again, dup(store.fd)), 0);
        assert_null(recover_image(&again, &frame_spec_default));
        store_done(&again);
        store_done(&store);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_new_image_is_taken_up_as_it_is),
                cmocka_unit_test(a_file_of_another_size_is_refused),
                cmocka_unit_test(what_is_no_image_is_refused),
                cmocka_unit_test(each_word_of_the_header_counts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
