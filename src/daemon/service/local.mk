# SPDX-License-Identifier: MIT
# What a service manager keeps and tells.
noinst_LIBRARIES += libservice.a
libservice_a_SOURCES = \
	%D%/fd_bag.c %D%/fd_bag.h \
	%D%/handover.c %D%/handover.h \
	%D%/job.c \
	%D%/last_config.c %D%/last_config.h \
	%D%/notify.c %D%/notify.h \
	%D%/service.c %D%/service.h
