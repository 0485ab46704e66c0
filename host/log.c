/* log.c - see log.h. */
#include "host/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "engine/peer.h"

enum {
    LINE_BYTES_MAX = 1024,
    LINES_PER_SECOND = 50, /* of one code: a flood must not cost a disk */
};

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

/* How much of a code was logged in this second. Only the loop's thread logs traces. */
static struct {
    time_t second;
    uint32_t shown, hidden;
} budgets[TRACE_CODE_COUNT];

/* False if the code has had its lines for this second; what was left out is said with the next line that is
 * not. Debug is for seeing everything. */
static bool spend(enum trace_code code)
{
    time_t second = time(NULL);
    if (level_min == TRACE_DEBUG)
        return true;
    if (budgets[code].second != second) {
        uint32_t hidden = budgets[code].hidden;
        budgets[code].second = second;
        budgets[code].shown = budgets[code].hidden = 0;
        if (hidden != 0)
            log_line(codes[code].level, "%" PRIu32 " more lines were left out of: %s", hidden,
                     codes[code].text);
    }
    if (budgets[code].shown == LINES_PER_SECOND) {
        budgets[code].hidden++;
        return false;
    }
    budgets[code].shown++;
    return true;
}

void log_trace(const struct trace *trace)
{
    static const struct task_id none;
    char text[LINE_BYTES_MAX];
    size_t size = 0;
    if (codes[trace->code].level < level_min || !spend(trace->code))
        return;
    for (const char *at = codes[trace->code].text; *at != '\0' && size < sizeof text - 64; at++) {
        if (at[0] == '%' && (at[1] == 'a' || at[1] == 'b')) {
            size += (size_t)value_text(text + size, sizeof text - size, at[1] == 'a' ? trace->a : trace->b);
            at++;
        } else if (at[0] == '%' && at[1] == 'e') {
            const char *code = error_code_text((enum error_code)trace->a);
            size += (size_t)snprintf(text + size, sizeof text - size, "%s", code);
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
