/* SPDX-License-Identifier: MIT */
/* The verb `metrics`: Prometheus text, for a scraper or for node_exporter's textfile collector. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/talk/bus.h"
#include "ctl/talk/ctl.h"
#include "ctl/talk/whole_file.h"
#include "ctl/verbs/verbs.h"

enum { OPTION_OUTPUT = CTL_OPTION, OPTION_MODE };

const struct verb_option verb_metrics_options[] = {
        {OPTION_OUTPUT, "output", "FILE", "put the text there, whole or not at all", "@file"},
        {OPTION_MODE, "mode", "MODE", "the permissions of FILE, such as 644", NULL},
        {0},
};

const char verb_metrics_more[] =
        "The names are listed in ftcpd-metrics(7). Where nobody listens, or ftcpd hangs,\n"
        "FILE says `ftcpd_up 0` and nothing else, so that it never goes on saying what\n"
        "was, and the exit code is 3; where ftcpd only has no place for one more, FILE\n"
        "stays as it is. A new FILE is only for its owner (600, or less by the umask),\n"
        "owner and permissions of an existing one are kept, --mode sets them. A symbolic\n"
        "link stays one; root follows none. A FILE that is a pipe or a device is written\n"
        "to; - is stdout.\n";

struct output {
        const char *path; /* NULL: standard output */
        int mode;         /* as of whole_file_write() */
};

static int write_file(struct ctl *ctl, const struct output *output, const char *text)
{
        int result = whole_file_write(output->path, text, output->mode);

        return result < 0
                       ? ctl_fail(ctl, CTL_FAILED, "%s: %s", output->path, whole_file_error(result))
                       : CTL_DONE;
}

/*
 * True if the link is known not to be up: no process listens, or ftcpd hangs for so long that the
 * link is as good as down. A control socket without a free place, or a denied permission, tells
 * nothing about the link.
 */
static bool is_down(const struct ctl *ctl)
{
        return ctl->absence == ENOENT || ctl->absence == ECONNREFUSED || ctl->absence == ETIMEDOUT;
}

/* Writes `ftcpd_up 0`. Returns CTL_UNREACHABLE, and keeps the words in ctl->why, or the exit code
 * of a failed write. */
static int write_down(struct ctl *ctl, const struct output *output)
{
        char *text;
        int code;

        if (asprintf(&text,
                     "# %s\n"
                     "# HELP ftcpd_up Whether the link to the upstream is up.\n"
                     "# TYPE ftcpd_up gauge\n"
                     "ftcpd_up{link=\"%s\"} 0\n",
                     ctl->absence == ETIMEDOUT ? "ftcpd hangs: it does not answer."
                                               : "ftcpd is not running.",
                     ctl->instance ? ctl->instance : "ftcpd") < 0)
                return CTL_UNREACHABLE;
        code = write_file(ctl, output, text);
        free(text);
        return code == CTL_DONE ? CTL_UNREACHABLE : code;
}

static int put_metrics(struct ctl *ctl, const json_t *result, const struct output *output)
{
        const char *text = json_string_value(json_object_get(result, "text"));

        if (!output->path && ctl->json != CTL_JSON_OFF)
                return ctl_print_json(ctl, result);
        if (!text)
                return ctl_fail(ctl, CTL_FAILED, "the answer has no text");
        if (output->path)
                return write_file(ctl, output, text);
        fputs(text, stdout);
        return CTL_DONE;
}

/* Asks again after a closed connection: the daemon may have ended, and a successor may answer. */
static int ask(struct ctl *ctl, json_t **result)
{
        int code = bus_call(ctl, "io.ftcpd.GetMetrics", NULL, result);

        if (ctl->absence != EPIPE && ctl->absence != ECONNRESET)
                return code;
        json_decref(*result);
        return bus_call(ctl, "io.ftcpd.GetMetrics", NULL, result);
}

/* Takes the permissions of text, octal digits. */
static bool set_mode(struct output *output, const char *text)
{
        size_t size = strspn(text, "01234567");

        if (size < 3 || size > 4 || text[size] || strtol(text, NULL, 8) > 0777)
                return false;
        output->mode = (int)strtol(text, NULL, 8);
        return true;
}

int verb_metrics(struct ctl *ctl, int argc, char **argv)
{
        struct output output = {.mode = WHOLE_FILE_KEEP};
        const char *path = NULL;
        json_t *result = NULL;
        int option, code;

        while ((option = ctl_option(ctl, argc, argv)) != -1) {
                if (option == '?')
                        return ctl_usage(ctl, NULL);
                if (option == OPTION_OUTPUT)
                        path = optarg;
                else if (!set_mode(&output, optarg))
                        return ctl_usage(ctl, "--mode needs permissions in octal, such as 644");
        }
        if (optind < argc)
                return ctl_usage(ctl, "metrics takes no argument");
        if (path && (!*path || path[strlen(path) - 1] == '/'))
                return ctl_usage(ctl, "--output needs the name of a file");
        output.path = path && strcmp(path, "-") != 0 ? path : NULL;
        code = ask(ctl, &result);
        if (code == CTL_DONE)
                code = put_metrics(ctl, result, &output);
        else if (output.path && is_down(ctl))
                code = write_down(ctl, &output);
        json_decref(result);
        return code;
}
