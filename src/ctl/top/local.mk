# SPDX-License-Identifier: MIT
# ftcpctl top.
ftcpctl_SOURCES += \
	%D%/canvas.c %D%/canvas.h \
	%D%/draw.c \
	%D%/keys.c \
	%D%/model.c \
	%D%/table.c \
	%D%/term.c %D%/term.h \
	%D%/top.c %D%/top.h
