/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A file that the caller names, for output. A regular file is written beside its name and renamed
 * over it, so that readers find the old file or the new file at any time. What is not regular (a
 * pipe, a device, standard output) is written into.
 *
 * Root, and whoever has capabilities, follows no symbolic link at the end of the name, and on the
 * way to it only links of root. Others follow no link, and write into no pipe, that a stranger put
 * into a sticky folder where everybody may write: the rule of fs.protected_symlinks, whatever the
 * host has set.
 */
#include <stdbool.h>
#include <sys/types.h>

struct whole_file {
        int fd;       /* to write to */
        int folder;   /* of name and beside; -1: fd is written into, nothing is renamed */
        char *name;   /* owned, as is beside; NULL without a folder */
        char *beside; /* the new file's name until whole_file_commit() */
};

/* The mode of a new file: whole_file_open() makes it 0600, or less by the umask, for SECRET; KEEP
 * takes owner, group and mode of the old file where there is one. */
enum { WHOLE_FILE_SECRET = -1, WHOLE_FILE_KEEP = -2 };

/*
 * Opens the file at path. mode is WHOLE_FILE_SECRET, WHOLE_FILE_KEEP, or the permissions of the
 * file, whose owner and group are then kept. Returns 0, or a negative errno with nothing to end and
 * the old file unchanged; -ELOOP: a symbolic link that is not followed; -EXDEV: a pipe or a device
 * of a stranger.
 */
int whole_file_open(struct whole_file *file, const char *path, int mode);

/* Puts the new file in the place of the old one; fd stays open. Returns 0, or a negative errno, and
 * then the old file is unchanged. whole_file_done() follows in either case. */
int whole_file_commit(struct whole_file *file);

/* Ends a file that was opened. Without a commit the old file is unchanged. Closes fd, unless fd is
 * standard output or standard error. Returns 0 or a negative errno of close(). */
int whole_file_done(struct whole_file *file);

/* Replaces the file at path with text, also if the machine crashes. Returns as whole_file_open().
 */
int whole_file_write(const char *path, const char *text, int mode);

/* Returns what an error of these functions says to people. */
const char *whole_file_error(int result);
