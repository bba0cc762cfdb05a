/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for libFuzzer's main: gives every file named on the command line, or found in a folder
 * named there, to the target once, whole. So the seeds are tests in builds without libFuzzer. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned replayed_count;

static void die(const char *what, const char *path) {
    fprintf(stderr, "replay: %s %s: %s\n", what, path, strerror(errno));
    exit(2);
}

static void replay_file(const char *path, size_t size) {
    FILE *f = fopen(path, "rb");
    if (!f) {
        die("cannot open", path);
    }
    /* An allocation of the exact size, so that ASan sees a read past the end. */
    uint8_t *data = malloc(size ? size : 1);
    if (!data || fread(data, 1, size, f) != size) {
        die("cannot read", path);
    }
    fclose(f);
    printf("# %s, %zu bytes\n", path, size);
    fflush(stdout); /* after a crash the last line names the input */
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    replayed_count++;
}

static void replay_path(const char *path) {
    struct stat st;
    if (stat(path, &st) < 0) {
        die("cannot stat", path);
    }
    if (!S_ISDIR(st.st_mode)) {
        replay_file(path, (size_t)st.st_size);
        return;
    }
    DIR *dir = opendir(path);
    if (!dir) {
        die("cannot open", path);
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        char child[PATH_MAX];
        if (snprintf(child, sizeof child, "%s/%s", path, entry->d_name) >= (int)sizeof child) {
            errno = ENAMETOOLONG;
            die("cannot open", path);
        }
        replay_path(child);
    }
    closedir(dir);
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        replay_path(argv[i]);
    }
    if (replayed_count == 0) {
        fprintf(stderr, "replay: no input found\n");
        return 2;
    }
    printf("1..1\nok 1 - %u inputs replayed\n", replayed_count);
    return 0;
}
