/* SPDX-License-Identifier: MIT */
/* The verb `config`: the configuration in force, as a table with origins, or as a file. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/show/show.h"
#include "ctl/talk/bus.h"
#include "ctl/talk/ctl.h"
#include "ctl/verbs/verbs.h"

enum { WIDTH = 80, KEY = 20, VALUE = 28, ORIGIN = 4200 };

const struct verb_option verb_config_options[] = {
        {CTL_OPTION, "cat", NULL, "as a file that ftcpd could read", NULL},
        {0},
};

const char verb_config_more[] =
        "Every setting with its value, and the file and line that it is from. Greetings\n"
        "may be secrets: of them only the number is known here, and --cat leaves them\n"
        "as a comment. What the files say that is not in force yet, a reload tells.\n";

/* Returns "FILE:LINE", "FILE" without a line number, or NULL for a default. */
static const char *origin_text(const json_t *setting, char text[ORIGIN])
{
        const char *file = member_text(setting, "file", NULL);
        int64_t line = member_int(setting, "line", 0);

        if (!file)
                return NULL;
        if (line > 0)
                snprintf(text, ORIGIN, "%s:%" PRId64, file, line);
        else
                snprintf(text, ORIGIN, "%s", file);
        return text;
}

/* Prints the header of setting's section, unless *before is the same section. Updates *before. */
static void print_section(const json_t *setting, const char **before)
{
        const char *section = member_text(setting, "section", "?");

        if (*before && strcmp(section, *before) == 0)
                return;
        fputs(*before ? "\n[" : "[", stdout);
        show_safe(stdout, section, strlen(section), SIZE_MAX);
        puts("]");
        *before = section;
}

/* Prints text with escapes. Returns the columns taken, one for each byte of text. */
static int print_safe(const char *text)
{
        show_safe(stdout, text, strlen(text), SIZE_MAX);
        return (int)strlen(text);
}

static void print_row(const json_t *setting, bool colour)
{
        char origin[ORIGIN];
        const char *value = member_text(setting, "value", ""), *from = origin_text(setting, origin);
        bool dim = colour && !from;
        int at;

        fputs(dim ? "\033[2m  " : "  ", stdout);
        at = 2 + print_safe(member_text(setting, "key", "?"));
        printf("%*s ", at < KEY ? KEY - at : 0, "");
        at = (at < KEY ? KEY : at) + 1;
        at += print_safe(*value ? value : "(none)");
        if (!from)
                from = "default";
        if (at > KEY + VALUE && at + 2 + (int)strlen(from) > WIDTH) {
                printf("\n%*s", KEY + 1, "");
        } else {
                int pad = KEY + 1 + VALUE - at;

                printf("%*s  ", pad > 0 ? pad : 0, "");
        }
        print_safe(from);
        puts(dim ? "\033[0m" : "");
}

static void print_line(const json_t *setting, const char **origin_before, char before[ORIGIN])
{
        char origin[ORIGIN];
        const char *value = member_text(setting, "value", ""), *from = origin_text(setting, origin);
        bool hidden = strncmp(value, "(set, ", 6) == 0;

        if (from && !(*origin_before && strcmp(before, from) == 0)) {
                fputs("# ", stdout);
                print_safe(from);
                putchar('\n');
        }
        if (from)
                *origin_before = strcpy(before, from);
        else
                *origin_before = NULL;
        fputs(hidden ? "# " : "", stdout);
        print_safe(member_text(setting, "key", "?"));
        putchar('=');
        print_safe(value);
        putchar('\n');
}

static void print_settings(const json_t *settings, bool cat)
{
        const char *section = NULL, *origin = NULL;
        bool colour = show_colour();
        char before[ORIGIN] = "";

        for (size_t i = 0; i < json_array_size(settings); i++) {
                const json_t *setting = json_array_get(settings, i);

                print_section(setting, &section);
                if (cat)
                        print_line(setting, &origin, before);
                else
                        print_row(setting, colour);
        }
}

int verb_config(struct ctl *ctl, int argc, char **argv)
{
        json_t *result = NULL;
        bool cat = false;
        int option, code;

        while ((option = ctl_option(ctl, argc, argv)) != -1) {
                if (option == '?')
                        return ctl_usage(ctl, NULL);
                cat = true;
        }
        if (optind < argc)
                return ctl_usage(ctl, "config takes no argument");
        code = bus_call(ctl, "io.ftcpd.GetConfig", NULL, &result);
        if (code == CTL_DONE && ctl->json != CTL_JSON_OFF)
                code = ctl_print_json(ctl, result);
        else if (code == CTL_DONE)
                print_settings(json_object_get(result, "settings"), cat);
        json_decref(result);
        return code;
}
