/* SPDX-License-Identifier: MIT */
/* A socket's path and its lock, which others remove or take while the socket is open. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/socket_path.h"

#define NOBODYS ((gid_t)-1)

static char folder[64], path[80], lock[96], text[512];

static int make_folder(void **state)
{
        (void)state;
        snprintf(folder, sizeof(folder), "/tmp/ftcpd-test-XXXXXX");
        if (!mkdtemp(folder))
                return -1;
        snprintf(path, sizeof(path), "%s/sock", folder);
        snprintf(lock, sizeof(lock), "%s.lock", path);
        return 0;
}

static int remove_folder(void **state)
{
        (void)state;
        unlink(path);
        unlink(lock);
        return rmdir(folder); /* fails if anything else was left */
}

/* Binds another program's socket at path; fd is the caller's. */
static int bind_stranger(int backlog)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        strcpy(address.sun_path, path);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(fd, backlog), 0);
        return fd;
}

static bool may_connect(void)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), result;

        strcpy(address.sun_path, path);
        result = connect(fd, (struct sockaddr *)&address, sizeof(address));
        close(fd);
        return result == 0;
}

static struct socket_path opened(void)
{
        struct socket_path sock;

        assert_int_equal(socket_path_listen(&sock, path, 0660, NOBODYS, text, sizeof(text)), 0);
        assert_string_equal(text, "");
        return sock;
}

static int mend(struct socket_path *sock)
{
        return socket_path_mend(sock, 0660, NOBODYS, text, sizeof(text));
}

static enum socket_path_state look(const struct socket_path *sock)
{
        return socket_path_look(path, sock->device, sock->inode);
}

static void the_mode_is_there_with_any_umask(void **state)
{
        static const mode_t masks[] = {0, 0077, 0777}, modes[] = {0600, 0666, 0777, 0};

        (void)state;
        for (size_t i = 0; i < 3; i++) {
                for (size_t j = 0; j < 4; j++) {
                        mode_t old = umask(masks[i]);
                        struct socket_path sock;
                        struct stat st;

                        assert_int_equal(socket_path_listen(&sock, path, modes[j], NOBODYS, text,
                                                            sizeof(text)),
                                         0);
                        assert_int_equal(umask(old), masks[i]);
                        assert_int_equal(stat(path, &st), 0);
                        assert_int_equal(st.st_mode & 07777, modes[j]);
                        socket_path_done(&sock);
                }
        }
}

static void a_path_as_it_was_bound_needs_no_mending(void **state)
{
        struct socket_path sock = opened();
        int fd = sock.fd;

        (void)state;
        assert_int_equal(look(&sock), SOCKET_PATH_OURS);
        assert_int_equal(mend(&sock), 0);
        assert_int_equal(sock.fd, fd);
        socket_path_done(&sock);
        assert_int_equal(access(path, F_OK), -1);
        assert_int_equal(access(lock, F_OK), -1);
}

static void a_path_that_was_removed_is_bound_anew(void **state)
{
        struct socket_path sock = opened();
        int before = sock.fd;

        (void)state;
        unlink(path);
        assert_int_equal(look(&sock), SOCKET_PATH_EMPTY);
        assert_int_equal(mend(&sock), 1);
        assert_int_equal(look(&sock), SOCKET_PATH_OURS);
        assert_true(may_connect());
        assert_int_not_equal(sock.fd, before);
        assert_int_equal(fcntl(before, F_GETFD), FD_CLOEXEC); /* open, for who is on its way */
        close(before);
        socket_path_done(&sock);
}

static void a_stale_socket_of_another_program_is_replaced_and_a_live_one_is_not(void **state)
{
        struct socket_path sock = opened();
        int before = sock.fd, stranger;

        (void)state;
        unlink(path);
        stranger = bind_stranger(8);
        assert_int_equal(look(&sock), SOCKET_PATH_SOCKET);
        assert_int_equal(mend(&sock), -EADDRINUSE);
        assert_non_null(strstr(text, "another program listens there"));
        assert_true(may_connect());
        close(stranger);
        assert_false(may_connect());
        assert_int_equal(mend(&sock), 1);
        assert_true(may_connect());
        close(before);
        socket_path_done(&sock);
}

