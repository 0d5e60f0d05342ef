/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/config.h"
#include "daemon/daemon.h"
#include "daemon/options.h"
#include "util/clock.h"
#include "util/diag.h"
#include "util/program.h"
#include "util/std_fds.h"

/* Notes the files that `user` can't read. For a child process, which becomes `user` and exits. */
static _Noreturn void look_as(const struct passwd *user, const struct config *config)
{
        if (initgroups(user->pw_name, user->pw_gid) < 0 || setgid(user->pw_gid) < 0 ||
            setuid(user->pw_uid) < 0)
                _exit(EXIT_FAILURE);
        for (size_t i = 0; i < config->n_files; i++)
                if (access(config->files[i], R_OK) < 0)
                        printf("note: %s: the packaged service, which runs as the user %s, can't "
                               "read it: %s\n",
                               config->files[i], user->pw_name, strerror(errno));
        fflush(stdout);
        _exit(EXIT_SUCCESS);
}

/* Notes the files that the packaged service can't read, because root can read more. */
static void note_unreadable(const struct config *config)
{
        struct passwd *user = geteuid() == 0 ? getpwnam("ftcpd") : NULL;
        pid_t child;

        fflush(stdout);
        if (!user || (child = fork()) < 0)
                return;
        if (child == 0)
                look_as(user, config);
        waitpid(child, NULL, 0);
}

static int check(const struct options *options)
{
        struct config_source source = daemon_source(options, true);
        struct config_report report = {0};
        struct config *config = config_load(&source, &report);
        bool starved = report.starved;

        for (size_t i = 0; i < report.n_errors; i++)
                fprintf(stderr, "%s\n", report.errors[i]);
        for (size_t i = 0; i < report.n_warnings; i++)
                printf("%s\n", report.warnings[i]);
        config_report_done(&report);
        if (starved)
                fprintf(stderr, "there is no memory for the configuration\n");
        if (config)
                note_unreadable(config);
        if (config)
                printf("%s: the configuration is good\n", config->path);
        if (!config)
                return starved ? EXIT_FAILURE : EXIT_CONFIG;
        config_free(config);
        return EXIT_SUCCESS;
}

static int run(const struct options *options)
{
        int hidden = program_start(); /* before greetings are read */
        struct config_source source = daemon_source(options, false);
        struct config_report report = {0};
        struct config *config = config_load(&source, &report);
        int result;

        diag_open(options->log_level >= 0 ? options->log_level
                  : config                ? config->log_level
                                          : LOG_INFO);
        if (hidden < 0)
                diag_line(LOG_NOTICE, "the details of other processes stay in sight: Landlock: %s",
                          strerror(-hidden));
        daemon_tell(&report);
        if (report.starved) { /* as a crash: what a predecessor left is kept for another try */
                diag_err("there is no memory for the configuration");
                diag_settle(USEC_PER_SEC);
                return EXIT_FAILURE;
        }
        config_report_done(&report);
        result = daemon_run(options, config);
        diag_settle(USEC_PER_SEC);
        return result;
}

int main(int argc, char **argv)
{
        struct options options;
        int result;

        std_fds_fill();
        result = options_parse(&options, argc, argv);

        if (result >= 0)
                return result;
        if (options.print_defaults) {
                config_print_defaults(stdout);
                return EXIT_SUCCESS;
        }
        return options.check_config ? check(&options) : run(&options);
}
