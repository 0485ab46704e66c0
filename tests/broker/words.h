/* words.h - an event of a step table, word by word: "eu hello 2 slots=4", "c1 cancel 1-3". */
#ifndef MERIDIAN_TESTS_BROKER_WORDS_H
#define MERIDIAN_TESTS_BROKER_WORDS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

enum { WORDS_MAX = 64 };

struct words {
    char text[1024];
    char *all[WORDS_MAX];
    int count;
};

struct words words_split(const char *format, va_list arguments);
bool words_has(const struct words *words, const char *word);
/* The text behind "KEY=", NULL if the word, or any of the words, has none. */
const char *word_option(const char *word, const char *key);
const char *words_option(const struct words *words, const char *key);
uint64_t words_number(const struct words *words, const char *key, uint64_t otherwise);
/* "5" or "5-9"; false if it is neither. */
bool word_range(const char *word, uint32_t *ret_first, uint32_t *ret_last);

#endif
