/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Replaces a text file as a whole: readers find the old text or the new text at any time, also
 * after a crash of the machine. A file that is not regular can't be replaced, and the text is
 * written into it.
 */

/*
 * Replaces the file at path with text. The new file has the mode, owner and group of the old file,
 * where the user may set owner or group; else, or without an old file, everybody may read it. A
 * symbolic link stays, and the file at its end is replaced. The file of standard output or standard
 * error is written to. Returns 0, or a negative errno with the old regular file unchanged.
 */
int whole_file_write(const char *path, const char *text);
