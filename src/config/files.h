/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Which files make a configuration, and their bytes: the main file and its drop-ins. A drop-in
 * hides those of its name in directories of lower rank; what remains is read in order of name.
 */
#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

enum { CONFIG_FILE_MAX = 4 << 20 }; /* bytes of one file */

/* May this name an instance? Else path_of_main() would lead anywhere. */
bool config_instance_valid(const char *instance);

/* The path of the main file, to be freed. */
char *config_main_path(const struct config_source *source);

/* The paths of the drop-ins of main in order, to be freed, each and all; *n is their number. */
char **config_drop_ins(const struct config_source *source, const char *main, size_t *n);

/* The bytes of a file of at most CONFIG_FILE_MAX, to be freed; NULL with *error set to a negative
 * errno, -EFBIG where it is larger, -EINVAL where it is no regular file. */
char *config_file_read(const char *path, size_t *size, int *error);