/* Anybody may lock the file: what is said of a holder must not depend on who it is. */
static void a_lock_that_any_process_holds_is_told_as_such(void **state)
{
        struct socket_path sock;
        char said[256];
        int fd = open(lock, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

        (void)state;
        assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
        assert_int_equal(socket_path_listen(&sock, path, 0660, NOBODYS, text, sizeof(text)),
                         -EADDRINUSE);
        snprintf(said, sizeof(said), "%s is in use: another process holds the lock %s", path, lock);
        assert_string_equal(text, said);
        close(fd);
}

static void a_socket_of_another_type_is_left_alone_and_told_as_such(void **state)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct socket_path sock;

        (void)state;
        strcpy(address.sun_path, path);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(socket_path_listen(&sock, path, 0660, NOBODYS, text, sizeof(text)),
                         -EADDRINUSE);
        assert_non_null(strstr(text, "is in use: a socket of another type is bound there"));
        assert_int_equal(access(path, F_OK), 0);
        close(fd);
}

static void a_file_at_the_path_is_left_alone(void **state)
{
        struct socket_path sock = opened();

        (void)state;
        unlink(path);
        close(creat(path, 0600));
        assert_int_equal(look(&sock), SOCKET_PATH_FILE);
        assert_int_equal(mend(&sock), -EEXIST);
        socket_path_done(&sock);
        assert_int_equal(access(path, F_OK), 0);
}

static void the_end_removes_nothing_of_another_program(void **state)
{
        struct socket_path sock = opened();
        int stranger;

        (void)state;
        unlink(path);
        unlink(lock);
        stranger = bind_stranger(8);
        close(open(lock, O_RDWR | O_CREAT | O_EXCL, 0600));
        socket_path_done(&sock);
        assert_true(may_connect());
        assert_int_equal(access(lock, F_OK), 0);
        close(stranger);
}

static void a_lock_that_was_removed_is_taken_again(void **state)
{
        struct socket_path sock = opened(), second;
        int fd;

        (void)state;
        unlink(lock);
        assert_int_equal(mend(&sock), 0);
        unlink(path); /* even so */
        assert_int_equal(socket_path_listen(&second, path, 0660, NOBODYS, text, sizeof(text)),
                         -EADDRINUSE);
        assert_non_null(strstr(text, "another process holds the lock "));
        unlink(lock);
        fd = open(lock, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0); /* another ftcpd was faster */
        assert_int_equal(mend(&sock), -EADDRINUSE);
        assert_int_equal(access(path, F_OK), -1);
        close(fd);
        socket_path_done(&sock);
        assert_int_equal(access(lock, F_OK), 0); /* the other one's */
}

static void a_lock_that_is_no_file_is_not_waited_for(void **state)
{
        struct socket_path sock;

        (void)state;
        assert_int_equal(symlink("/nowhere", lock), 0);
        assert_int_equal(socket_path_listen(&sock, path, 0660, NOBODYS, text, sizeof(text)),
                         -ELOOP);
        assert_non_null(strstr(text, "is a symbolic link, expected a file"));
        unlink(lock);
        assert_int_equal(mkfifo(lock, 0600), 0);
        assert_int_equal(socket_path_listen(&sock, path, 0660, NOBODYS, text, sizeof(text)), 0);
        socket_path_done(&sock);
}

#define in_folder(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
        const struct CMUnitTest tests[] = {
                in_folder(the_mode_is_there_with_any_umask),
                in_folder(a_path_as_it_was_bound_needs_no_mending),
                in_folder(a_path_that_was_removed_is_bound_anew),
                in_folder(a_stale_socket_of_another_program_is_replaced_and_a_live_one_is_not),
                in_folder(a_lock_that_any_process_holds_is_told_as_such),
                in_folder(a_socket_of_another_type_is_left_alone_and_told_as_such),
                in_folder(a_file_at_the_path_is_left_alone),
                in_folder(the_end_removes_nothing_of_another_program),
                in_folder(a_lock_that_was_removed_is_taken_again),
                in_folder(a_lock_that_is_no_file_is_not_waited_for),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
