/* SPDX-License-Identifier: MIT */
#include "daemon/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "util/diag.h"

static void print_help(void)
{
        puts("ftcpd [--config FILE | --instance NAME] [OPTION ...]\n"
             "\n"
             "Holds one framed TCP link to an upstream and shares it among local programs.\n"
             "\n"
             "  --config FILE      read FILE instead of /etc/ftcpd.conf\n"
             "  --instance NAME    read /etc/ftcpd/NAME.conf, listen on /run/ftcpd/NAME.sock\n"
             "  --check-config     say what is wrong with the configuration, and what follows\n"
             "                     from it; exit 0, or 78 if anything is an error\n"
             "  --print-defaults   print every key with its default, and exit\n"
             "  --log-level LEVEL  emerg, alert, crit, err, warning, notice, info or debug\n"
             "  --help, --version\n"
             "\n"
             "Without systemd it runs in the foreground, logs to standard error and makes its own\n"
             "sockets: start it from a shell or under any supervisor, with a configuration that\n"
             "sets [Upstream] Address= and sockets where it may write:\n"
             "\n"
             "  ftcpd --config ./ftcpd.conf\n"
             "\n"
             "SIGHUP reads the configuration anew; SIGTERM and SIGINT stop it. See ftcpd(8),\n"
             "ftcpd.conf(5), ftcpctl(1), ftcp-protocol(7).");
}

static bool name_is_good(const char *name)
{
        return *name && name[0] != '.' && strlen(name) < 64 && !strchr(name, '/');
}

static int usage(const char *what, const char *value)
{
        fprintf(stderr, "ftcpd: %s%s%s; see ftcpd --help\n", what, value ? ": " : "",
                value ? value : "");
        return EXIT_FAILURE + 1;
}

int options_parse(struct options *options, int argc, char **argv)
{
        enum { CONFIG = 1, INSTANCE, LOG_LEVEL, CHECK, PRINT, HELP, VERSION_OF };
        static const struct option longs[] = {{"config", required_argument, NULL, CONFIG},
                                              {"instance", required_argument, NULL, INSTANCE},
                                              {"log-level", required_argument, NULL, LOG_LEVEL},
                                              {"check-config", no_argument, NULL, CHECK},
                                              {"print-defaults", no_argument, NULL, PRINT},
                                              {"help", no_argument, NULL, HELP},
                                              {"version", no_argument, NULL, VERSION_OF},
                                              {0}};
        int option;

        *options = (struct options){.log_level = -1};
        while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
                switch (option) {
                case CONFIG: options->config = optarg; break;
                case INSTANCE: options->instance = optarg; break;
                case LOG_LEVEL:
                        options->log_level = diag_level_parse(optarg);
                        if (options->log_level < 0)
                                return usage("not a log level", optarg);
                        break;
                case CHECK: options->check_config = true; break;
                case PRINT: options->print_defaults = true; break;
                case 'h':
                case HELP: print_help(); return EXIT_SUCCESS;
                case VERSION_OF: puts("ftcpd " PACKAGE_VERSION); return EXIT_SUCCESS;
                default: return usage("that is no option", NULL);
                }
        }
        if (optind < argc)
                return usage("an argument that nobody asked for", argv[optind]);
        if (options->config && options->instance)
                return usage("--config and --instance exclude each other", NULL);
        if (options->instance && !name_is_good(options->instance))
                return usage("not a name of an instance", options->instance);
        return -1;
}
