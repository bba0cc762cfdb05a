/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of messages: texts, images, files, audio, in each API's form. */
#include "mock/validate-private.h"

enum { LOOKED_AT_BYTES = 256 << 10 };

/* ---- addresses ---- */

/* By its beginning, where it is long. */
static bool is_base64(struct slice s) {
    size_t padding = 0;
    s = slice_sub(s, 0, LOOKED_AT_BYTES);
    for (size_t i = 0; i < s.len; i++) {
        char ch = s.ptr[i];
        bool is_digit = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
                        (ch >= '0' && ch <= '9') || ch == '+' || ch == '/' || ch == '-' ||
                        ch == '_';
        padding += ch == '=';
        if (!(is_digit && padding == 0) && ch != '=' && ch != '\n' && ch != '\r') return false;
    }
    return s.len > 0 && padding <= 2;
}

/* What stands behind "data:image/png;base64,", or NULL: no such URL. */
static struct slice data_of(struct slice url, struct slice *out_type) {
    struct slice rest = slice_from(url, 5), mark = SLICE(";base64");
    ptrdiff_t comma = slice_index(rest, ',');
    struct slice head = slice_sub(rest, 0, comma < 0 ? 0 : (size_t)comma);
    bool is_encoded = head.len >= mark.len &&
                      slice_eq(slice_from(head, head.len - mark.len), mark);
    ptrdiff_t semicolon = slice_index(head, ';');
    *out_type = slice_sub(head, 0, semicolon < 0 ? head.len : (size_t)semicolon);
    return is_encoded ? slice_from(rest, (size_t)comma + 1) : SLICE_NULL;
}

static bool is_web(struct slice url) {
    return (slice_starts_with(url, SLICE("https://")) && url.len > 8) ||
           (slice_starts_with(url, SLICE("http://")) && url.len > 7);
}

static void check_data_url(struct check *c, const char *path, struct slice url) {
    struct slice type, data;
    if (is_web(url)) {
        return;
    }
    if (!slice_starts_with(url, SLICE("data:"))) {
        violate(c, RULE_IMAGE, path,
                "Invalid '%s': expected a valid URL, but got a value with an invalid format.", path);
        return;
    }
    data = data_of(url, &type);
    if (!data.ptr || !is_base64(data)) {
        violate_code(c, RULE_IMAGE, "invalid_base64", path,
                     "Invalid '%s': expected a base64-encoded data URL with an image MIME type (e.g. "
                     "'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU='), but got a value without the "
                     "'base64' data.",
                     path);
    } else if (!is_word("image/png|image/jpeg|image/jpg|image/gif|image/webp", type)) {
        violate_code(c, RULE_IMAGE, "invalid_image_format", path,
                     "You uploaded an unsupported image. Please make sure your image has of one the "
                     "following formats: ['png', 'jpeg', 'gif', 'webp'].");
    }
}

static void check_text(struct check *c, const char *path, struct slice part, const char *name) {
    struct slice text = member_of(c, part, name);
    const char *at = place_of(c, path, name);
    if (!is_said(text)) violate_missing(c, at);
    else if (!json_text_is(text, '"')) violate_type(c, at, "a string", text);
}

/* The type of a part; NULL: it is missing or not among the types, which has been said. */
static struct slice part_type(struct check *c, const char *path, struct slice part,
                              const char *types) {
    const char *at = place_of(c, path, "type");
    struct slice raw = member_of(c, part, "type"), type = json_text_string(raw, c->a);
    if (!is_said(raw)) {
        violate_missing(c, at);
        return SLICE_NULL;
    }
    if (type.ptr && is_word(types, type)) {
        return type;
    }
    violate_choice(c, RULE_PART_TYPE, at, type.ptr ? type : raw, types);
    return SLICE_NULL;
}

/* ---- chat ---- */

static void check_detail(struct check *c, const char *path, struct slice object) {
    struct slice detail = member_of(c, object, "detail");
    const char *words = "auto|low|high|original", *at = place_of(c, path, "detail");
    if (is_said(detail) && !is_word(words, json_text_string(detail, c->a))) {
        violate_choice(c, RULE_CHOICE, at, json_text_string(detail, c->a), words);
    }
}

static void check_chat_image(struct check *c, const char *path, struct slice value) {
    const char *at = place_of(c, path, "image_url"), *url_at = place_of(c, at, "url");
    struct slice url = string_in(c, value, "url");
    if (!is_said(value)) violate_missing(c, at);
    else if (!json_text_is(value, '{')) violate_type(c, at, "an object", value);
    else if (!url.ptr) violate_missing(c, url_at);
    else check_data_url(c, url_at, url);
    check_detail(c, at, value);
}

static void check_chat_audio(struct check *c, const char *path, struct slice value) {
    const char *at = place_of(c, path, "input_audio");
    struct slice data = string_in(c, value, "data"), format = string_in(c, value, "format");
    if (!json_text_is(value, '{')) {
        violate_missing(c, at);
        return;
    }
    if (!data.ptr) violate_missing(c, place_of(c, at, "data"));
    else if (!is_base64(data))
        violate(c, RULE_AUDIO, place_of(c, at, "data"),
                "Invalid '%s.data': expected base64-encoded audio.", at);
    if (!is_word("wav|mp3", format))
        violate_choice(c, RULE_AUDIO, place_of(c, at, "format"), format, "wav|mp3");
}

