/* SPDX-License-Identifier: Apache-2.0 */
#include "token/find.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "version.h"

/* The folder of the running program, without a slash at its end; empty when it is not known. */
static void program_folder(char out[PATH_MAX]) {
    ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);
    out[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(out, '/');
    if (slash) *slash = '\0';
}

/* 1: the file is there, whatever it is. */
static int try_folder(const char *folder, const char *below, const char *name,
                      char out_path[PATH_MAX]) {
    int n = snprintf(out_path, PATH_MAX, "%s%s/%s.ranks", folder, below, name);
    return n > 0 && n < PATH_MAX && access(out_path, F_OK) == 0;
}

static bool find_path(const char *name, char out_path[PATH_MAX]) {
    static const char *const below[] = {"/share/penstock", "/../share/penstock",
                                        "/../../share/penstock"};
    const char *told = getenv("PENSTOCK_DATA_DIR");
    if (told && *told) return try_folder(told, "", name, out_path);
    char folder[PATH_MAX];
    program_folder(folder);
    for (unsigned i = 0; i < sizeof below / sizeof below[0] && *folder; i++) {
        if (try_folder(folder, below[i], name, out_path)) return true;
    }
    return try_folder(PENSTOCK_DATA_DIR, "", name, out_path);
}

int ranks_find_file(const char *name, struct ranks *out, char out_path[PATH_MAX], struct err *e) {
    if (!find_path(name, out_path)) {
        out_path[0] = '\0';
        return err_set(e, ERR_IO, "no %s.ranks is there", name);
    }
    return ranks_map(out_path, name, out, e) < 0 ? -ERR_PROTOCOL : 0;
}
