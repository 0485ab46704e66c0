/* words.c - see words.h. */
#include "tests/broker/words.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct words words_split(const char *format, va_list arguments)
{
    static struct words words; /* its words point into its own text */
    words.count = 0;
    cr_assert_lt((size_t)vsnprintf(words.text, sizeof words.text, format, arguments), sizeof words.text);
    for (char *at = strtok(words.text, " "); at != NULL; at = strtok(NULL, " ")) {
        cr_assert(words.count < WORDS_MAX);
        words.all[words.count++] = at;
    }
    return words;
}

bool words_has(const struct words *words, const char *word)
{
    for (int i = 0; i < words->count; i++)
        if (strcmp(words->all[i], word) == 0)
            return true;
    return false;
}

/* The text behind "KEY=", NULL if there is none. */
const char *word_option(const char *word, const char *key)
{
    size_t size = strlen(key);
    return strncmp(word, key, size) == 0 && word[size] == '=' ? word + size + 1 : NULL;
}

const char *words_option(const struct words *words, const char *key)
{
    for (int i = 0; i < words->count; i++)
        if (word_option(words->all[i], key) != NULL)
            return word_option(words->all[i], key);
    return NULL;
}

uint64_t words_number(const struct words *words, const char *key, uint64_t otherwise)
{
    const char *text = words_option(words, key);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

/* "5" or "5-9" */
bool word_range(const char *word, uint32_t *ret_first, uint32_t *ret_last)
{
    int used = 0;
    if (sscanf(word, "%u-%u%n", ret_first, ret_last, &used) == 2 && word[used] == '\0')
        return true;
    used = 0;
    bool one = sscanf(word, "%u%n", ret_first, &used) == 1 && word[used] == '\0';
    *ret_last = *ret_first;
    return one;
}
