/* log.h - one line on stderr for everything worth knowing: time, node, level, text.
 *
 * Is:      the reader of engine/trace.h's texts, and the voice of the host itself.
 *          Above debug, a code that comes too often in a second is cut short, and the log says by how many.
 * Threads: traces one, lines any; a line is written in one piece.
 */
#ifndef MERIDIAN_HOST_LOG_H
#define MERIDIAN_HOST_LOG_H

#include "engine/outputs.h"

/* The node's name in each line and the least level that is shown. Before it everything is shown, as "host".
 */
void log_open(const char *node, enum trace_level level);
void log_trace(const struct trace *trace);
__attribute__((format(printf, 2, 3))) void log_line(enum trace_level level, const char *format, ...);

/* Say why and end the process with exit code 1, at once: nothing is flushed, closed or waited for. What was
 * acknowledged is on disk, so this is as good as any other end. */
_Noreturn __attribute__((format(printf, 1, 2))) void host_fatal(const char *format, ...);

#endif
