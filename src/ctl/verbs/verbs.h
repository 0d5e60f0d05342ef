/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The verbs of ftcpctl, one file a family. A verb takes its command line, with its own name in
 * argv[0], and returns the exit code of the program, with words left in ctl after a failure. The
 * verb's row in ctl_verbs names its ..._options, and its ..._more, the text that `VERB --help`
 * shows below the options.
 */

#include "ctl/talk/ctl.h"

/* status.c */
int verb_status(struct ctl *ctl, int argc, char **argv);

/* health.c; the enumerators are exit codes. */
enum { VERB_HEALTH_OK, VERB_HEALTH_WARNING, VERB_HEALTH_CRITICAL, VERB_HEALTH_UNKNOWN };
extern const struct verb_option verb_health_options[];
extern const char verb_health_more[];
int verb_health(struct ctl *ctl, int argc, char **argv);

/* wait.c */
extern const struct verb_option verb_wait_options[];
extern const char verb_wait_more[];
int verb_wait(struct ctl *ctl, int argc, char **argv);

/* clients.c */
int verb_clients(struct ctl *ctl, int argc, char **argv);

/* events.c */
extern const struct verb_option verb_events_options[];
extern const char verb_events_more[];
int verb_events(struct ctl *ctl, int argc, char **argv);

/* latency.c, metrics.c */
extern const char verb_latency_more[];
int verb_latency(struct ctl *ctl, int argc, char **argv);
extern const struct verb_option verb_metrics_options[];
extern const char verb_metrics_more[];
int verb_metrics(struct ctl *ctl, int argc, char **argv);

/* reload.c, call.c */
extern const char verb_reload_more[];
int verb_reload(struct ctl *ctl, int argc, char **argv);
extern const struct verb_option verb_call_options[];
extern const char verb_call_more[];
int verb_call(struct ctl *ctl, int argc, char **argv);

/* steer.c */
extern const struct verb_option verb_hold_options[];
extern const char verb_hold_more[];
int verb_hold(struct ctl *ctl, int argc, char **argv);
extern const char verb_release_more[];
int verb_release(struct ctl *ctl, int argc, char **argv);
extern const char verb_reconnect_more[];
int verb_reconnect(struct ctl *ctl, int argc, char **argv);
extern const char verb_drop_more[];
int verb_drop(struct ctl *ctl, int argc, char **argv);
extern const char verb_log_level_more[];
int verb_log_level(struct ctl *ctl, int argc, char **argv);

/* flush.c */
extern const struct verb_option verb_flush_options[];
extern const char verb_flush_more[];
int verb_flush(struct ctl *ctl, int argc, char **argv);

/* send.c, recv.c */
extern const struct verb_option verb_send_options[];
extern const char verb_send_more[];
int verb_send(struct ctl *ctl, int argc, char **argv);
extern const struct verb_option verb_recv_options[];
extern const char verb_recv_more[];
int verb_recv(struct ctl *ctl, int argc, char **argv);

/* tap.c */
extern const struct verb_option verb_tap_options[];
extern const char verb_tap_more[];
int verb_tap(struct ctl *ctl, int argc, char **argv);

/* settings.c */
extern const struct verb_option verb_config_options[];
extern const char verb_config_more[];
int verb_config(struct ctl *ctl, int argc, char **argv);

/* ctl/top */
extern const struct verb_option verb_top_options[];
extern const char verb_top_more[];
int verb_top(struct ctl *ctl, int argc, char **argv);

/* ctl/peer */
extern const struct verb_option verb_peer_options[];
extern const char verb_peer_more[];
int verb_peer(struct ctl *ctl, int argc, char **argv);

/* ctl/main.c */
int verb_help(struct ctl *ctl, int argc, char **argv);
