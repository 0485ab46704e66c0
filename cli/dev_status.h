/* dev_status.h - `meridian dev status` for its reader: the rows that the supervisor sent, as a table. */
#ifndef MERIDIAN_CLI_DEV_STATUS_H
#define MERIDIAN_CLI_DEV_STATUS_H

#include "proto/bytes.h"

/* `rows` is an array of maps, as docs/cli-output.md describes them. */
void dev_status_print(struct bytes rows);

#endif
