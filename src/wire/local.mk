# SPDX-License-Identifier: MIT
# Layer 1: frames and Varlink messages as bytes.
noinst_LIBRARIES += libwire.a
libwire_a_SOURCES = \
	%D%/frame.c %D%/frame.h \
	%D%/varlink.c %D%/varlink.h \
	%D%/verdict.c %D%/verdict.h
