/* SPDX-License-Identifier: MIT */
#pragma once
/* The command line of ftcpd. */
#include <stdbool.h>

enum { EXIT_CONFIG = 78 }; /* EX_CONFIG of sysexits.h: systemd does not restart on it */

struct options {
        const char *config;   /* --config; NULL: the file of the instance */
        const char *instance; /* --instance; NULL: the unnamed one */
        int log_level;        /* --log-level; -1: as configured */
        bool check_config, print_defaults;
};

/* Fills in options; strings are borrowed from argv. Returns -1 to go on, or the exit status if
 * help or version was printed or a mistake was told. */
int options_parse(struct options *options, int argc, char **argv);
