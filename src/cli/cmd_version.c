/* SPDX-License-Identifier: Apache-2.0 */
#include <llhttp.h>
#define PCRE2_CODE_UNIT_WIDTH 8

#include <openssl/crypto.h>
#include <pcre2.h>
#include <stdio.h>
#include <uv.h>
#include <yaml.h>
#include <yyjson.h>
#include <zlib.h>

#include "version.h"
#include "cli/command.h"
#include "token/token.h"

struct version_flags {
    bool json;
};

static const struct flag flags[] = {
    {.name = "json", .letter = 'j', .type = FLAG_BOOL, FLAG_FIELD(struct version_flags, json),
     .description = "One JSON object."},
    {.name = NULL},
};

#define STRING_OF(x) #x
#define DOTTED(a, b, c) STRING_OF(a) "." STRING_OF(b) "." STRING_OF(c)

struct component {
    const char *name, *version;
};

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

enum { COMPONENTS = 10 };

/* Whether the mock's tokens are the real ones. */
static const char *tokens_of(enum encoding e) {
    return tokenizer_is_exact(tokenizer_get(e)) ? "exact" : "word pieces stand in, no data";
}

/* Of the libraries that run, not those that it was compiled with, where they tell. */
static unsigned list_components(struct component out[COMPONENTS]) {
    static char yyjson[32], pcre2[64];
    uint32_t v = yyjson_version();
    snprintf(yyjson, sizeof yyjson, "%u.%u.%u", v >> 16, v >> 8 & 0xff, v & 0xff);
    pcre2_config(PCRE2_CONFIG_VERSION, pcre2);
    pcre2[strcspn(pcre2, " ")] = '\0'; /* its date */
    const struct component components[] = {
        {"libuv", uv_version_string()},
        {"llhttp", DOTTED(LLHTTP_VERSION_MAJOR, LLHTTP_VERSION_MINOR, LLHTTP_VERSION_PATCH)},
        {"yyjson", yyjson},
        {"libyaml", yaml_get_version_string()},
        {"openssl", OpenSSL_version(OPENSSL_VERSION_STRING)},
        {"zlib", zlibVersion()},
        {"pcre2", pcre2},
        {"compiler", COMPILER},
        {"o200k_base", tokens_of(ENCODING_O200K)},
        {"cl100k_base", tokens_of(ENCODING_CL100K)},
    };
    _Static_assert(sizeof components / sizeof components[0] == COMPONENTS, "out has room");
    memcpy(out, components, sizeof components);
    return sizeof components / sizeof components[0];
}

/* Versions are plain words; what would break the JSON all the same is left out. */
static void print_json_string(const char *text) {
    putchar('"');
    for (; *text; text++) {
        if ((unsigned char)*text >= 0x20 && *text != '"' && *text != '\\') putchar(*text);
    }
    putchar('"');
}

static void print_json(const struct component *parts, unsigned n) {
    printf("{\"penstock\":");
    print_json_string(PENSTOCK_VERSION);
    for (unsigned i = 0; i < n; i++) {
        printf(",\"%s\":", parts[i].name);
        print_json_string(parts[i].version);
    }
    printf("}\n");
}

static int run(const struct command *self, unsigned argc, char **argv) {
    struct version_flags f = {0};
    struct command_line line;
    int code;
    if (command_parse(self, argc, argv, &f, &line, &code)) {
        struct component parts[COMPONENTS];
        unsigned n = list_components(parts);
        if (f.json) print_json(parts, n);
        else printf("penstock %s\n", PENSTOCK_VERSION);
        for (unsigned i = 0; i < n && !f.json; i++) {
            printf("  %-11s %s\n", parts[i].name, parts[i].version);
        }
        code = command_check_output(self, EXIT_OK);
    }
    command_line_dispose(&line);
    return code;
}

const struct command command_version = {
    .name = "version",
    .path = "version",
    .summary = "Print the version, those of the libraries, and which tokenizers are exact",
    .flags = flags,
    .run = run,
};
