# SPDX-License-Identifier: MIT
# ftcpctl peer: the other end of a link, played.
ftcpctl_SOURCES += \
	%D%/conn.c %D%/conn.h \
	%D%/encode.c %D%/encode.h \
	%D%/options.c \
	%D%/peer.c %D%/peer.h \
	%D%/play.c \
	%D%/script.c %D%/script.h
