# SPDX-License-Identifier: MIT
# What ftcpctl talks to, and its command line.
ftcpctl_SOURCES += \
	%D%/bus.c %D%/bus.h \
	%D%/ctl.c %D%/ctl.h \
	%D%/data.c %D%/data.h \
	%D%/frame_args.c %D%/frame_args.h \
	%D%/help.c %D%/help.h \
	%D%/local.c %D%/local.h \
	%D%/whole_file.c %D%/whole_file.h \
	%D%/witness.c %D%/witness.h
