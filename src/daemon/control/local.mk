# SPDX-License-Identifier: MIT
# The control socket: Varlink.
noinst_LIBRARIES += libcontrol.a
libcontrol_a_SOURCES = \
	%D%/call.c %D%/call.h \
	%D%/client.c \
	%D%/control.c %D%/control.h \
	%D%/control_internal.h \
	%D%/crowd.c \
	%D%/interface_text.h \
	%D%/listing.c \
	%D%/methods.c \
	%D%/queue.c %D%/queue.h \
	%D%/replies.c \
	%D%/steer.c \
	%D%/tap.c \
	%D%/user.c \
	%D%/varlink_service.c
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
