/* SPDX-License-Identifier: MIT */
/* The names of other programs are told, and nothing else of other processes is seen. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/program.h"

/* What a child found; its exit code. */
enum { GOOD = 1, NO_LANDLOCK, WRONG_NAME, SIGHT, BLIND };

static bool may_read(const char *path)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd >= 0)
                close(fd);
        return fd >= 0;
}

static bool is_told(pid_t pid, const char *wanted)
{
        char name[PROGRAM_MAX];

        program_name(pid, name);
        return strcmp(name, wanted) == 0;
}

/* The teller of this process: its only child. */
static pid_t teller_pid(void)
{
        char path[64], text[32] = "";
        FILE *file;

        snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
        file = fopen(path, "re");
        if (file && !fgets(text, sizeof(text), file))
                text[0] = '\0';
        if (file)
                fclose(file);
        return (pid_t)strtol(text, NULL, 10);
}

static int look(void)
{
        pid_t parent = getppid();
        int result;

        setenv("FTCPD_PROC", "/proc", 1);
        result = program_start();
        if (result == -ENOSYS || result == -EOPNOTSUPP)
                return NO_LANDLOCK;
        if (result < 0 || !is_told(parent, "a parent") || !is_told(0, "") || !is_told(-1, ""))
                return WRONG_NAME;
        if (may_read("/proc/self/cmdline") || may_read("/proc/1/comm") ||
            may_read("/usr/../proc/version") || teller_pid())
                return SIGHT;
        return may_read("/etc/passwd") && may_read("/usr") ? GOOD : BLIND;
}

static void a_name_is_told_and_nothing_else_is_seen(void **state)
{
        char before[PROGRAM_MAX];
        int status;
        pid_t child;

        (void)state;
        prctl(PR_GET_NAME, before);
        prctl(PR_SET_NAME, "a parent");
        child = fork();
        if (child == 0)
                _exit(look());
        assert_int_equal(waitpid(child, &status, 0), child);
        prctl(PR_SET_NAME, before);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == NO_LANDLOCK)
                skip();
        assert_int_equal(WEXITSTATUS(status), GOOD);
}

static int outlive(void)
{
        char name[PROGRAM_MAX];
        pid_t teller;
        int before;

        setenv("FTCPD_PROC", "/mnt", 1);
        if (program_start() < 0)
                return NO_LANDLOCK;
        teller = teller_pid();
        if (teller <= 0)
                return WRONG_NAME;
        before = kill(teller, SIGTERM); /* as a stop of the service does */
        program_name(getpid(), name);
        if (before < 0 || kill(teller, 0) < 0)
                return SIGHT;
        kill(teller, SIGSTOP);
        for (int i = 0; i < 5; i++) /* asked in vain, and not waited for again and again */
                program_name(getpid(), name);
        kill(teller, SIGKILL);
        waitpid(teller, NULL, 0);
        program_name(getpid(), name);
        return *name ? WRONG_NAME : GOOD;
}

static void a_teller_that_hangs_or_is_gone_costs_the_names_alone(void **state)
{
        int status;
        pid_t child = fork();

        (void)state;
        if (child == 0)
                _exit(outlive());
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == NO_LANDLOCK)
                skip();
        assert_int_equal(WEXITSTATUS(status), GOOD);
}

static void without_a_folder_the_own_proc_is_read(void **state)
{
        char name[PROGRAM_MAX], own[PROGRAM_MAX];

        (void)state;
        unsetenv("FTCPD_PROC");
        assert_int_equal(program_start(), 0);
        prctl(PR_GET_NAME, own);
        program_name(getpid(), name);
        assert_string_equal(name, own);
        program_name(-1, name);
        assert_string_equal(name, "");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_name_is_told_and_nothing_else_is_seen),
                cmocka_unit_test(a_teller_that_hangs_or_is_gone_costs_the_names_alone),
                cmocka_unit_test(without_a_folder_the_own_proc_is_read),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
