/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes to text as an event stream's readers must do it: the Encoding standard's "UTF-8 decode". */
#include "sse/sse.h"

#define REPLACEMENT SLICE("\xef\xbf\xbd") /* U+FFFD */

static bool is_tail(char c) {
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Length of the maximal subpart of an ill-formed sequence at s (Unicode 3.9, as decoders of
 * browsers do): that many bytes become one U+FFFD. */
static size_t bad_subpart(struct slice s) {
    unsigned char lead = (unsigned char)s.ptr[0];
    if (lead < 0xc2 || lead > 0xf4 || s.len < 2) return 1;
    unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    unsigned char second = (unsigned char)s.ptr[1];
    if (lead < 0xe0 || second < low || second > high) return 1;
    return lead >= 0xf0 && s.len > 2 && is_tail(s.ptr[2]) ? 3 : 2;
}

int sse_decode_utf8(struct buf *out, struct slice bytes) {
    int rc = 0;
    while (rc == 0 && bytes.len > 0) {
        size_t good = slice_utf8_valid(bytes);
        rc = buf_append(out, slice_sub(bytes, 0, good));
        bytes = slice_from(bytes, good);
        if (rc || bytes.len == 0) break;
        rc = buf_append(out, REPLACEMENT);
        bytes = slice_from(bytes, bad_subpart(bytes));
    }
    return rc;
}
