/* SPDX-License-Identifier: Apache-2.0 */
/* What the endpoints of stored responses and conversations share. */
#ifndef PENSTOCK_MOCK_ENDPOINT_STORED_H
#define PENSTOCK_MOCK_ENDPOINT_STORED_H

#include "mock/call.h"

/* Parts of the path behind a collection, decoded: "conv_1/items/msg_2" has three. Returns how many;
 * 0: there is no such path. */
#define STORED_MAX_PARTS 3
unsigned stored_path(const struct http_exchange *ex, struct slice collection,
                     struct slice out[STORED_MAX_PARTS]);
/* 404: "Response with id 'resp_1' not found." */
void stored_respond_unknown(struct mock_call *c, const char *what, struct slice id);
/* What else is asked for there: 405, with the methods that there are; NULL: 404. */
void stored_respond_no_such(struct mock_call *c, const char *allow);
/* A page of items, by the query: limit, order, after, before. */
void stored_respond_items(struct mock_call *c, struct slice items);

#endif
