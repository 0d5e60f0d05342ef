# SPDX-License-Identifier: MIT
# One file a family of verbs.
ftcpctl_SOURCES += \
	%D%/call.c \
	%D%/clients.c \
	%D%/events.c \
	%D%/flush.c %D%/flush.h \
	%D%/health.c \
	%D%/latency.c \
	%D%/metrics.c \
	%D%/recv.c \
	%D%/reload.c \
	%D%/send.c \
	%D%/settings.c \
	%D%/status.c \
	%D%/steer.c \
	%D%/tap.c \
	%D%/verbs.h \
	%D%/wait.c
