# SPDX-License-Identifier: MIT
# Units, the system user, and the explanations of log entries.
units_in = \
	%D%/ftcpd.service.in %D%/ftcpd.socket.in %D%/ftcpd-varlink.socket.in \
	%D%/ftcpd@.service.in %D%/ftcpd@.socket.in %D%/ftcpd-varlink@.socket.in \
	%D%/ftcpd-metrics.service.in %D%/ftcpd-metrics.timer.in \
	%D%/ftcpd-metrics@.service.in %D%/ftcpd-metrics@.timer.in
units = $(units_in:.in=)

EXTRA_DIST += $(units_in) %D%/ftcpd.sysusers %D%/ftcpd.catalog
CLEANFILES += $(units)
if INSTALL_UNITS
nodist_systemdsystemunit_DATA = $(units)
endif

# Directories are known to make only: they may be given at "make install" still.
$(units): Makefile
	$(AM_V_GEN)$(MKDIR_P) %D% && $(SED) \
		-e 's|@sbindir[@]|$(sbindir)|g' -e 's|@bindir[@]|$(bindir)|g' \
		-e 's|@sysconfdir[@]|$(sysconfdir)|g' \
		$(top_srcdir)/$@.in > $@.tmp && mv $@.tmp $@
%D%/ftcpd.service: %D%/ftcpd.service.in
%D%/ftcpd.socket: %D%/ftcpd.socket.in
%D%/ftcpd-varlink.socket: %D%/ftcpd-varlink.socket.in
%D%/ftcpd-metrics.service: %D%/ftcpd-metrics.service.in
%D%/ftcpd-metrics.timer: %D%/ftcpd-metrics.timer.in
%D%/ftcpd-metrics@.service: %D%/ftcpd-metrics@.service.in
%D%/ftcpd-metrics@.timer: %D%/ftcpd-metrics@.timer.in
%D%/ftcpd@.service: %D%/ftcpd@.service.in
%D%/ftcpd@.socket: %D%/ftcpd@.socket.in
%D%/ftcpd-varlink@.socket: %D%/ftcpd-varlink@.socket.in

sysusersdir = $(prefix)/lib/sysusers.d
catalogdir = $(prefix)/lib/systemd/catalog
install-data-local:
	$(MKDIR_P) $(DESTDIR)$(sysusersdir)
	$(INSTALL_DATA) $(srcdir)/%D%/ftcpd.sysusers $(DESTDIR)$(sysusersdir)/ftcpd.conf
	$(MKDIR_P) $(DESTDIR)$(catalogdir)
	$(INSTALL_DATA) $(srcdir)/%D%/ftcpd.catalog $(DESTDIR)$(catalogdir)/ftcpd.catalog
uninstall-local:
	rm -f $(DESTDIR)$(sysusersdir)/ftcpd.conf $(DESTDIR)$(catalogdir)/ftcpd.catalog
