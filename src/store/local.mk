# SPDX-License-Identifier: MIT
# Layer 4: the memory that outlives a process, with its logs and cursors.
noinst_LIBRARIES += libstore.a
libstore_a_SOURCES = \
	%D%/cursor.c %D%/cursor.h \
	%D%/cursor_deal.c \
	%D%/cursor_internal.h \
	%D%/histogram.c %D%/histogram.h \
	%D%/image.h \
	%D%/log.c %D%/log.h \
	%D%/log_internal.h \
	%D%/log_take.c \
	%D%/log_walk.c \
	%D%/marks.c %D%/marks.h \
	%D%/store.c %D%/store.h \
	%D%/store_image.c \
	%D%/store_internal.h \
	%D%/waits.c %D%/waits.h
