/* dev_control.h - how `meridian dev kill|start|...` speak to the supervisor: one request and one reply over a
 * socket in the cluster's directory, so that only who may enter the directory may ask.
 *
 * Request: "VERB NODE" or "VERB NODE WORD", one packet. Reply: one packet, the exit status as a letter ('0' +
 * status) and then a text for people, or of `status` the rows (msgpack, as the body of ROWS). */
#ifndef MERIDIAN_CLI_DEV_CONTROL_H
#define MERIDIAN_CLI_DEV_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/bytes.h"

enum {
    DEV_REQUEST_BYTES_MAX = 256,
    DEV_TEXT_BYTES_MAX = 1024,
    DEV_REPLY_BYTES_MAX = 128 * 1024, /* rows of the most nodes */
};

/* Both return a descriptor (close-on-exec), or -1 with errno set. */
int dev_control_listen(const char *directory);
int dev_control_connect(const char *directory);

/* Accepts one caller and reads its request as text. Returns the connection, which the caller closes by
 * dev_control_reply; -1 if nothing sensible came. Waits at most a second for the request. */
int dev_control_accept(int listener, char ret_request[static DEV_REQUEST_BYTES_MAX]);
/* Answers and closes `connection`. A caller that has left is no error. */
void dev_control_reply(int connection, int exit_status, struct bytes answer);

/* The other side: ask the supervisor of `directory`. Returns the exit status; `ret_answer` is a view until
 * the next call. Without an answer says so on stderr, returns EXIT_UNAVAILABLE, and the answer is empty. */
int dev_control_ask(const char *directory, const char *request, struct bytes *ret_answer);

#endif
