/* SPDX-License-Identifier: MIT */
#pragma once
/* The command line of ftcpd. */
#include <stdbool.h>

enum { EXIT_CONFIG = 78 }; /* EX_CONFIG of sysexits.h: systemd does not restart on it */

struct options {
        const char *config;   /* --config; NULL: by instance */
        const char *instance; /* --instance; NULL: the unnamed one */
        int log_level;        /* --log-level; -1: as configured */
        bool check_config, print_defaults;
};

/* Returns -1 to go on, else what to exit with: help and version are printed, mistakes are told. */
int options_parse(struct options *options, int argc, char **argv);
