/* SPDX-License-Identifier: MIT */
#include "core/config.h"
#include "daemon/daemon.h"
#include "daemon/options.h"
#include "util/clock.h"
#include "util/diag.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int check(const struct options *options)
{
        struct config_source source = daemon_source(options, true);
        struct config_report report = {0};
        struct config *config = config_load(&source, &report);

        for (size_t i = 0; i < report.n_errors; i++)
                fprintf(stderr, "%s\n", report.errors[i]);
        for (size_t i = 0; i < report.n_warnings; i++)
                printf("%s\n", report.warnings[i]);
        if (config)
                printf("%s: the configuration is good\n", config->path);
        config_report_done(&report);
        if (!config)
                return EXIT_CONFIG;
        config_free(config);
        return EXIT_SUCCESS;
}

static int run(const struct options *options)
{
        struct config_source source = daemon_source(options, false);
        struct config_report report = {0};
        struct config *config = config_load(&source, &report);
        int result;

        diag_open(options->log_level >= 0 ? options->log_level
                  : config                ? config->log_level
                                          : LOG_INFO);
        daemon_tell(&report);
        config_report_done(&report);
        result = daemon_run(options, config);
        diag_settle(USEC_PER_SEC);
        return result;
}

/* Where standard error is closed, the next descriptor would take its number, and the log would be
 * written into the store or to a client. */
static void fill_standard_descriptors(void)
{
        int fd;

        do
                fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        while (fd >= 0 && fd <= STDERR_FILENO);
        if (fd >= 0)
                close(fd);
}

int main(int argc, char **argv)
{
        struct options options;
        int result;

        fill_standard_descriptors();
        result = options_parse(&options, argc, argv);

        if (result >= 0)
                return result;
        if (options.print_defaults) {
                config_print_defaults(stdout);
                return EXIT_SUCCESS;
        }
        return options.check_config ? check(&options) : run(&options);
}
