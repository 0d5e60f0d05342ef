/* SPDX-License-Identifier: MIT */
#include "ctl/talk/ctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "ctl/show/show.h"
#include "ctl/talk/help.h"
#include "util/clock.h"
#include "util/suggest.h"
#include "util/units.h"

enum {
        GLOBAL_JSON = 0x200,
        GLOBAL_SOCKET,
        GLOBAL_INSTANCE,
        GLOBAL_HELP,
        GLOBAL_VERSION,
        GLOBAL_LIST,
};

const struct verb_option ctl_options[] = {
        {'j', NULL, NULL, "JSON on stdout: pretty on a terminal, else short", NULL},
        {GLOBAL_JSON, "json", "pretty|short|off", "JSON on stdout, or not", "pretty short off"},
        {GLOBAL_SOCKET, "socket", "PATH", "the control socket [/run/ftcpd.varlink]", "@file"},
        {GLOBAL_INSTANCE, "instance", "NAME", "of the instance ftcpd@NAME", "@instance"},
        {GLOBAL_HELP, "help", NULL, "this, or behind a verb, that verb", NULL},
        {'h', NULL, NULL, "the same", NULL},
        {GLOBAL_VERSION, "version", NULL, "the version", NULL},
        {GLOBAL_LIST, "list-verbs", NULL, "this as a table, for programs", NULL},
        {0},
};

enum { OPTIONS_MAX = 40, LETTERS_MAX = 32 };
enum { ANSWER_USEC = 2 * 1000 * 1000 }; /* time for the daemon's answer to a timeout */

int ctl_fail(struct ctl *ctl, int code, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        vsnprintf(ctl->why, sizeof(ctl->why), format, args);
        va_end(args);
        return code;
}

int ctl_usage(struct ctl *ctl, const char *words)
{
        const char *name = ctl->verb ? ctl->verb->name : "";

        if (words && !*ctl->why)
                ctl_fail(ctl, 0, "%s; see `ftcpctl %s%s--help`", words, name, *name ? " " : "");
        return ctl->verb && ctl->verb->usage ? ctl->verb->usage : CTL_USAGE;
}

const char *ctl_socket(struct ctl *ctl)
{
        if (ctl->socket)
                return ctl->socket;
        if (ctl->instance)
                snprintf(ctl->path, sizeof(ctl->path), "/run/ftcpd/%s.varlink", ctl->instance);
        else
                snprintf(ctl->path, sizeof(ctl->path), "/run/ftcpd.varlink");
        return ctl->path;
}

static bool set_json(struct ctl *ctl, const char *text)
{
        static const char *const names[] = {
                [CTL_JSON_OFF] = "off", [CTL_JSON_SHORT] = "short", [CTL_JSON_PRETTY] = "pretty"};

        for (int i = 0; i < 3; i++)
                if (strcmp(text, names[i]) == 0) {
                        ctl->json = (enum ctl_json)i;
                        return true;
                }
        ctl_fail(ctl, 0, "--json=%s: expected pretty, short or off", text);
        return false;
}

static bool set_socket(struct ctl *ctl, const char *text)
{
        if (!*text) {
                ctl_fail(ctl, 0, "--socket is empty: expected the path of a control socket");
                return false;
        }
        ctl->socket = text;
        return true;
}

static bool set_instance(struct ctl *ctl, const char *text)
{
        if (!*text || strchr(text, '/') || strlen(text) > 80) {
                ctl_fail(ctl, 0, "--instance %s: expected the NAME of an ftcpd@NAME", text);
                return false;
        }
        ctl->instance = text;
        return true;
}

int ctl_end(struct ctl *ctl, int code)
{
        bool lost = ferror(stdout); /* an earlier write failed; its errno is lost */
        const char *why = fflush(stdout) != 0 ? strerror(errno) : "not all could be written";

        if (code == CTL_DONE && (lost || ferror(stdout))) {
                /* A verb may have its own code: the codes of `health` have another meaning. */
                code = ctl->verb && ctl->verb->usage ? ctl->verb->usage : CTL_FAILED;
                ctl_fail(ctl, code, "stdout: %s", why);
        }
        if (*ctl->why) { /* the words may contain text of other programs */
                fputs("ftcpctl: ", stderr);
                show_safe(stderr, ctl->why, strlen(ctl->why), sizeof(ctl->why));
                fputc('\n', stderr);
        }
        return code;
}

static _Noreturn void leave(struct ctl *ctl)
{
        exit(ctl_end(ctl, CTL_DONE));
}

/* Handles an option of all verbs. Returns 0; '?' if the argument is wrong; or option itself, for an
 * option of the verb. */
static int global_option(struct ctl *ctl, int option)
{
        switch (option) {
        case 'j': ctl->json = isatty(STDOUT_FILENO) ? CTL_JSON_PRETTY : CTL_JSON_SHORT; return 0;
        case GLOBAL_JSON: return set_json(ctl, optarg) ? 0 : '?';
        case GLOBAL_SOCKET: return set_socket(ctl, optarg) ? 0 : '?';
        case GLOBAL_INSTANCE: return set_instance(ctl, optarg) ? 0 : '?';
        case GLOBAL_VERSION: printf("ftcpctl %s\n", PACKAGE_VERSION); leave(ctl);
        case 'h':
        case GLOBAL_HELP:
                if (ctl->verb)
                        help_verb(ctl->verb);
                else
                        help_all();
                leave(ctl);
        case GLOBAL_LIST: help_table(); leave(ctl);
        default: return option;
        }
}

