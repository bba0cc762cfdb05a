/* SPDX-License-Identifier: Apache-2.0 */
#include "http/message.h"

#include <stdio.h>

struct slice http_headers_get(const struct http_headers *h, struct slice name) {
    for (unsigned i = 0; i < h->count; i++) {
        if (slice_eq_nocase(h->items[i].name, name)) {
            return h->items[i].value;
        }
    }
    return SLICE_NULL;
}

unsigned http_headers_count(const struct http_headers *h, struct slice name) {
    unsigned count = 0;
    for (unsigned i = 0; i < h->count; i++) {
        count += slice_eq_nocase(h->items[i].name, name);
    }
    return count;
}

static bool list_has_token(struct slice list, struct slice token) {
    while (list.len > 0) {
        const ptrdiff_t comma = slice_index(list, ',');
        const size_t end = comma < 0 ? list.len : (size_t)comma;
        if (slice_eq_nocase(slice_trim(slice_sub(list, 0, end)), token)) {
            return true;
        }
        list = slice_from(list, end + 1);
    }
    return false;
}

bool http_headers_has_token(const struct http_headers *h, struct slice name, struct slice token) {
    for (unsigned i = 0; i < h->count; i++) {
        if (slice_eq_nocase(h->items[i].name, name) && list_has_token(h->items[i].value, token)) {
            return true;
        }
    }
    return false;
}

bool http_header_is_hop_by_hop(const struct http_headers *h, struct slice name) {
    static const struct slice names[] = {
        {"connection", 10},         {"keep-alive", 10},
        {"proxy-connection", 16},   {"te", 2},
        {"trailer", 7},             {"transfer-encoding", 17},
        {"upgrade", 7},             {"proxy-authenticate", 18},
        {"proxy-authorization", 19}, {"proxy-authentication-info", 25},
    };
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (slice_eq_nocase(name, names[i])) {
            return true;
        }
    }
    return http_headers_has_token(h, SLICE("connection"), name);
}

/* RFC 9110 5.6.2: letters, digits and !#$%&'*+-.^_`|~, a bit each. */
static bool is_tchar(unsigned char c) {
    static const uint64_t tchars[2] = {UINT64_C(0x03ff6cfa00000000), UINT64_C(0x57ffffffc7fffffe)};
    return c < 128 && (tchars[c >> 6] >> (c & 63) & 1);
}

bool http_header_is_valid(struct slice name, struct slice value) {
    if (name.len == 0) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (!is_tchar((unsigned char)name.ptr[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < value.len; i++) {
        const unsigned char c = (unsigned char)value.ptr[i];
        if (c < 0x20 && (c == '\r' || c == '\n' || c == '\0')) {
            return false;
        }
    }
    return true;
}

const char *http_method_name(enum http_method m) {
    static const char *const names[] = {
        [HTTP_METHOD_GET] = "GET",       [HTTP_METHOD_HEAD] = "HEAD",
        [HTTP_METHOD_POST] = "POST",     [HTTP_METHOD_PUT] = "PUT",
        [HTTP_METHOD_DELETE] = "DELETE", [HTTP_METHOD_OPTIONS] = "OPTIONS",
        [HTTP_METHOD_PATCH] = "PATCH",   [HTTP_METHOD_OTHER] = "OTHER",
    };
    return (unsigned)m < sizeof names / sizeof names[0] ? names[m] : "OTHER";
}

void http_allow_add(char allow[HTTP_ALLOW_BYTES], enum http_method m) {
    size_t len = strlen(allow);
    if (!strstr(allow, http_method_name(m)))
        snprintf(allow + len, HTTP_ALLOW_BYTES - len, "%s%s", len ? ", " : "", http_method_name(m));
    if (m == HTTP_METHOD_GET) http_allow_add(allow, HTTP_METHOD_HEAD);
}

const char *http_status_text(unsigned status) {
    static const struct {
        unsigned status;
        const char *text;
    } rows[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {102, "Processing"},
        {103, "Early Hints"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {203, "Non-Authoritative Information"},
        {204, "No Content"},
        {205, "Reset Content"},
        {206, "Partial Content"},
        {207, "Multi-Status"},
        {208, "Already Reported"},
        {226, "IM Used"},
        {300, "Multiple Choices"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {305, "Use Proxy"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {402, "Payment Required"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {407, "Proxy Authentication Required"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {423, "Locked"},
        {424, "Failed Dependency"},
        {425, "Too Early"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {451, "Unavailable For Legal Reasons"},
        {499, "Client Closed Request"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {506, "Variant Also Negotiates"},
        {507, "Insufficient Storage"},
        {508, "Loop Detected"},
        {511, "Network Authentication Required"},
        {520, "Web Server Returned an Unknown Error"},
        {522, "Connection Timed Out"},
        {524, "A Timeout Occurred"},
        {529, "Overloaded"},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].status == status) {
            return rows[i].text;
        }
    }
    return "Unknown";
}
