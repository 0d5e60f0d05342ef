/* SPDX-License-Identifier: MIT */
#include "ctl/ctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "util/units.h"

enum { GLOBAL_JSON = 0x200, GLOBAL_SOCKET, GLOBAL_INSTANCE, GLOBAL_HELP, GLOBAL_VERSION };

static const struct option globals[] = {
        {"json", required_argument, NULL, GLOBAL_JSON},
        {"socket", required_argument, NULL, GLOBAL_SOCKET},
        {"instance", required_argument, NULL, GLOBAL_INSTANCE},
        {"help", no_argument, NULL, GLOBAL_HELP},
        {"version", no_argument, NULL, GLOBAL_VERSION},
};

enum { GLOBALS = sizeof(globals) / sizeof(*globals), OPTIONS_MAX = 40 };

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

static void help_all(void)
{
        printf("Usage: ftcpctl [OPTION...] [VERB [ARGUMENT...]]\n"
               "Ask, watch and steer a running ftcpd, and speak through it.\n\n");
        for (const struct verb *verb = ctl_verbs; verb->name; verb++) {
                int n = printf("  %s%s%s", verb->name, *verb->arguments ? " " : "",
                               verb->arguments);

                if (n > 32)
                        n = printf("\n") - 1;
                printf("%*s%s\n", 34 - n, "", verb->help);
        }
        printf("\n"
               "Options, before or behind the verb:\n"
               "  -j, --json=pretty|short|off     JSON on stdout; -j is pretty on a terminal\n"
               "      --socket PATH               the control socket [/run/ftcpd.varlink]\n"
               "      --instance NAME             of the instance ftcpd@NAME\n"
               "      --help                      this, or behind a verb, that verb\n"
               "      --version\n\n"
               "Exits with 0 done, 1 failed, 2 usage, 3 ftcpd can't be reached, 4 not "
               "permitted.\n");
}

static void help_verb(const struct verb *verb)
{
        printf("Usage: ftcpctl [OPTION...] %s%s%s\n%s.\n", verb->name, *verb->arguments ? " " : "",
               verb->arguments, verb->help);
        if (verb->more)
                printf("\n%s", verb->more);
        printf("\nThe options of all verbs: ftcpctl --help\n");
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

static bool set_instance(struct ctl *ctl, const char *text)
{
        if (!*text || strchr(text, '/') || strlen(text) > 80) {
                ctl_fail(ctl, 0, "--instance %s: expected the NAME of an ftcpd@NAME", text);
                return false;
        }
        ctl->instance = text;
        return true;
}

/* Takes care of an option of all verbs. 0, '?', or the option: it is the verb's. */
static int global_option(struct ctl *ctl, int option)
{
        switch (option) {
        case 'j': ctl->json = isatty(STDOUT_FILENO) ? CTL_JSON_PRETTY : CTL_JSON_SHORT; return 0;
        case GLOBAL_JSON: return set_json(ctl, optarg) ? 0 : '?';
        case GLOBAL_SOCKET: ctl->socket = optarg; return 0;
        case GLOBAL_INSTANCE: return set_instance(ctl, optarg) ? 0 : '?';
        case GLOBAL_VERSION: printf("ftcpctl %s\n", PACKAGE_VERSION); exit(CTL_DONE);
        case GLOBAL_HELP:
                if (ctl->verb)
                        help_verb(ctl->verb);
                else
                        help_all();
                exit(CTL_DONE);
        default: return option;
        }
}

static void complain(struct ctl *ctl, int result, char **argv)
{
        char words[256];

        if (result == ':')
                snprintf(words, sizeof(words), "%s needs an argument", argv[optind - 1]);
        else if (optopt > 0 && optopt < CTL_OPTION)
                snprintf(words, sizeof(words), "there is no option -%c here", optopt);
        else if (optopt)
                snprintf(words, sizeof(words), "%s takes no argument", argv[optind - 1]);
        else
                snprintf(words, sizeof(words), "there is no option %s here", argv[optind - 1]);
        ctl_usage(ctl, words);
}

int ctl_option(struct ctl *ctl, int argc, char **argv, const char *letters,
               const struct option *options)
{
        struct option all[OPTIONS_MAX] = {0};
        char short_options[32];
        int n = 0, result;

        for (; options && options->name && n < OPTIONS_MAX - GLOBALS - 1; options++)
                all[n++] = *options;
        memcpy(all + n, globals, sizeof(globals));
        /* Before the verb, options end at the first argument, which is the verb. */
        snprintf(short_options, sizeof(short_options), "%s:j%s", ctl->verb ? "" : "+", letters);
        opterr = 0;
        do {
                result = getopt_long(argc, argv, short_options, all, NULL);
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

        if (ctl_option(ctl, argc, argv, "", NULL) != -1)
                return ctl_usage(ctl, NULL);
        if (argc - optind <= max)
                return 0;
        snprintf(words, sizeof(words), "%.60s: one argument too many", argv[optind + max]);
        return ctl_usage(ctl, words);
}

static bool parsed(struct ctl *ctl, int r, const char *option, const char *text,
                   const char *expected)
{
        if (r >= 0)
                return true;
        ctl_fail(ctl, 0, "%s %s: %s, expected %s", option, text,
                 r == -ERANGE ? "too large" : "not understood", expected);
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

int ctl_print_json(struct ctl *ctl, const json_t *value)
{
        size_t flags = JSON_ENCODE_ANY;

        /* Text of others may hold C1 controls, which some terminals obey. */
        if (isatty(STDOUT_FILENO))
                flags |= JSON_ENSURE_ASCII;
        flags |= ctl->json == CTL_JSON_SHORT ? JSON_COMPACT : JSON_INDENT(2);
        if (json_dumpf(value, stdout, flags) < 0 || putchar('\n') == EOF)
                return ctl_fail(ctl, CTL_FAILED, "stdout: %s", strerror(errno));
        return CTL_DONE;
}
