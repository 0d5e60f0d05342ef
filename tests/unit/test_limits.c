/* SPDX-License-Identifier: MIT */
/* The memory limits of control groups, as files that stand for the kernel's tell them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/cgroup.h"
#include "daemon/limits.h"
#include "lib/config_room.h"
#include "lib/told.h"

#define NONE_1 "9223372036854771712\n" /* of version 1, for no limit */

/* Version 2, as systemd mounts it. */
static void in_version_2(struct room *room, const char *group)
{
        char own[128];

        snprintf(own, sizeof(own), "0::%s\n", group);
        room_write(room, "/proc/self/cgroup", own);
        room_write(
                room, "/proc/self/mountinfo",
                "21 1 254:0 / / rw - ext4 /dev/vda rw\n"
                "30 21 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
}

static void is_limited(const struct room *room, uint64_t bytes, const char *file)
{
        struct cgroup_limit limit = {0};

        assert_true(cgroup_memory(room->root, &limit));
        assert_int_equal(limit.bytes, bytes);
        assert_string_equal(limit.file, file);
        assert_int_equal(limit.stalls, strstr(file, "memory.high") != NULL);
}

static void is_free(const struct room *room)
{
        struct cgroup_limit limit;

        assert_false(cgroup_memory(room->root, &limit));
}

static void the_lowest_limit_of_the_own_group_and_those_above_counts(void **state)
{
        struct room *room = *state;

        in_version_2(room, "/system.slice/ftcpd.service");
        is_free(room);
        room_write(room, "/sys/fs/cgroup/system.slice/ftcpd.service/memory.max", "max\n");
        room_write(room, "/sys/fs/cgroup/system.slice/ftcpd.service/memory.high", "max\n");
        is_free(room);
        room_write(room, "/sys/fs/cgroup/system.slice/memory.max", "50331648\n");
        is_limited(room, 50331648, "/sys/fs/cgroup/system.slice/memory.max");
        room_write(room, "/sys/fs/cgroup/system.slice/ftcpd.service/memory.max", "60000000\n");
        is_limited(room, 50331648, "/sys/fs/cgroup/system.slice/memory.max");
        room_write(room, "/sys/fs/cgroup/memory.max", "4096\n");
        is_limited(room, 4096, "/sys/fs/cgroup/memory.max");
        room_write(room, "/sys/fs/cgroup/system.slice/ftcpd.service/memory.max", "0\n");
        is_limited(room, 0, "/sys/fs/cgroup/system.slice/ftcpd.service/memory.max");
}

static void of_equal_limits_the_nearest_is_told(void **state)
{
        struct room *room = *state;

        in_version_2(room, "/a/b");
        room_write(room, "/sys/fs/cgroup/a/memory.max", "1000\n");
        room_write(room, "/sys/fs/cgroup/a/b/memory.max", "1000\n");
        is_limited(room, 1000, "/sys/fs/cgroup/a/b/memory.max");
}

static void a_limit_that_stalls_is_one_too(void **state)
{
        struct room *room = *state;

        in_version_2(room, "/a");
        room_write(room, "/sys/fs/cgroup/a/memory.max", "2000\n");
        room_write(room, "/sys/fs/cgroup/a/memory.high", "1000\n");
        is_limited(room, 1000, "/sys/fs/cgroup/a/memory.high");
}

/* Docker and the like: the container's own group is all that is mounted. */
static void a_container_sees_its_own_group_as_the_first(void **state)
{
        struct room *room = *state;

        in_version_2(room, "/");
        room_write(room, "/sys/fs/cgroup/memory.max", "50331648\n");
        is_limited(room, 50331648, "/sys/fs/cgroup/memory.max");
}

static void version_1_is_read_where_its_controller_is_mounted(void **state)
{
        struct room *room = *state;

        room_write(room, "/proc/self/cgroup",
                   "12:cpu,cpuacct:/far\n4:blkio,memory:/docker/x\n1:name=systemd:/far\n0::/far\n");
        room_write(
                room, "/proc/self/mountinfo",
                "31 30 0:28 /docker/x /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct\n"
                "34 30 0:31 /docker/x /sys/fs/cgroup/me\\040m ro - cgroup cgroup rw,blkio,memory\n"
                "40 30 0:37 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
        room_write(room, "/sys/fs/cgroup/me m/memory.limit_in_bytes", NONE_1);
        room_write(room, "/sys/fs/cgroup/cpu/memory.limit_in_bytes", "1\n");
        is_free(room);
        room_write(room, "/sys/fs/cgroup/me m/memory.limit_in_bytes", "50331648\n");
        is_limited(room, 50331648, "/sys/fs/cgroup/me m/memory.limit_in_bytes");
        room_write(room, "/sys/fs/cgroup/unified/far/memory.max", "7\n");
        is_limited(room, 7, "/sys/fs/cgroup/unified/far/memory.max");
}

/* Another container's group, mounted beside: its limit is none of ours. */
static void a_mount_that_does_not_show_the_own_group_says_nothing(void **state)
{
        static const char *const groups[] = {"/docker/xy", "/docker", "/", "/../x"};
        struct room *room = *state;

        for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
                in_version_2(room, groups[i]);
                room_write(room, "/proc/self/mountinfo",
                           "30 21 0:26 /docker/x /other rw - cgroup2 cgroup2 rw\n");
                room_write(room, "/other/memory.max", "1\n");
                room_write(room, "/other/y/memory.max", "1\n");
                is_free(room);
        }
}

static void what_makes_no_sense_is_no_limit(void **state)
{
        static const char *const owns[] = {"", "0\n", "0:\n", "0::\n", ":::\n", "0::no\n", "0::/a"};
        static const char *const mounts[] = {"",
                                             "-\n",
                                             " - cgroup2\n",
                                             " - cgroup2 x rw\n",
                                             "1 2 3 - cgroup2 x rw\n",
                                             "1 2 3 / - cgroup2 x rw\n",
                                             "1 2 3 / /\\777\\0\\ - cgroup2 x rw"};
        struct room *room = *state;

        is_free(room);
        for (size_t i = 0; i < sizeof(owns) / sizeof(*owns); i++)
                for (size_t j = 0; j < sizeof(mounts) / sizeof(*mounts); j++) {
                        room_write(room, "/proc/self/cgroup", owns[i]);
                        room_write(room, "/proc/self/mountinfo", mounts[j]);
                        is_free(room);
                }
        in_version_2(room, "/a");
        room_write(room, "/sys/fs/cgroup/a/memory.max", "");
        is_free(room);
        room_write(room, "/sys/fs/cgroup/a/memory.max", "a lot\n");
        is_free(room);
}

/* Returns what limits_tell_memory() logs. */
static const char *told(struct room *room)
{
        told_begin(LOG_INFO);
        limits_tell_memory(room->config, room->root);
        return told_end();
}

static void a_limit_below_what_messages_may_take_is_told_with_all_that_helps(void **state)
{
        static const char *const words[] = {
                "48M",           "/sys/fs/cgroup/a/memory.max", "160M", "32M", "ends", "MemoryMax=",
                "--check-config"};
        struct room *room = *state;
        const char *line;

        in_version_2(room, "/a");
        room_write(room, "/sys/fs/cgroup/a/memory.max", "50331648\n");
        room_take(room, "");
        assert_true(room_warns(room, "at most 160M of memory"));
        line = told(room);
        for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
                assert_non_null(strstr(line, words[i]));
        room_write(room, "/sys/fs/cgroup/a/memory.max", "201326592\n"); /* 192M */
        assert_string_equal(told(room), "");
        room_write(room, "/sys/fs/cgroup/a/memory.high", "201326591\n");
        line = told(room);
        assert_non_null(strstr(line, "stalls"));
        assert_non_null(strstr(line, "MemoryHigh="));
        room_take(room, "[Delivery]\nUpstreamQueueSize=16M\n");
        assert_string_equal(told(room), "");
        room_take(room, "[Delivery]\nToClients=balance\nUpstreamQueueSize=16M\n");
        assert_non_null(strstr(told(room), "16"));
}

#define in_room(test) cmocka_unit_test_setup_teardown(test, room_setup, room_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                in_room(the_lowest_limit_of_the_own_group_and_those_above_counts),
                in_room(of_equal_limits_the_nearest_is_told),
                in_room(a_limit_that_stalls_is_one_too),
                in_room(a_container_sees_its_own_group_as_the_first),
                in_room(version_1_is_read_where_its_controller_is_mounted),
                in_room(a_mount_that_does_not_show_the_own_group_says_nothing),
                in_room(what_makes_no_sense_is_no_limit),
                in_room(a_limit_below_what_messages_may_take_is_told_with_all_that_helps),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
