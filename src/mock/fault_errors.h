/* SPDX-License-Identifier: Apache-2.0 */
/* Errors as each provider words them. Pure. */
#ifndef PENSTOCK_MOCK_FAULT_ERRORS_H
#define PENSTOCK_MOCK_FAULT_ERRORS_H

#include "mock/api.h"
#include "mock/fault.h"

#define FAULT_ERROR_TEXT_BYTES 640

/* What this fault says to a client of this api who asked for this model. Texts are static, or in
 * the space. */
void mock_fault_error(const struct fault_use *use, const struct api *api, struct slice model,
                 char space[FAULT_ERROR_TEXT_BYTES], struct api_error *out);
/* Of FAULT_ERROR_EVENT. */
void mock_fault_error_event(const struct fault_use *use, const struct api *api,
                            struct api_error *out);

#endif
