# SPDX-License-Identifier: MIT
# The program ftcpctl.
bin_PROGRAMS += ftcpctl
ftcpctl_SOURCES = \
	%D%/main.c
ftcpctl_LDADD = libcore.a libwire.a libutil.a $(JANSSON_LIBS)

include %D%/show/local.mk
include %D%/talk/local.mk
include %D%/verbs/local.mk
include %D%/top/local.mk
include %D%/peer/local.mk
