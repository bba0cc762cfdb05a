/* SPDX-License-Identifier: Apache-2.0 */
#include "dialect/model_list.h"

#include "base/clock.h"

void model_write_openai(struct json_writer *w, struct slice id, struct slice owner,
                        int64_t created_s) {
    jw(w, SLICE("{\"id\":"));
    jw_string(w, id);
    jw(w, SLICE(",\"object\":\"model\",\"created\":"));
    jw_int(w, created_s);
    jw(w, SLICE(",\"owned_by\":"));
    jw_string(w, owner);
    jw(w, SLICE("}"));
}

void model_write_anthropic(struct json_writer *w, struct slice id, int64_t created_s) {
    char created[CLOCK_TEXT_BYTES];
    clock_utc_text(created_s, created);
    jw(w, SLICE("{\"type\":\"model\",\"id\":"));
    jw_string(w, id);
    jw(w, SLICE(",\"display_name\":"));
    jw_string(w, id);
    jw(w, SLICE(",\"created_at\":"));
    jw_string(w, slice_cstr(created));
    jw(w, SLICE("}"));
}
