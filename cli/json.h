/* json.h - msgpack as the node sent it, as JSON for programs. docs/cli-output.md promises the shapes.
 *
 * Ids and fences (bin of 16 and 12 bytes under "id", "ids", "fence") become hex; other bin is text if it is
 * UTF-8, else
 * {"base64": "..."}. Key order is the node's. */
#ifndef MERIDIAN_CLI_JSON_H
#define MERIDIAN_CLI_JSON_H

#include <stdio.h>

#include "proto/bytes.h"

/* One value. False if the bytes are not whole msgpack. */
bool json_print(FILE *to, struct bytes value);
void json_print_text(FILE *to, struct bytes text);
/* Bytes of which nobody promised that they are text. */
void json_print_bytes(FILE *to, struct bytes bytes);

#endif
