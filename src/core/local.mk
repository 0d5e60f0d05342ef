# SPDX-License-Identifier: MIT
# Layer 2: words and pure rules; time comes in as an argument.
noinst_LIBRARIES += libcore.a
libcore_a_SOURCES = \
	%D%/backoff.c %D%/backoff.h \
	%D%/books.c %D%/books.h \
	%D%/budget.c %D%/budget.h \
	%D%/busy_poll.c %D%/busy_poll.h \
	%D%/catalog.h \
	%D%/credit.c %D%/credit.h \
	%D%/failure_reports.c %D%/failure_reports.h \
	%D%/liveness.c %D%/liveness.h \
	%D%/pace.c %D%/pace.h \
	%D%/pass_times.c %D%/pass_times.h \
	%D%/shares.c %D%/shares.h \
	%D%/stall.c %D%/stall.h \
	%D%/state.c %D%/state.h \
	%D%/users.c %D%/users.h
