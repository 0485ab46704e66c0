/* assert.h - assertions for our own mistakes, on in every build.
 *
 * Three kinds of error, three treatments: ours is asserted here; the world's (disk, socket, configuration) is
 * a returned status; a peer's (a bad or hostile message) is refused and counted, never asserted. The handler
 * is `meridian_assert_failed`, defined once in proto/assert.c; it prints and aborts. */
#ifndef MERIDIAN_PROTO_ASSERT_H
#define MERIDIAN_PROTO_ASSERT_H

_Noreturn void meridian_assert_failed(const char *condition, const char *file, int line);

#define ASSERT(condition) ((condition) ? (void)0 : meridian_assert_failed(#condition, __FILE__, __LINE__))

#endif
