# SPDX-License-Identifier: MIT
# What the shells complete, from ftcpctl's own table. They are in the tarball: who builds for another
# machine can't ask the program.

bashcompletionsdir = $(datadir)/bash-completion/completions
dist_bashcompletions_DATA = %D%/ftcpctl
zshcompletionsdir = $(datadir)/zsh/site-functions
dist_zshcompletions_DATA = %D%/_ftcpctl
fishcompletionsdir = $(datadir)/fish/vendor_completions.d
dist_fishcompletions_DATA = %D%/ftcpctl.fish

complete = $(MKDIR_P) %D% && ./ftcpctl$(EXEEXT) --list-verbs > $@.list && \
	$(AWK) -v shell=$$shell -f $(srcdir)/%D%/generate.awk $@.list > $@.tmp && \
	rm $@.list && mv $@.tmp $@
table = $(ftcpctl_SOURCES) %D%/generate.awk | ftcpctl$(EXEEXT)
%D%/ftcpctl: $(table)
	$(AM_V_GEN)shell=bash; $(complete)
%D%/_ftcpctl: $(table)
	$(AM_V_GEN)shell=zsh; $(complete)
%D%/ftcpctl.fish: $(table)
	$(AM_V_GEN)shell=fish; $(complete)

EXTRA_DIST += %D%/generate.awk
MAINTAINERCLEANFILES = \
	$(dist_bashcompletions_DATA) $(dist_zshcompletions_DATA) $(dist_fishcompletions_DATA)
