/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The files of a configuration and their bytes: the main file and the drop-ins, MAIN.d/NAME.conf.
 * A drop-in hides the drop-ins of the same name in directories of lower rank; the others are read
 * in order of name.
 */
#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

enum { CONFIG_FILE_MAX = 4 << 20 }; /* bytes of one file */

/* True if instance is a valid name. With any other name, config_main_path() could lead out of
 * /etc/ftcpd. */
bool config_instance_valid(const char *instance);

/* The path of the main file of source, to be freed; NULL: no memory. */
char *config_main_path(const struct config_source *source);

/* Sets *paths to the *n paths of the drop-ins of main, in the order of reading. The caller frees
 * each path and the array, after an error as well. A directory that can't be read is in the list,
 * too. Returns 0 or -ENOMEM. */
int config_drop_ins(const struct config_source *source, const char *main, char ***paths, size_t *n);

/* May path be a pipe or a socket, such as /dev/stdin or the /dev/fd/N of a shell's <(...)? */
enum config_pipes {
        CONFIG_PIPES_NONE,
        CONFIG_PIPES_SPENT, /* it could be, but was read before */
        CONFIG_PIPES_READ,  /* waits for the end of the pipe's text */
};

/*
 * Returns the *size bytes of a file, to be freed; or NULL, with a negative errno in *error: -EFBIG
 * if the file has more than CONFIG_FILE_MAX bytes, -ESPIPE if path is a pipe that is spent,
 * -ETIMEDOUT if nobody writes to the pipe, -EINVAL if path is nothing that may be read, -ENOMEM
 * without memory.
 * *piped tells whether path is a pipe.
 */
char *config_file_read(const char *path, enum config_pipes pipes, bool *piped, size_t *size,
                       int *error);
