# SPDX-License-Identifier: MIT
# Layer 5: the turn, the ledger, the spread, taps and recovery: what becomes of each message.
noinst_LIBRARIES += libflow.a
libflow_a_SOURCES = \
	%D%/events.c %D%/events.h \
	%D%/fingerprint.c %D%/fingerprint.h \
	%D%/hold.c %D%/hold.h \
	%D%/ledger.c %D%/ledger.h \
	%D%/ledger_fate.c \
	%D%/ledger_internal.h \
	%D%/recover.c %D%/recover.h \
	%D%/recover_internal.h \
	%D%/recover_log.c \
	%D%/spread.c %D%/spread.h \
	%D%/spread_backlog.c \
	%D%/spread_deal.c \
	%D%/spread_internal.h \
	%D%/spread_rank.c \
	%D%/spread_reader.c \
	%D%/tap.c %D%/tap.h \
	%D%/turn.c %D%/turn.h
