/* launcher_wire_io.c - see launcher_wire_io.h. */
#define _GNU_SOURCE
#include "worker/launcher_wire_io.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/assert.h"

union control {
    char bytes[CMSG_SPACE(START_DESCRIPTORS * sizeof(int))];
    struct cmsghdr align;
};

bool request_send(int socket, const struct request *request, const int *descriptors, int count)
{
    union control control;
    struct iovec data = {(void *)request, sizeof *request};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
    ASSERT(count <= START_DESCRIPTORS);
    if (count != 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
        memcpy(CMSG_DATA(head), descriptors, (size_t)count * sizeof(int));
    }
    return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof *request;
}

/* 1, 0 or -1 for what recv or recvmsg returned; a message of another size is our own mistake. */
static int received(ssize_t got, size_t expected)
{
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? -1 : 0;
    ASSERT(got == 0 || (size_t)got == expected);
    return got != 0;
}

int request_receive(int socket, struct request *ret_request, int ret_descriptors[START_DESCRIPTORS])
{
    union control control;
    struct iovec data = {ret_request, sizeof *ret_request};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control};
    for (int i = 0; i < START_DESCRIPTORS; i++)
        ret_descriptors[i] = -1;
    ssize_t got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *head = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (head != NULL && head->cmsg_type == SCM_RIGHTS)
        memcpy(ret_descriptors, CMSG_DATA(head), head->cmsg_len - CMSG_LEN(0));
    return received(got, sizeof *ret_request);
}

bool report_send(int socket, const struct report *report)
{
    for (;;) {
        if (send(socket, report, sizeof *report, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof *report)
            return true;
        if (errno != EAGAIN && errno != EINTR)
            return false;
        struct pollfd room = {.fd = socket, .events = POLLOUT};
        poll(&room, 1, -1); /* whatever it says, the next send tells */
    }
}

int report_receive(int socket, struct report *ret_report)
{
    return received(recv(socket, ret_report, sizeof *ret_report, MSG_DONTWAIT), sizeof *ret_report);
}
