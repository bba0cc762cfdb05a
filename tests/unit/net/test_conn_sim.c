/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated loop passes the real one's tests. */
#define CONN_GROUP "conn over the simulated loop"
#include "test_conn.c"
