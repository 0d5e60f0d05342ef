# SPDX-License-Identifier: MIT
# The control socket: Varlink.
noinst_LIBRARIES += libcontrol.a
libcontrol_a_SOURCES = \
	%D%/control.c %D%/control.h \
	%D%/control_call.c %D%/control_call.h \
	%D%/control_client.c %D%/control_client.h \
	%D%/control_crowd.c \
	%D%/control_methods.c \
	%D%/control_queue.c %D%/control_queue.h \
	%D%/control_replies.c \
	%D%/control_service.c \
	%D%/control_steer.c \
	%D%/control_tap.c \
	%D%/interface_text.h
nodist_libcontrol_a_SOURCES = %D%/interface_text.c
CLEANFILES += %D%/interface_text.c
EXTRA_DIST += $(interfaces)

# The interfaces of the control socket, as C strings.
interfaces = %D%/io.ftcpd.varlink %D%/org.varlink.service.varlink
%D%/interface_text.c: $(interfaces) Makefile
	$(AM_V_GEN)$(MKDIR_P) %D% && { \
		echo '#include "daemon/control/interface_text.h"'; \
		for i in ftcpd:io.ftcpd service:org.varlink.service; do \
			echo "const char interface_text_$${i%%:*}[] ="; \
			$(SED) -e 's/[\\"]/\\&/g' -e 's/.*/"&\\n"/' \
				"$(top_srcdir)/%D%/$${i#*:}.varlink" || exit 1; \
			echo ';'; \
		done; } > $@.tmp && mv $@.tmp $@
