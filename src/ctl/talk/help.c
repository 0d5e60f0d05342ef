/* SPDX-License-Identifier: MIT */
#include "ctl/talk/help.h"

#include <stdio.h>
#include <string.h>

#include "core/state.h"
#include "ctl/show/show.h"
#include "ctl/talk/ctl.h"

enum { WIDTH = 80, VERB_COLUMN = 34, OPTION_COLUMN_MAX = 34, HEAD = 64 };

/* "-n N", "--timeout=T". */
static void option_head(const struct verb_option *option, char text[HEAD])
{
        const char *argument = option->argument;

        if (option->name)
                snprintf(text, HEAD, "--%s%s%s", option->name, argument ? "=" : "",
                         argument ? argument : "");
        else
                snprintf(text, HEAD, "-%c%s%s", option->value, argument ? " " : "",
                         argument ? argument : "");
}

static int head_width(const struct verb_option *options)
{
        char head[HEAD];
        int width = 0;

        for (; options->value; options++) {
                option_head(options, head);
                if ((int)strlen(head) > width)
                        width = (int)strlen(head);
        }
        return width + 4 < OPTION_COLUMN_MAX ? width : OPTION_COLUMN_MAX - 4;
}

static void help_options(const struct verb_option *options)
{
        int width = head_width(options);
        char head[HEAD];

        for (; options->value; options++) {
                option_head(options, head);
                printf("  %-*s", width, head);
                if ((int)strlen(head) > width)
                        printf("\n  %*s", width, "");
                fputs("  ", stdout);
                show_wrapped(stdout, options->help, width + 4, width + 4, WIDTH - 1);
        }
}

void help_all(void)
{
        printf("Usage: ftcpctl [OPTION...] [VERB [ARGUMENT...]]\n"
               "Ask, watch and steer a running ftcpd, and speak through it.\n\n");
        for (const struct verb *verb = ctl_verbs; verb->name; verb++) {
                int n = printf("  %s%s%s", verb->name, *verb->arguments ? " " : "",
                               verb->arguments);

                if (n > VERB_COLUMN - 2)
                        n = printf("\n") - 1;
                printf("%*s%s\n", VERB_COLUMN - n, "", verb->help);
        }
        printf("\nOptions, before or behind the verb:\n");
        help_options(ctl_options);
        printf("\nExits with 0 done, 1 failed, 2 usage, 3 ftcpd can't be reached, 4 not "
               "permitted.\n");
}

void help_verb(const struct verb *verb)
{
        bool fits =
                strlen("Usage: ftcpctl  ") + strlen(verb->name) + strlen(verb->arguments) < WIDTH;

        printf("Usage:%cftcpctl %s%s%s\n%s.\n", fits ? ' ' : '\n', verb->name,
               *verb->arguments ? " " : "", verb->arguments, verb->help);
        if (verb->options) {
                putchar('\n');
                help_options(verb->options);
        }
        if (verb->more)
                printf("\n%s", verb->more);
        printf("\nThe options of all verbs: ftcpctl --help\n");
}

static void table_words(const char *words)
{
        if (words && strcmp(words, "@verb") == 0)
                for (const struct verb *verb = ctl_verbs; verb->name; verb++)
                        printf("%s%s", verb == ctl_verbs ? "" : " ", verb->name);
        else if (words && strcmp(words, "@state") == 0)
                for (int i = 0; i < LINK_STATES; i++)
                        printf("%s%s", i ? " " : "", link_state_name((enum link_state)i));
        else
                fputs(words ? words : "", stdout);
}

static void table_options(const char *verb, const struct verb_option *options)
{
        for (; options && options->value; options++) {
                if (options->name)
                        printf("option\t%s\t--%s\t", verb, options->name);
                else
                        printf("option\t%s\t-%c\t", verb, options->value);
                printf("%s\t", options->argument ? options->argument : "");
                table_words(options->words);
                printf("\t%s\n", options->help);
        }
}

void help_table(void)
{
        table_options("", ctl_options);
        for (const struct verb *verb = ctl_verbs; verb->name; verb++) {
                printf("verb\t%s\t%s\t", verb->name, verb->arguments);
                table_words(verb->words);
                printf("\t%s\n", verb->help);
                table_options(verb->name, verb->options);
        }
}
