/* SPDX-License-Identifier: Apache-2.0 */
/* TLS over the simulated loop. */
#define CONN_GROUP "conn under TLS over the simulated loop"
#include "test_conn_tls.c"