/* The long option most similar to `given`, or NULL. */
static const char *suggest_option(const struct ctl *ctl, const char *given)
{
        char name[64];
        struct suggest near = suggest_begin(name);

        if (strncmp(given, "--", 2) != 0)
                return NULL;
        snprintf(name, sizeof(name), "%.*s", (int)strcspn(given + 2, "="), given + 2);
        for (const struct verb_option *row = ctl_options; row->value; row++)
                if (row->name)
                        suggest_offer(&near, row->name);
        for (const struct verb_option *row = ctl->verb ? ctl->verb->options : NULL;
             row && row->value; row++)
                if (row->name)
                        suggest_offer(&near, row->name);
        return suggest_best(&near);
}

static void complain(struct ctl *ctl, int result, char **argv)
{
        const char *given = argv[optind - 1], *meant = suggest_option(ctl, given);
        char words[256];

        if (result == ':')
                snprintf(words, sizeof(words), "%.60s needs an argument", given);
        else if (optopt > 0 && optopt < CTL_OPTION)
                snprintf(words, sizeof(words), "there is no option -%c here", optopt);
        else if (optopt)
                snprintf(words, sizeof(words), "%.60s: this option takes no argument", given);
        else
                snprintf(words, sizeof(words), "there is no option %.60s here%s%s%s", given,
                         meant ? " (did you mean --" : "", meant ? meant : "", meant ? "?)" : "");
        ctl_usage(ctl, words);
}

/* Converts a table for getopt: adds the long options to `all` from index n on, the short options to
 * `letters`. Returns the new number of long options. */
static int add_options(const struct verb_option *rows, struct option all[OPTIONS_MAX], int n,
                       char letters[LETTERS_MAX])
{
        for (; rows && rows->value; rows++) {
                int argument = rows->argument ? required_argument : no_argument;
                size_t used = strlen(letters);

                if (rows->name && n < OPTIONS_MAX - 1)
                        all[n++] = (struct option){rows->name, argument, NULL, rows->value};
                else if (!rows->name)
                        snprintf(letters + used, LETTERS_MAX - used, "%c%s", rows->value,
                                 rows->argument ? ":" : "");
        }
        return n;
}

int ctl_option(struct ctl *ctl, int argc, char **argv)
{
        struct option all[OPTIONS_MAX] = {0};
        /* Before the verb, options end at the first argument, which is the verb. */
        char letters[LETTERS_MAX] = "+:";
        int n, result;

        if (ctl->verb)
                strcpy(letters, ":");
        n = add_options(ctl_options, all, 0, letters);
        if (ctl->verb)
                add_options(ctl->verb->options, all, n, letters);
        opterr = 0;
        do {
                result = getopt_long(argc, argv, letters, all, NULL);
                if (result == '?' || result == ':') {
                        complain(ctl, result, argv);
                        return '?';
                }
                result = global_option(ctl, result);
        } while (result == 0);
        return result;
}

int ctl_arguments(struct ctl *ctl, int argc, char **argv, int max)
{
        char words[128];

        if (ctl_option(ctl, argc, argv) != -1)
                return ctl_usage(ctl, NULL);
        if (argc - optind <= max)
                return 0;
        snprintf(words, sizeof(words), "%.60s: one argument too many", argv[optind + max]);
        return ctl_usage(ctl, words);
}

static bool parsed(struct ctl *ctl, int result, const char *option, const char *text,
                   const char *expected)
{
        if (result >= 0)
                return true;
        ctl_fail(ctl, 0, "%s %s: %s, expected %s", option, text,
                 result == -ERANGE ? "too large" : "not understood", expected);
        return false;
}

bool ctl_span(struct ctl *ctl, const char *option, const char *text, uint64_t *usec)
{
        return parsed(ctl, units_span_parse(text, usec), option, text,
                      "a time span like 250ms, 3s or 1min");
}

bool ctl_size(struct ctl *ctl, const char *option, const char *text, uint64_t *size)
{
        return parsed(ctl, units_size_parse(text, size), option, text,
                      "a size like 512, 64K or 16M");
}

bool ctl_number(struct ctl *ctl, const char *option, const char *text, uint64_t *number)
{
        return parsed(ctl, units_number_parse(text, number), option, text, "a number");
}

void ctl_limit(struct ctl *ctl, uint64_t timeout_usec)
{
        uint64_t deadline = clock_deadline(timeout_usec);

        ctl->limit = deadline > UINT64_MAX - ANSWER_USEC ? UINT64_MAX : deadline + ANSWER_USEC;
}

int ctl_print_json(struct ctl *ctl, const json_t *value)
{
        size_t flags = JSON_ENCODE_ANY;

        /* Text of other programs may contain C1 controls, which some terminals obey. */
        if (isatty(STDOUT_FILENO))
                flags |= JSON_ENSURE_ASCII;
        flags |= ctl->json == CTL_JSON_SHORT ? JSON_COMPACT : JSON_INDENT(2);
        if (json_dumpf(value, stdout, flags) < 0 || putchar('\n') == EOF)
                return ctl_fail(ctl, CTL_FAILED, "stdout: %s", strerror(errno));
        return CTL_DONE;
}
