/* SPDX-License-Identifier: MIT */
#pragma once
/* What ftcpctl says of itself, all of it from the table of verbs. */

struct verb;

/* `ftcpctl --help`. */
void help_all(void);

/* `ftcpctl VERB --help`. */
void help_verb(const struct verb *verb);

/*
 * `ftcpctl --list-verbs`, for what is generated from the table: a line each, its fields behind
 * tabs, which may be empty.
 *
 *     verb    NAME  ARGUMENTS  WORDS  HELP
 *     option  VERB  OPTION  ARGUMENT  WORDS  HELP
 *
 * VERB is empty for the options of all verbs. WORDS are what an argument may be, or @file or
 * @instance.
 */
void help_table(void);
