# SPDX-License-Identifier: MIT
# Layer 3: the configuration, from its files to plain data.
noinst_LIBRARIES += libconfig.a
libconfig_a_SOURCES = \
	%D%/bytes.c \
	%D%/check.c \
	%D%/config.c %D%/config.h \
	%D%/draft.c %D%/draft.h \
	%D%/files.c %D%/files.h \
	%D%/kept.c \
	%D%/name_find.c \
	%D%/names.c \
	%D%/notes.c \
	%D%/numbers.c \
	%D%/people.c %D%/people.h \
	%D%/read.c \
	%D%/scan.c %D%/scan.h \
	%D%/table.c %D%/table.h \
	%D%/type.c %D%/type.h \
	%D%/values.c \
	%D%/wire_messages.c %D%/wire_messages.h
