# SPDX-License-Identifier: MIT
# How ftcpctl says things.
ftcpctl_SOURCES += \
	%D%/capture.c %D%/capture.h \
	%D%/event_text.c %D%/event_text.h \
	%D%/rates.c %D%/rates.h \
	%D%/screen.c %D%/screen.h \
	%D%/show.c %D%/show.h
