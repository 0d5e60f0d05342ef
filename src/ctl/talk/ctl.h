/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What the verbs of ftcpctl share: the options that stand before or behind any verb, the exit
 * codes, and the way to fail. A verb returns its exit code; the words of a failure are left with
 * ctl_fail() and printed once, on stderr, by main.
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
        const char *instance; /* NULL: the unnamed one */
        struct bus *bus;      /* NULL until the first call, owned */
        char path[256];       /* of the control socket */
        uint64_t limit;       /* when the verb's own --timeout= ends any call; 0: never */
        int absence;          /* the errno for which ftcpd could not be reached; 0: it could */
        char error[128];      /* the name of the error that the last call was answered with */
        char why[1024];       /* of the failure, for people; empty: nothing to say */
};

/*
 * One option. What parses it, --help, the manual's test and the shells' completions all read this
 * row. `words` says to the shells what the argument may be: words with blanks between, or one of
 * "@file", "@state", "@verb", "@instance" and "@client" (its ID); NULL: they can't know.
 */
struct verb_option {
        int value;            /* what ctl_option() returns; of a short option, its letter */
        const char *name;     /* the long one; NULL: it is a short one */
        const char *argument; /* as --help calls it; NULL: it takes none */
        const char *help;     /* a line of any length */
        const char *words;
};

struct verb {
        const char *name;
        const char *arguments; /* as the manual's synopsis has them */
        const char *help;      /* one line */
        const char *more;      /* shown by `VERB --help` below the options, or NULL */
        int (*run)(struct ctl *ctl, int argc, char **argv);
        int usage;                         /* what a wrong command line exits with; 0: CTL_USAGE */
        const struct verb_option *options; /* its own, ended by an empty row; NULL: none */
        const char *words;                 /* of its argument; as those of an option */
};

/* Values of a verb's own long options begin here. */
enum { CTL_OPTION = 0x100 };

/* The verbs, ended by a row without a name; the options of all verbs, ended by an empty row. */
extern const struct verb ctl_verbs[];
extern const struct verb_option ctl_options[];

/* Where the control socket is. */
const char *ctl_socket(struct ctl *ctl);

/* Leaves the words, and returns `code`. */
__attribute__((format(printf, 3, 4))) int ctl_fail(struct ctl *ctl, int code, const char *format,
                                                   ...);

/* The end of the program: prints the words that are left, and returns the exit code. What was done
 * and could not be printed is not done. */
int ctl_end(struct ctl *ctl, int code);

/*
 * The next option of a verb: those of its row are returned by their value, those of all verbs are
 * taken care of. Returns -1 behind the last (optind then is the first argument), or '?' where the
 * command line is wrong: words are left, and the verb returns ctl_usage(ctl, NULL). argv[0] is the
 * verb. Ends the program after --help and --version.
 */
int ctl_option(struct ctl *ctl, int argc, char **argv);

/* The exit code of a wrong command line; leaves `words` unless it is NULL or words are left. */
int ctl_usage(struct ctl *ctl, const char *words);

/* The command line of a verb that has no options of its own and takes up to `max` arguments, which
 * then begin at optind. 0, or the exit code. */
int ctl_arguments(struct ctl *ctl, int argc, char **argv, int max);

/* From an option's argument; false where it is none, with words that name the option. */
bool ctl_span(struct ctl *ctl, const char *option, const char *text, uint64_t *usec);
bool ctl_size(struct ctl *ctl, const char *option, const char *text, uint64_t *size);
bool ctl_number(struct ctl *ctl, const char *option, const char *text, uint64_t *number);

/* From a verb's --timeout=: no answer is waited for longer, but for a moment in which one can come
 * that says what is known at that time. */
void ctl_limit(struct ctl *ctl, uint64_t timeout_usec);

/* Prints a value as --json= says; `off` prints it as pretty. */
int ctl_print_json(struct ctl *ctl, const json_t *value);
