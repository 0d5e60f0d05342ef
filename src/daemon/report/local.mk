# SPDX-License-Identifier: MIT
# Status, health, and metrics.
noinst_LIBRARIES += libreport.a
libreport_a_SOURCES = \
	%D%/health.c %D%/health.h \
	%D%/metrics.c %D%/metrics.h \
	%D%/status.h \
	%D%/status_json.c %D%/status_json.h
