/* SPDX-License-Identifier: MIT */
/* Prometheus text, for a scraper or for node_exporter's textfile collector. */
#include "ctl/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/bus.h"
#include "ctl/ctl.h"

enum { OPTION_OUTPUT = CTL_OPTION };

const struct verb_option verb_metrics_options[] = {
        {OPTION_OUTPUT, "output", "FILE", "put the text there, whole or not at all", "@file"},
        {0},
};

const char verb_metrics_more[] =
        "The names are listed in ftcpd-metrics(7). Where ftcpd can't be reached, FILE\n"
        "says `ftcpd_up 0` and nothing else, so that it never goes on saying what was,\n"
        "and the exit code is 3.\n";

static int write_failed(struct ctl *ctl, const char *path)
{
        return ctl_fail(ctl, CTL_FAILED, "%s: %s", path, strerror(errno));
}

static bool write_all(int fd, const char *text)
{
        size_t left = strlen(text);

        while (left) {
                ssize_t n = write(fd, text, left);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return false;
                text += n;
                left -= (size_t)n;
        }
        return true;
}

/* "DIR/.NAME.XXXXXX", to be freed: a name that no collector reads, beside the one that is wanted.
 */
static char *name_beside(const char *path)
{
        const char *slash = strrchr(path, '/');
        int folder = slash ? (int)(slash - path) + 1 : 0;
        char *name;

        return asprintf(&name, "%.*s.%s.XXXXXX", folder, path, path + folder) < 0 ? NULL : name;
}

/* Readers find the old file or the new one, after a crash of the machine too. */
static int write_file(struct ctl *ctl, const char *path, const char *text)
{
        char *beside = name_beside(path);
        int fd, code = CTL_DONE;

        if (!beside)
                return ctl_fail(ctl, CTL_FAILED, "no memory");
        fd = mkostemp(beside, O_CLOEXEC);
        if (fd < 0) {
                code = write_failed(ctl, path);
                goto out;
        }
        if (!write_all(fd, text) || fchmod(fd, 0644) < 0 || fsync(fd) < 0 ||
            rename(beside, path) < 0) {
                code = write_failed(ctl, path);
                unlink(beside);
        }
        close(fd);
out:
        free(beside);
        return code;
}

/* Keeps the words and the exit code of why it can't be reached. */
static int write_down(struct ctl *ctl, const char *path)
{
        char *text;
        int code;

        if (asprintf(&text,
                     "# HELP ftcpd_up Whether the link to the upstream is up.\n"
                     "# TYPE ftcpd_up gauge\n"
                     "ftcpd_up{link=\"%s\"} 0\n",
                     ctl->instance ? ctl->instance : "ftcpd") < 0)
                return CTL_UNREACHABLE;
        code = write_file(ctl, path, text);
        free(text);
        return code == CTL_DONE ? CTL_UNREACHABLE : code;
}

static int put_metrics(struct ctl *ctl, const json_t *result, const char *path)
{
        const char *text = json_string_value(json_object_get(result, "text"));

        if (!path && ctl->json != CTL_JSON_OFF)
                return ctl_print_json(ctl, result);
        if (!text)
                return ctl_fail(ctl, CTL_FAILED, "the answer has no text");
        if (path)
                return write_file(ctl, path, text);
        fputs(text, stdout);
        return CTL_DONE;
}

int verb_metrics(struct ctl *ctl, int argc, char **argv)
{
        const char *path = NULL;
        json_t *result = NULL;
        int option, code;

        while ((option = ctl_option(ctl, argc, argv)) != -1) {
                if (option == '?')
                        return ctl_usage(ctl, NULL);
                path = optarg;
        }
        if (optind < argc)
                return ctl_usage(ctl, "metrics takes no argument");
        if (path && (!*path || path[strlen(path) - 1] == '/'))
                return ctl_usage(ctl, "--output needs the name of a file");
        code = bus_call(ctl, "io.ftcpd.GetMetrics", NULL, &result);
        if (code == CTL_DONE)
                code = put_metrics(ctl, result, path);
        else if (code == CTL_UNREACHABLE && path)
                code = write_down(ctl, path);
        json_decref(result);
        return code;
}
