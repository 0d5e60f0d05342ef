/* SPDX-License-Identifier: MIT */
#include "util/program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if __has_include(<linux/landlock.h>)
#include <linux/landlock.h>
#endif

/* After SILENCES_MAX questions in a row without an answer, the teller is asked no more. */
enum { ANSWER_MSEC = 20, SILENCES_MAX = 3 };

struct answer {
        pid_t pid;
        char name[PROGRAM_MAX];
};

static int teller = -1; /* the socket to the teller; -1: none */
static int silences;    /* answers of the teller that did not come, in a row */

static const char *proc(void)
{
        const char *folder = getenv("FTCPD_PROC");

        return folder ? folder : "/proc";
}

static void read_name(pid_t pid, char name[PROGRAM_MAX])
{
        char path[128];
        ssize_t n;
        int fd;

        name[0] = '\0';
        snprintf(path, sizeof(path), "%s/%d/comm", proc(), (int)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return;
        n = read(fd, name, PROGRAM_MAX - 1);
        name[n > 0 ? n : 0] = '\0';
        name[strcspn(name, "\n")] = '\0';
        close(fd);
}

/* ---- the teller ---- */

/* The teller ends with its parent, and at no signal to the service. No descriptor of the parent
 * stays open in the teller: connections end when the parent closes them. */
static _Noreturn void tell(int fd, pid_t parent)
{
        struct answer answer;

        signal(SIGTERM, SIG_IGN);
        signal(SIGINT, SIG_IGN);
        signal(SIGHUP, SIG_IGN);
        prctl(PR_SET_NAME, "ftcpd-names");
        prctl(PR_SET_DUMPABLE, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent || dup2(fd, 0) < 0 || syscall(SYS_close_range, 1, ~0U, 0) < 0)
                _exit(EXIT_FAILURE);
        while (recv(0, &answer.pid, sizeof(answer.pid), 0) == sizeof(answer.pid)) {
                memset(answer.name, 0, sizeof(answer.name));
                read_name(answer.pid, answer.name);
                if (send(0, &answer, sizeof(answer), MSG_NOSIGNAL) < 0)
                        break;
        }
        _exit(EXIT_SUCCESS);
}

static int start_teller(void)
{
        pid_t parent = getpid(), child;
        int ends[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
                return -errno;
        child = fork();
        if (child == 0)
                tell(ends[1], parent);
        close(ends[1]);
        if (child < 0) {
                int result = -errno;

                close(ends[0]);
                return result;
        }
        return ends[0];
}

/* ---- giving up the sight ---- */

#ifdef LANDLOCK_ACCESS_FS_READ_DIR

/* Allows the file or folder `name` of the root, with everything below. */
static int allow(int rules, int root, const char *name)
{
        struct landlock_path_beneath_attr rule = {
                .allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
                .parent_fd = openat(root, name, O_PATH | O_DIRECTORY | O_CLOEXEC),
        };
        int result = 0;

        if (rule.parent_fd < 0 && errno == ENOTDIR) {
                rule.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE;
                rule.parent_fd = openat(root, name, O_PATH | O_CLOEXEC);
        }
        if (rule.parent_fd < 0)
                return errno == ENOENT || errno == EACCES ? 0 : -errno;
        if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
                result = -errno;
        close(rule.parent_fd);
        return result;
}

/* Allows every entry of the root except the one of the hidden folder: Landlock has no rules that
 * forbid. */
static int allow_others(int rules, const char *hidden)
{
        DIR *root = opendir("/");
        const struct dirent *entry;
        size_t size;
        int result = 0;

        if (!root)
                return -errno;
        hidden += strspn(hidden, "/");
        size = strcspn(hidden, "/");
        while (result == 0 && (entry = readdir(root)))
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
                    (strlen(entry->d_name) != size || memcmp(entry->d_name, hidden, size) != 0))
                        result = allow(rules, dirfd(root), entry->d_name);
        closedir(root);
        return result;
}

static int make_rules(void)
{
        struct landlock_ruleset_attr attr = {.handled_access_fs = LANDLOCK_ACCESS_FS_READ_FILE |
                                                                  LANDLOCK_ACCESS_FS_READ_DIR};
        int rules =
                (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr.handled_access_fs), 0);

        return rules < 0 ? -errno : rules;
}

static int enforce(int rules)
{
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            syscall(SYS_landlock_restrict_self, rules, 0) < 0)
                return -errno;
        return 0;
}

#else

static int allow_others(int rules, const char *hidden)
{
        (void)rules, (void)hidden;
        return -ENOSYS;
}

static int make_rules(void)
{
        return -ENOSYS;
}

static int enforce(int rules)
{
        (void)rules;
        return -ENOSYS;
}

#endif

int program_start(void)
{
        const char *hidden = getenv("FTCPD_PROC");
        int rules, result;

        if (!hidden || *hidden != '/')
                return 0;
        rules = make_rules();
        if (rules < 0)
                return rules;
        result = allow_others(rules, hidden);
        if (result == 0)
                result = teller = start_teller();
        if (result >= 0)
                result = enforce(rules);
        if (result < 0 && teller >= 0) {
                close(teller);
                teller = -1;
        }
        close(rules);
        return result;
}

/* ---- asking ---- */

/* Waits for the answer about pid. Late answers to earlier questions are thrown away. */
static bool await(pid_t pid, char name[PROGRAM_MAX])
{
        struct pollfd readable = {.fd = teller, .events = POLLIN};
        struct answer answer;

        while (poll(&readable, 1, ANSWER_MSEC) > 0) {
                if (recv(teller, &answer, sizeof(answer), MSG_DONTWAIT) != sizeof(answer))
                        return false;
                if (answer.pid == pid) {
                        answer.name[PROGRAM_MAX - 1] = '\0';
                        memcpy(name, answer.name, PROGRAM_MAX);
                        return true;
                }
        }
        return false;
}

static void ask_teller(pid_t pid, char name[PROGRAM_MAX])
{
        name[0] = '\0';
        if (silences >= SILENCES_MAX)
                return;
        if (send(teller, &pid, sizeof(pid), MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(pid) &&
            await(pid, name))
                silences = 0;
        else
                silences++;
}

void program_name(pid_t pid, char name[PROGRAM_MAX])
{
        if (teller >= 0)
                ask_teller(pid, name);
        else
                read_name(pid, name);
}