static void check_file_fields(struct check *c, const char *at, struct slice value,
                              const char *sources) {
    struct slice id = string_in(c, value, "file_id"), data = string_in(c, value, "file_data"),
                 name = string_in(c, value, "filename"), url = string_in(c, value, "file_url"), type;
    if (!json_text_is(value, '{')) {
        violate_missing(c, at);
    } else if (!id.ptr && !data.ptr && !url.ptr) {
        violate(c, RULE_FILE, at, "Missing required parameter: '%s'. One of %s is needed.", at,
                sources);
    } else if (data.ptr && !name.ptr) {
        violate(c, RULE_FILE, place_of(c, at, "filename"), "Missing required parameter: '%s.filename'.",
                at);
    } else if (data.ptr && (!slice_starts_with(data, SLICE("data:")) || !data_of(data, &type).ptr)) {
        violate(c, RULE_FILE, place_of(c, at, "file_data"),
                "Invalid '%s.file_data': expected a base64-encoded data URL.", at);
    } else if (url.ptr && !is_web(url)) {
        violate(c, RULE_FILE, place_of(c, at, "file_url"), "Invalid '%s.file_url': expected a URL.", at);
    }
}

void check_chat_part(struct check *c, const char *path, struct slice part, struct slice role) {
    const char *types = slice_eq(role, SLICE("user"))        ? "text|image_url|input_audio|file"
                        : slice_eq(role, SLICE("assistant")) ? "text|refusal"
                                                             : "text";
    struct slice type = part_type(c, path, part, types);
    if (slice_eq(type, SLICE("text"))) check_text(c, path, part, "text");
    if (slice_eq(type, SLICE("refusal"))) check_text(c, path, part, "refusal");
    if (slice_eq(type, SLICE("image_url")))
        check_chat_image(c, path, member_of(c, part, "image_url"));
    if (slice_eq(type, SLICE("input_audio")))
        check_chat_audio(c, path, member_of(c, part, "input_audio"));
    if (slice_eq(type, SLICE("file")))
        check_file_fields(c, place_of(c, path, "file"), member_of(c, part, "file"),
                          "'file_id' and 'file_data'");
}

/* ---- responses ---- */

static void check_responses_image(struct check *c, const char *path, struct slice part) {
    struct slice url = member_of(c, part, "image_url"), id = string_in(c, part, "file_id");
    const char *at = place_of(c, path, "image_url");
    if (is_said(url) && !json_text_is(url, '"')) violate_type(c, at, "a string", url);
    else if (is_said(url)) check_data_url(c, at, json_text_string(url, c->a));
    else if (!id.ptr) violate_missing(c, at);
    check_detail(c, path, part);
}

void check_responses_part(struct check *c, const char *path, struct slice part, struct slice role) {
    bool is_assistant = slice_eq(role, SLICE("assistant"));
    const char *types = is_assistant ? "output_text|refusal" : "input_text|input_image|input_file";
    struct slice type = part_type(c, path, part, types);
    if (slice_eq(type, SLICE("input_text")) || slice_eq(type, SLICE("output_text")))
        check_text(c, path, part, "text");
    if (slice_eq(type, SLICE("refusal"))) check_text(c, path, part, "refusal");
    if (slice_eq(type, SLICE("input_image"))) check_responses_image(c, path, part);
    if (slice_eq(type, SLICE("input_file")))
        check_file_fields(c, path, part, "'file_id', 'file_url' and 'file_data'");
}

/* ---- messages ---- */

static void check_source(struct check *c, const char *path, struct slice block, enum rule_id rule,
                         const char *types, const char *media_types) {
    struct slice source = member_of(c, block, "source"), type = string_in(c, source, "type"),
                 media = string_in(c, source, "media_type"), data = string_in(c, source, "data"),
                 url = string_in(c, source, "url");
    const char *at = place_of(c, path, "source");
    bool is_encoded = slice_eq(type, SLICE("base64"));
    if (!is_word(types, type)) {
        violate_choice(c, rule, place_of(c, at, "type"), type, types);
    } else if (is_encoded && !is_word(media_types, media)) {
        violate_choice(c, rule, place_of(c, at, "media_type"), media, media_types);
    } else if (is_encoded && (slice_starts_with(data, SLICE("data:")) || !is_base64(data))) {
        violate(c, rule, place_of(c, at, "data"), "%s.base64.data: Invalid base64 data",
                dotted(c, at));
    } else if (slice_eq(type, SLICE("url")) && !is_web(url)) {
        violate(c, rule, place_of(c, at, "url"), "%s.url.url: Only HTTPS URLs are supported.",
                dotted(c, at));
    }
}

static void check_result_content(struct check *c, const char *path, struct slice content) {
    struct json_walk w = json_walk_begin(content);
    struct slice one;
    for (unsigned i = 0; json_text_is(content, '[') && json_walk_element(&w, &one); i++) {
        check_messages_block(c, place_at(c, place_of(c, path, "content"), i), one,
                             "text|image|search_result|document|tool_reference|browser_state");
    }
}

void check_messages_block(struct check *c, const char *path, struct slice block,
                          const char *types) {
    struct slice type = part_type(c, path, block, types);
    if (slice_eq(type, SLICE("text"))) {
        check_text(c, path, block, "text");
    } else if (slice_eq(type, SLICE("image"))) {
        check_source(c, path, block, RULE_IMAGE, "base64|url|file",
                     "image/jpeg|image/png|image/gif|image/webp");
    } else if (slice_eq(type, SLICE("document"))) {
        check_source(c, path, block, RULE_FILE, "base64|text|content|url|file", "application/pdf");
    } else if (slice_eq(type, SLICE("tool_use")) && !member_of(c, block, "input").ptr) {
        violate_missing(c, place_of(c, path, "input"));
    } else if (slice_eq(type, SLICE("tool_result"))) {
        check_result_content(c, path, member_of(c, block, "content"));
    }
}
