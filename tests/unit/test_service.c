/* SPDX-License-Identifier: MIT */
/* Plays the service manager: its notify socket, and sockets passed from descriptor 3 on. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/service/service.h"
#include "lib/told.h"

static int manager;

static int listen_as_manager(void **state)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        socklen_t size = sizeof(address);
        char name[120];

        (void)state;
        manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        bind(manager, (struct sockaddr *)&address, sizeof(sa_family_t));
        getsockname(manager, (struct sockaddr *)&address, &size);
        snprintf(name, sizeof(name), "@%.*s", (int)(size - sizeof(sa_family_t) - 1),
                 address.sun_path + 1);
        setenv("NOTIFY_SOCKET", name, 1);
        return 0;
}

static int leave(void **state)
{
        (void)state;
        unsetenv("NOTIFY_SOCKET");
        unsetenv("WATCHDOG_USEC");
        close(manager);
        return 0;
}

static const char *heard(void)
{
        static char text[2048];
        ssize_t n = recv(manager, text, sizeof(text) - 1, 0);

        text[n > 0 ? n : 0] = '\0';
        return text;
}

static void the_manager_hears_each_word(void **state)
{
        const char *text;

        (void)state;
        service_ready();
        assert_string_equal(heard(), "READY=1");
        service_status("up, %d clients\nREADY=1", 7);
        assert_string_equal(heard(), "STATUS=up, 7 clients\\nREADY=1");
        service_reloading();
        text = heard();
        assert_memory_equal(text, "RELOADING=1\nMONOTONIC_USEC=", 27);
        assert_true(atoll(text + 27) > 0);
        service_watchdog();
        assert_string_equal(heard(), "WATCHDOG=1");
        service_stopping(5000000);
        assert_string_equal(heard(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=10000000");
}

/* As many words as are not read by now, and a few more. */
static void fill_ears(void)
{
        for (int i = 0; i < 1000; i++)
                service_watchdog();
}

static void forget_all(void)
{
        while (*heard())
                ;
}

static void
a_manager_that_does_not_listen_stops_nothing_and_hears_the_last_state_later(void **state)
{
        (void)state;
        alarm(60); /* for a word that waits */
        fill_ears();
        service_reloading();
        service_status("waiting");
        service_ready();
        service_status("up");
        forget_all();
        service_watchdog();
        assert_string_equal(heard(), "WATCHDOG=1\nREADY=1\nSTATUS=up");
        service_watchdog();
        assert_string_equal(heard(), "WATCHDOG=1");
        alarm(0);
}

/* The descriptor that comes with what is heard next, or -1. */
static int heard_descriptor(void)
{
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control;
        char text[64];
        struct iovec bytes = {text, sizeof(text)};
        struct msghdr message = {.msg_iov = &bytes,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof(control)};
        int fd;

        if (recvmsg(manager, &message, 0) != 36 || message.msg_controllen != sizeof(control))
                return -1;
        assert_memory_equal(text, "FDSTORE=1\nFDNAME=upstream-7\nFDPOLL=0", 36);
        memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
        return fd;
}

static void a_descriptor_comes_with_its_name(void **state)
{
        int ends[2], kept;

        (void)state;
        assert_return_code(pipe(ends), errno);
        service_keep("upstream-7", ends[1]);
        kept = heard_descriptor();
        assert_int_equal(write(kept, "x", 1), 1);
        close(kept);
        close(ends[0]);
        close(ends[1]);
}

/* The last that is heard; the manager listens to one more word a moment later. */
static int kept_by_a_slow_manager(int fd)
{
        int kept, last = -1;
        pid_t child;

        service_forget("upstream-7"); /* it listens */
        fill_ears();
        child = fork();
        if (child == 0) {
                usleep(1000);
                heard();
                _exit(0);
        }
        service_keep("upstream-7", fd);
        assert_return_code(waitpid(child, NULL, 0), errno);
        for (int i = 0; i < 1000; i++) {
                kept = heard_descriptor();
                if (kept >= 0)
                        last = kept;
        }
        return last;
}

static void a_descriptor_to_keep_waits_for_the_manager_but_not_for_ever(void **state)
{
        int kept;

        (void)state;
        diag_open(LOG_EMERG);
        alarm(60);
        fill_ears();
        service_keep("upstream-7", STDIN_FILENO);
        service_forget("upstream-7");
        service_settle();
        forget_all();
        do /* where the machine is slow, it takes longer than it is waited for */
                kept = kept_by_a_slow_manager(STDIN_FILENO);
        while (kept < 0);
        alarm(0);
        close(kept);
}

static void a_manager_may_have_a_path(void **state)
{
        char folder[] = "/tmp/ftcpd-service-XXXXXX", path[64];
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        (void)state;
        assert_non_null(mkdtemp(folder));
        snprintf(path, sizeof(path), "%s/notify", folder);
        snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        close(manager);
        manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        assert_return_code(bind(manager, (struct sockaddr *)&address, sizeof(address)), errno);
        setenv("NOTIFY_SOCKET", path, 1);
        service_ready();
        assert_string_equal(heard(), "READY=1");
        setenv("NOTIFY_SOCKET", "vsock:2:1234", 1); /* not for us */
        service_watchdog();
        assert_string_equal(heard(), "");
        unlink(path);
        rmdir(folder);
}

