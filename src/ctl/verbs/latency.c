/* SPDX-License-Identifier: MIT */
/* The verb `latency`: a table of latencies, a line for each kind. */
#include <stdio.h>
#include <string.h>

#include "ctl/show/show.h"
#include "ctl/talk/bus.h"
#include "ctl/talk/ctl.h"
#include "ctl/verbs/verbs.h"

const char verb_latency_more[] =
        "  heartbeat    from a heartbeat of ours to the next byte from the upstream: a\n"
        "               round trip only where the peer answers heartbeats\n"
        "  rtt          the kernel's smoothed round-trip time, looked at once a second\n"
        "               while anything is acknowledged\n"
        "  to-clients   from a message's arrival until it is written whole to a client\n"
        "  to-upstream  from a message's arrival until the kernel has it whole, for the\n"
        "               upstream, for the first time\n"
        "\n"
        "Since the service began. Median and P99 are at most 3 % off, the others exact.\n"
        "\n"
        "  loop-pass    the processor time of the longest pass of the event loop since\n"
        "               the process began: as long everything else had to wait\n";

static void print_span(const json_t *histogram, const char *key)
{
        char text[SHOW_SIZE];

        if (member_int(histogram, "count", 0) <= 0)
                printf("%11s", "-");
        else
                printf("%11s", show_span((uint64_t)member_int(histogram, key, 0), text));
}

static void print_histogram(const json_t *histogram)
{
        const char *name = member_text(histogram, "name", "?");
        char text[SHOW_SIZE];
        int64_t count = member_int(histogram, "count", 0);

        show_safe(stdout, name, strlen(name), 20);
        printf("%*s%10s", strlen(name) < 14 ? 14 - (int)strlen(name) : 1, "",
               show_number(count > 0 ? (uint64_t)count : 0, text));
        print_span(histogram, "minUsec");
        print_span(histogram, "medianUsec");
        print_span(histogram, "p99Usec");
        print_span(histogram, "maxUsec");
        putchar('\n');
}

static void print_table(const json_t *histograms)
{
        printf("%-14s%10s%11s%11s%11s%11s\n", "LATENCY", "COUNT", "MIN", "MEDIAN", "P99", "MAX");
        for (size_t i = 0; i < json_array_size(histograms); i++)
                print_histogram(json_array_get(histograms, i));
}

/* One figure, in the column of the most. */
static void print_pass(const json_t *result)
{
        int64_t longest = member_int(result, "longestPassUsec", -1);
        char text[SHOW_SIZE];

        if (longest >= 0)
                printf("%-14s%10s%11s%11s%11s%11s\n", "loop-pass", "-", "-", "-", "-",
                       show_span((uint64_t)longest, text));
}

int verb_latency(struct ctl *ctl, int argc, char **argv)
{
        json_t *result = NULL;
        int code = ctl_arguments(ctl, argc, argv, 0);

        if (code)
                return code;
        code = bus_call(ctl, "io.ftcpd.GetLatency", NULL, &result);
        if (code == CTL_DONE && ctl->json != CTL_JSON_OFF) {
                code = ctl_print_json(ctl, result);
        } else if (code == CTL_DONE) {
                print_table(json_object_get(result, "histograms"));
                print_pass(result);
        }
        json_decref(result);
        return code;
}
