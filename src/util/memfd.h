/* SPDX-License-Identifier: MIT */
#pragma once
/* Memory with a descriptor, for a successor. */

/* Makes an empty memfd, closed on exec and never executable. A host may refuse any other memfd
 * (vm.memfd_noexec=2); a kernel before Linux 6.3 does not know that flag and makes a plain one.
 * Returns the descriptor, the caller's, or -1 with errno. */
int memfd_make(const char *name);
