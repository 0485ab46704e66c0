/* log.c - see log.h. */
#include "host/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "engine/peer.h"

enum { LINE_BYTES_MAX = 1024 };

static const struct {
    enum trace_level level;
    const char *text;
} codes[TRACE_CODE_COUNT] = {
#define X(name, level, text) {TRACE_##level, text},
    TRACE_CODES(X)
#undef X
};

static char node_name[160] = "host";
static enum trace_level level_min = TRACE_DEBUG;

void log_open(const char *node, enum trace_level level)
{
    snprintf(node_name, sizeof node_name, "%s", node);
    level_min = level;
}

static void write_line(enum trace_level level, const char *text)
{
    static const char *const levels[] = {"debug", "info", "warn"};
    char line[LINE_BYTES_MAX + 256];
    char date[32];
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
    int size = snprintf(line, sizeof line, "%s.%03ldZ %s %s %s\n", date, now.tv_nsec / 1000000, node_name,
                        levels[level], text);
    /* Nobody is left to tell when stderr is gone. */
    if (size > 0 && write(STDERR_FILENO, line, (size_t)size < sizeof line ? (size_t)size : sizeof line) < 0)
        return;
}

/* Peers are numbers with their port in the top byte: "child:3" says more. */
static int value_text(char *to, size_t size, uint64_t value)
{
    static const char *const ports[] = {
        [PORT_CLIENT] = "client", [PORT_CHILD] = "child", [PORT_PARENT] = "parent"};
    enum port port = peer_port(value);
    if (port >= PORT_CLIENT && port <= PORT_PARENT)
        return snprintf(to, size, "%s:%" PRIu64, ports[port], peer_number(value));
    return snprintf(to, size, "%" PRIu64, value);
}

void log_trace(const struct trace *trace)
{
    static const struct task_id none;
    char text[LINE_BYTES_MAX];
    size_t size = 0;
    if (codes[trace->code].level < level_min)
        return;
    for (const char *at = codes[trace->code].text; *at != '\0' && size < sizeof text - 64; at++) {
        if (at[0] == '%' && (at[1] == 'a' || at[1] == 'b')) {
            size += (size_t)value_text(text + size, sizeof text - size, at[1] == 'a' ? trace->a : trace->b);
            at++;
        } else {
            text[size++] = *at;
        }
    }
    text[size] = '\0';
    if (!task_id_equal(&trace->id, &none)) {
        char hex[TASK_ID_HEX + 1];
        hex_encode((struct bytes){trace->id.bytes, TASK_ID_BYTES}, hex);
        snprintf(text + size, sizeof text - size, ": task %s", hex + TASK_ID_HEX - TASK_ID_SHORT_HEX);
    }
    write_line(codes[trace->code].level, text);
}

void log_line(enum trace_level level, const char *format, ...)
{
    char text[LINE_BYTES_MAX];
    va_list arguments;
    if (level < level_min)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    write_line(level, text);
}

void host_fatal(const char *format, ...)
{
    char text[LINE_BYTES_MAX];
    char line[LINE_BYTES_MAX + 256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    int size = snprintf(line, sizeof line, "meridian: %s: %s\n", node_name, text);
    if (write(STDERR_FILENO, line, (size_t)size) < 0)
        _exit(1);
    _exit(1);
}
