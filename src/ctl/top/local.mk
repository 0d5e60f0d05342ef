# SPDX-License-Identifier: MIT
# ftcpctl top.
ftcpctl_SOURCES += \
	%D%/canvas.c %D%/canvas.h \
	%D%/term.c %D%/term.h \
	%D%/top.c %D%/top.h \
	%D%/top_draw.c \
	%D%/top_keys.c \
	%D%/top_model.c \
	%D%/top_table.c
