/* oracle.h - msgpack-c as a second opinion on our reader and writer.
 *
 * msgpack-c reserves memory for whatever count it is told, so it is asked only about bytes whose counts are
 * no larger than they are (a five-byte input may ask it for 4 GiB). */
#ifndef MERIDIAN_TESTS_FUZZ_ORACLE_H
#define MERIDIAN_TESTS_FUZZ_ORACLE_H

#include "proto/bytes.h"

/* Our reader and msgpack-c agree about these bytes: whether they are one value within FRAME_DEPTH_MAX and
 * nothing behind it; what the value is; and how it is written. Ends the program if they do not. */
void oracle_compare(struct bytes bytes);

#endif
