/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A text for a file that others read at any time: they find the old text or the new one, after a
 * crash of the machine too. What is no regular file can't be replaced so, and is written to.
 */

/*
 * Puts the text there. The new file has the permissions of the old one, and its owner where that is
 * allowed; without an old one everybody may read it. A symbolic link stays, the file that it leads
 * to is replaced. Returns 0 or a negative errno, and then the old file is as it was.
 */
int whole_file_write(const char *path, const char *text);
