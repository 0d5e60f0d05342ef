# SPDX-License-Identifier: MIT
# Layer 3: the configuration, from its files to plain data.
noinst_LIBRARIES += libconfig.a
libconfig_a_SOURCES = \
	%D%/config.c %D%/config.h \
	%D%/config_bytes.c \
	%D%/config_check.c \
	%D%/config_draft.c %D%/config_draft.h \
	%D%/config_files.c %D%/config_files.h \
	%D%/config_kept.c \
	%D%/config_names.c \
	%D%/config_notes.c \
	%D%/config_numbers.c \
	%D%/config_people.c \
	%D%/config_read.c \
	%D%/config_scan.c %D%/config_scan.h \
	%D%/config_table.c %D%/config_table.h \
	%D%/config_type.c %D%/config_type.h \
	%D%/config_values.c \
	%D%/phrases.c %D%/phrases.h