static void the_watchdog_is_fed_twice_as_often_as_it_bites(void **state)
{
        (void)state;
        unsetenv("WATCHDOG_USEC");
        assert_int_equal(service_watchdog_usec(), 0);
        setenv("WATCHDOG_USEC", "10000000", 1);
        assert_int_equal(service_watchdog_usec(), 5000000);
}

static void where_it_cannot_be_asked_what_a_stop_is_for_the_limit_is_told(void **state)
{
        static const char begin[] = "systemd can't be asked whether this is a restart: ";
        struct rlimit before, few = {0};
        pthread_attr_t attributes, huge;
        const char *said;

        (void)state;
        pthread_getattr_default_np(&attributes);
        pthread_getattr_default_np(&huge);
        pthread_attr_setstacksize(&huge, (size_t)1 << 50); /* more than there is */
        assert_int_equal(pthread_setattr_default_np(&huge), 0);
        told_begin(LOG_INFO);
        assert_int_equal(service_job(1), SERVICE_JOB_UNKNOWN);
        said = told_end();
        assert_int_equal(pthread_setattr_default_np(&attributes), 0);
        assert_non_null(strstr(said, begin));
        assert_non_null(strstr(said, "no thread can be made"));
        assert_non_null(strstr(said, "TasksMax="));
        getrlimit(RLIMIT_NOFILE, &before);
        few.rlim_max = before.rlim_max;
        told_begin(LOG_INFO);
        setrlimit(RLIMIT_NOFILE, &few);
        assert_int_equal(service_job(1), SERVICE_JOB_UNKNOWN);
        setrlimit(RLIMIT_NOFILE, &before);
        said = told_end();
        assert_non_null(strstr(said, begin));
        assert_non_null(strstr(said, "LimitNOFILE="));
}

static void without_a_manager_nothing_happens(void **state)
{
        struct service_sockets sockets;

        (void)state;
        unsetenv("NOTIFY_SOCKET");
        service_ready();
        service_status("up");
        service_watchdog();
        assert_int_equal(service_take_sockets(&sockets), 0);
        assert_int_equal(sockets.n_data + sockets.n_varlink, 0);
        service_sockets_done(&sockets);
}

static int unix_listener(void)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t));
        listen(fd, 1);
        return fd;
}

static int tcp_listener(void)
{
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        bind(fd, (struct sockaddr *)&address, sizeof(address));
        listen(fd, 1);
        return fd;
}

static bool is_open(int fd)
{
        return fcntl(fd, F_GETFD) >= 0;
}

/* In a child, whose descriptors from 3 on are at our disposal. */
static int sort_in_child(void)
{
        int fds[] = {unix_listener(), tcp_listener(),  unix_listener(),
                     tcp_listener(),  unix_listener(), socket(AF_UNIX, SOCK_STREAM, 0)};
        enum { N = sizeof(fds) / sizeof(*fds) };
        struct service_sockets s;
        char pid[20];

        for (int i = 0; i < N; i++)
                dup2(fds[i], 100 + i);
        for (int i = 0; i < N; i++)
                dup2(100 + i, 3 + i);
        for (int i = 3 + N; i < 200; i++)
                close(i);
        snprintf(pid, sizeof(pid), "%d", getpid());
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", "6", 1);
        setenv("LISTEN_FDNAMES", "data:data:varlink:varlink:ftcpd.socket:data", 1);
        if (service_take_sockets(&s) != 0 || s.n_data != 2 || s.n_varlink != 1)
                return 1;
        if (s.data[0] != 3 || s.data[1] != 4 || s.varlink[0] != 5)
                return 2;
        if (!(fcntl(3, F_GETFL) & O_NONBLOCK) || !(fcntl(5, F_GETFD) & FD_CLOEXEC))
                return 3;
        if (is_open(6) || is_open(7) || is_open(8) || getenv("LISTEN_FDS"))
                return 4;
        s.data[1] = -1;
        service_sockets_done(&s);
        return is_open(3) || !is_open(4) || is_open(5) ? 5 : 0;
}

static void sockets_are_sorted_by_name_and_wrong_ones_are_closed(void **state)
{
        pid_t pid;
        int status;

        (void)state;
        diag_open(LOG_EMERG);
        pid = fork();
        if (pid == 0)
                _exit(sort_in_child());
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, listen_as_manager, leave)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(the_manager_hears_each_word),
                TEST(a_manager_that_does_not_listen_stops_nothing_and_hears_the_last_state_later),
                TEST(a_descriptor_comes_with_its_name),
                TEST(a_descriptor_to_keep_waits_for_the_manager_but_not_for_ever),
                TEST(a_manager_may_have_a_path),
                TEST(the_watchdog_is_fed_twice_as_often_as_it_bites),
                TEST(where_it_cannot_be_asked_what_a_stop_is_for_the_limit_is_told),
                TEST(without_a_manager_nothing_happens),
                TEST(sockets_are_sorted_by_name_and_wrong_ones_are_closed),
        };

        return cmocka_run_group_tests_name("service", tests, NULL, NULL);
}
