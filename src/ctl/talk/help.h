/* SPDX-License-Identifier: MIT */
#pragma once
/* The help texts of ftcpctl, printed on stdout from the table of verbs. */

struct verb;

/* `ftcpctl --help`. */
void help_all(void);

/* `ftcpctl VERB --help`. */
void help_verb(const struct verb *verb);

/*
 * `ftcpctl --list-verbs`, for files generated from the table: one line for each verb and each
 * option. Tabs separate the fields; a field may be empty.
 *
 *     verb    NAME  ARGUMENTS  WORDS  HELP
 *     option  VERB  OPTION  ARGUMENT  WORDS  HELP
 *
 * VERB is empty for the options of all verbs. WORDS are the possible arguments, or @file, @instance
 * or @client.
 */
void help_table(void);
