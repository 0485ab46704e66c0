/* sanitizer.c - what ThreadSanitizer cannot see for itself, and what it is told to leave out. Every line here
 * hides something, so each says what.
 *
 * libzmq and czmq are not built with the sanitizer: it does not see the fences in their queues. One thing of
 * that kind matters to our code: what a thread wrote before zmq_send is seen by the thread whose zmq_recv
 * gave it the message. host/commit.c hands batches over by their address, so the address is the place where
 * the two meet: a batch that is touched after it was handed over, or before it came back, is still a race. */
#include <stdint.h>
#include <string.h>
#include <zmq.h>

void __tsan_release(void *address);
void __tsan_acquire(void *address);
const char *__tsan_default_options(void);
const char *__tsan_default_suppressions(void);
int __real_zmq_send(void *socket, const void *data, size_t size, int flags);
int __real_zmq_recv(void *socket, void *data, size_t size, int flags);
int __wrap_zmq_send(void *socket, const void *data, size_t size, int flags);
int __wrap_zmq_recv(void *socket, void *data, size_t size, int flags);

const char *__tsan_default_options(void)
{
    return "exitcode=66 halt_on_error=1";
}

/* libzmq's own threads: what they read, write and free on our account is ordered by queues that are not seen.
 * They do it themselves and in their C++ library, which nobody else here uses. */
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:libzmq.so.5\n"
           "called_from_lib:libstdc++.so.6\n";
}

int __wrap_zmq_send(void *socket, const void *data, size_t size, int flags)
{
    void *address;
    if (size == sizeof address) {
        memcpy(&address, data, sizeof address);
        __tsan_release(address);
    }
    return __real_zmq_send(socket, data, size, flags);
}

int __wrap_zmq_recv(void *socket, void *data, size_t size, int flags)
{
    void *address;
    int received = __real_zmq_recv(socket, data, size, flags);
    if (received == sizeof address) {
        memcpy(&address, data, sizeof address);
        __tsan_acquire(address);
    }
    return received;
}
