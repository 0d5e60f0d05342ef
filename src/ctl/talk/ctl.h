/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The common part of ftcpctl's verbs: the options before or behind any verb, the exit codes, and
 * the way to fail. A verb returns its exit code. The *words* of a failure, a text for people, are
 * left in ctl->why with ctl_fail(); ctl_end() prints them once, on stderr.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

enum ctl_exit {
        CTL_DONE,
        CTL_FAILED,
        CTL_USAGE,
        CTL_UNREACHABLE,
        CTL_DENIED,
};

enum ctl_json { CTL_JSON_OFF, CTL_JSON_SHORT, CTL_JSON_PRETTY };

struct bus;

struct ctl {
        const struct verb *verb;
        enum ctl_json json;
        const char *socket;   /* as given; NULL: by instance. See ctl_socket() */
        const char *instance; /* NULL: the instance without a name */
        struct bus *bus;      /* owned; NULL until the first call */
        char path[256];       /* of the control socket */
        uint64_t limit;       /* the deadline of all calls, from the verb's --timeout=; 0: none */
        int absence;          /* the errno of a call that did not reach ftcpd; 0: reached */
        bool turned_away;     /* with absence EPIPE or ECONNRESET: by a process that lives */
        char error[128];      /* the name of the error in the last reply; empty: no error */
        char why[1024];       /* the words of the failure; empty: none */
};

/*
 * One option. The parser, --help, the manual's test and the shells' completions all read this row.
 * `words` tells the shells the possible arguments: words with blanks between, or one of "@file",
 * "@state", "@verb", "@instance" and "@client" (the ID of a client); NULL: unknown.
 */
struct verb_option {
        int value;            /* the result of ctl_option(); for a short option, the letter */
        const char *name;     /* of a long option; NULL: a short option */
        const char *argument; /* the name in --help; NULL: no argument */
        const char *help;     /* a line of any length */
        const char *words;
};

struct verb {
        const char *name;
        const char *arguments; /* as in the manual's synopsis */
        const char *help;      /* one line */
        const char *more;      /* shown by `VERB --help` below the options, or NULL */
        int (*run)(struct ctl *ctl, int argc, char **argv);
        int usage;                         /* exit code for a wrong command line; 0: CTL_USAGE */
        const struct verb_option *options; /* of this verb, ended by an empty row; NULL: none */
        const char *words;                 /* of the argument, as verb_option.words */
};

/* Values of a verb's own long options begin here. */
enum { CTL_OPTION = 0x100 };

/* The verbs, ended by a row without a name. */
extern const struct verb ctl_verbs[];

/* The options of all verbs, ended by an empty row. */
extern const struct verb_option ctl_options[];

/* The path of the control socket; owned by ctl. */
const char *ctl_socket(struct ctl *ctl);

/* Leaves words in ctl->why, cut if too long. Returns code. */
__attribute__((format(printf, 3, 4))) int ctl_fail(struct ctl *ctl, int code, const char *format,
                                                   ...);

/* The last step of the program: flushes stdout, prints the words that are left, and returns the
 * exit code. CTL_DONE becomes a failure if the output could not be written. */
int ctl_end(struct ctl *ctl, int code);

/*
 * The next option of a verb, whose name is argv[0]. Returns the value of an option of the verb's
 * row; -1 behind the last option, with optind at the first argument; or '?' if the command line is
 * wrong: words are left, and the verb returns ctl_usage(ctl, NULL). Handles the options of all
 * verbs itself; --help, --version and --list-verbs end the program.
 */
int ctl_option(struct ctl *ctl, int argc, char **argv);

/* Returns the exit code of a wrong command line. Leaves `words`, unless `words` is NULL or ctl->why
 * has words already. */
int ctl_usage(struct ctl *ctl, const char *words);

/* Parses the command line of a verb without own options and with up to max arguments, which then
 * begin at optind. Returns 0, or the exit code with words left. */
int ctl_arguments(struct ctl *ctl, int argc, char **argv, int max);

/* Parses text, the argument of option, as a time span; false, with words left, if wrong. */
bool ctl_span(struct ctl *ctl, const char *option, const char *text, uint64_t *usec);

/* Parses text as a size in bytes, as ctl_span() does a span. */
bool ctl_size(struct ctl *ctl, const char *option, const char *text, uint64_t *size);

/* Parses text as a number, as ctl_span() does a span. */
bool ctl_number(struct ctl *ctl, const char *option, const char *text, uint64_t *number);

/* Sets ctl->limit from a verb's --timeout=: timeout_usec from now and 2 seconds more, in which the
 * daemon's own answer to the timeout can come. */
void ctl_limit(struct ctl *ctl, uint64_t timeout_usec);

/* Prints value in the form of --json=; `off` prints the pretty form. Returns CTL_DONE, or the exit
 * code with words left. */
int ctl_print_json(struct ctl *ctl, const json_t *value);
