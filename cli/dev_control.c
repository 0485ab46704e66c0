/* dev_control.c - see dev_control.h. The path of a local socket is at most 107 bytes long, that of a
 * directory is not: hence the way over /proc/self/fd. */
#include "cli/dev_control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/commands.h"

enum { REQUEST_WAIT_S = 1, REPLY_WAIT_S = 15 };

/* Opens a socket for DIRECTORY/control with `attach`, which is bind or connect. */
static int open_control(const char *directory, int (*attach)(int, const struct sockaddr *, socklen_t),
                        bool fresh)
{
    int folder = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return -1;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/control", folder);
    if (fresh)
        unlink(address.sun_path);
    int socket_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (socket_fd >= 0 && attach(socket_fd, (struct sockaddr *)&address, sizeof address) != 0) {
        int saved = errno;
        close(socket_fd);
        errno = saved;
        socket_fd = -1;
    }
    int saved = errno;
    close(folder);
    errno = saved;
    return socket_fd;
}

static void limit_wait(int socket_fd, int wait_s)
{
    struct timeval wait = {.tv_sec = wait_s};
    setsockopt(socket_fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(socket_fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
}

int dev_control_listen(const char *directory)
{
    int listener = open_control(directory, bind, true);
    if (listener >= 0 && listen(listener, 8) != 0) {
        close(listener);
        return -1;
    }
    return listener;
}

int dev_control_connect(const char *directory)
{
    return open_control(directory, connect, false);
}

int dev_control_accept(int listener, char ret_request[static DEV_REQUEST_BYTES_MAX])
{
    int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (connection < 0)
        return -1;
    limit_wait(connection, REQUEST_WAIT_S);
    ssize_t size = recv(connection, ret_request, DEV_REQUEST_BYTES_MAX - 1, 0);
    if (size <= 0) {
        close(connection);
        return -1;
    }
    ret_request[size] = '\0';
    return connection;
}

void dev_control_reply(int connection, int exit_status, struct bytes answer)
{
    uint8_t status = (uint8_t)('0' + exit_status);
    struct iovec parts[] = {{&status, 1}, {(void *)(uintptr_t)answer.data, answer.size}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    (void)sendmsg(connection, &message, MSG_NOSIGNAL); /* the caller may have left: its own affair */
    close(connection);
}

int dev_control_ask(const char *directory, const char *request, struct bytes *ret_answer)
{
    static uint8_t reply[DEV_REPLY_BYTES_MAX];
    *ret_answer = (struct bytes){reply, 0};
    int connection = dev_control_connect(directory);
    if (connection < 0) {
        fprintf(stderr, "meridian: no cluster runs in %s. Start one: meridian dev\n", directory);
        return EXIT_UNAVAILABLE;
    }
    limit_wait(connection, REPLY_WAIT_S);
    ssize_t size = -1;
    if (send(connection, request, strlen(request), MSG_NOSIGNAL) > 0)
        size = recv(connection, reply, sizeof reply, 0);
    close(connection);
    if (size <= 0) {
        fprintf(stderr, "meridian: the supervisor of %s did not answer in %d s\n", directory, REPLY_WAIT_S);
        return EXIT_UNAVAILABLE;
    }
    *ret_answer = (struct bytes){reply + 1, (size_t)size - 1};
    return reply[0] - '0';
}
