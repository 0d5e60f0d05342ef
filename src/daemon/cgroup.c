/* SPDX-License-Identifier: MIT */
#include "daemon/cgroup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of version 1 the kernel writes the largest number of whole pages where there is no limit. */
#define NO_LIMIT ((uint64_t)INT64_MAX / 65536 * 65536)

/* The search for the lowest limit. */
struct search {
        const char *root;
        char *own[2];               /* the process's group by version: 2, then 1; NULL: none */
        struct cgroup_limit *limit; /* the lowest one so far */
        bool found;
};

static FILE *open_file(const char *root, const char *path)
{
        char name[2 * PATH_MAX];

        snprintf(name, sizeof(name), "%s%s", root, path);
        return fopen(name, "re");
}

/* True if the list, with commas between its words, has the word. */
static bool has_word(const char *list, const char *word)
{
        size_t size = strlen(word);

        while (*list) {
                size_t n = strcspn(list, ",");

                if (n == size && memcmp(list, word, size) == 0)
                        return true;
                list += n + (list[n] == ',');
        }
        return false;
}

/* Finds the process's groups: lines of "NUMBER:CONTROLLERS:PATH", the number of version 2 is 0. */
static void find_own(struct search *search)
{
        FILE *file = open_file(search->root, "/proc/self/cgroup");
        char *line = NULL;
        size_t room = 0;

        while (file && getline(&line, &room, file) > 0) {
                char *controllers = strchr(line, ':');
                char *path = controllers ? strchr(controllers + 1, ':') : NULL;
                bool version1 = path && path != controllers + 1;

                if (!path || path[1] != '/')
                        continue;
                *path++ = '\0';
                path[strcspn(path, "\n")] = '\0';
                if (search->own[version1] || (version1 && !has_word(controllers + 1, "memory")))
                        continue;
                search->own[version1] = strdup(path);
        }
        free(line);
        if (file)
                fclose(file);
}

/* Reads one limit. False: the file is not there, or says that there is none. */
static bool read_limit(const char *root, const char *path, uint64_t *bytes)
{
        FILE *file = open_file(root, path);
        bool known;

        if (!file)
                return false;
        known = fscanf(file, "%" SCNu64, bytes) == 1 && *bytes < NO_LIMIT;
        fclose(file);
        return known;
}

/* Looks at one limit of the group whose folder has this path. */
static void look(struct search *search, const char *folder, const char *name, bool stalls)
{
        char path[PATH_MAX];
        uint64_t bytes;

        if (snprintf(path, sizeof(path), "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, name) >=
                    (int)sizeof(path) ||
            !read_limit(search->root, path, &bytes) ||
            (search->found && bytes >= search->limit->bytes))
                return;
        search->found = true;
        search->limit->bytes = bytes;
        search->limit->stalls = stalls;
        strcpy(search->limit->file, path);
}

/* Returns what of a group's path lies below the mounted group; NULL: the mount does not show the
 * group. */
static const char *below(const char *group, const char *mounted)
{
        size_t n = strcmp(mounted, "/") == 0 ? 0 : strlen(mounted);

        if (strncmp(group, mounted, n) != 0 || (group[n] && group[n] != '/') ||
            strstr(group, "/.."))
                return NULL;
        return strcmp(group + n, "/") == 0 ? "" : group + n;
}

/* Looks at each group from the process's own up to the one that is mounted at `at`. */
static void climb(struct search *search, bool version1, const char *mounted, const char *at)
{
        const char *path = below(search->own[version1], mounted);
        size_t top = strlen(at);
        char folder[PATH_MAX];

        if (!path || snprintf(folder, sizeof(folder), "%s%s", at, path) >= (int)sizeof(folder))
                return;
        for (;;) {
                if (version1) {
                        look(search, folder, "memory.limit_in_bytes", false);
                } else {
                        look(search, folder, "memory.max", false);
                        look(search, folder, "memory.high", true);
                }
                if (strlen(folder) <= top)
                        return;
                *strrchr(folder, '/') = '\0';
        }
}

/* Puts the characters in place that the kernel writes as a backslash and three octal digits. */
static void unescape(char *text)
{
        char *to = text;
        unsigned code;

        while (*text) {
                if (*text == '\\' && sscanf(text + 1, "%3o", &code) == 1 && strlen(text) > 3) {
                        *to++ = (char)code;
                        text += 4;
                } else {
                        *to++ = *text++;
                }
        }
        *to = '\0';
}

/* Looks at one line of mountinfo: "ID PARENT DEVICE MOUNTED AT OPTIONS ... - TYPE SOURCE
 * OPTIONS". */
static void look_at_mount(struct search *search, char *line)
{
        char *fields = strstr(line, " - "), *mounted, *at;
        char type[16], options[256];
        bool version1;

        if (!fields || sscanf(fields, " - %15s %*s %255s", type, options) != 2)
                return;
        version1 = strcmp(type, "cgroup") == 0 && has_word(options, "memory");
        if ((!version1 && strcmp(type, "cgroup2") != 0) || !search->own[version1])
                return;
        strtok(line, " ");
        strtok(NULL, " ");
        strtok(NULL, " ");
        mounted = strtok(NULL, " ");
        at = strtok(NULL, " ");
        if (!mounted || !at)
                return;
        unescape(mounted);
        unescape(at);
        climb(search, version1, mounted, at);
}

bool cgroup_memory(const char *root, struct cgroup_limit *limit)
{
        struct search search = {.root = root, .limit = limit};
        char *line = NULL;
        size_t room = 0;
        FILE *file;

        find_own(&search);
        file = open_file(root, "/proc/self/mountinfo");
        while (file && getline(&line, &room, file) > 0)
                look_at_mount(&search, line);
        free(line);
        if (file)
                fclose(file);
        free(search.own[0]);
        free(search.own[1]);
        return search.found;
}
