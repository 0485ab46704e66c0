/* node_words.c - maps from words, for node_fixture.h. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/task.h"
#include "tests/region/node_fixture.h"

/* Where `name` stands as a word of its own, or NULL. */
static const char *find_word(const char *words, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = strstr(words, name); at != NULL; at = strstr(at + 1, name)) {
        bool begins = at == words || at[-1] == ' ';
        bool ends = name[size - 1] == '=' || at[size] == '\0' || at[size] == ' ';
        if (begins && ends)
            return at;
    }
    return NULL;
}

bool words_have(const char *words, const char *word)
{
    return find_word(words, word) != NULL;
}

const char *words_text(const char *words, const char *name, const char *otherwise)
{
    static char text[64];
    char key[32];
    snprintf(key, sizeof key, "%s=", name);
    const char *at = find_word(words, key);
    if (at == NULL || sscanf(at + strlen(key), "%63s", text) != 1)
        return otherwise;
    return text;
}

long words_number(const char *words, const char *name, long otherwise)
{
    const char *text = words_text(words, name, NULL);
    return text == NULL ? otherwise : strtol(text, NULL, 10);
}

/* "a+b" as an array of strings; "" as an empty one. */
static void write_names(struct writer *writer, const char *names)
{
    char copy[64];
    uint32_t count = 0;
    size_t at = write_array_open(writer);
    snprintf(copy, sizeof copy, "%s", names);
    for (char *name = strtok(copy, "+"); name != NULL; name = strtok(NULL, "+"), count++)
        write_str(writer, name);
    patch_count(writer->data, at, count);
}

void words_write_task(struct writer *writer, const char *words)
{
    static const char *const numbers[] = {"delay_ms", "timeout_ms", "deadline_ms", "retries"};
    static const char *const texts[] = {"type", "priority", "region"};
    if (words_have(words, "bad")) {
        write_map(writer, 1);
        write_str(writer, "colour");
        write_nil(writer);
        return;
    }
    bool typed = words_text(words, "type", NULL) != NULL;
    uint32_t pairs = !typed + (words_text(words, "capabilities", NULL) != NULL);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        pairs += words_text(words, numbers[i], NULL) != NULL;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        pairs += words_text(words, texts[i], NULL) != NULL;
    write_map(writer, pairs);
    if (!typed) {
        write_str(writer, "argv");
        write_array(writer, 1);
        write_str(writer, "true");
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (words_text(words, numbers[i], NULL) != NULL) {
            write_str(writer, numbers[i]);
            write_uint(writer, (uint64_t)words_number(words, numbers[i], 0));
        }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (words_text(words, texts[i], NULL) != NULL) {
            write_str(writer, texts[i]);
            write_str(writer, words_text(words, texts[i], NULL));
        }
    if (words_text(words, "capabilities", NULL) != NULL) {
        write_str(writer, "capabilities");
        write_names(writer, words_text(words, "capabilities", NULL));
    }
}

static void write_number_or_nil(struct writer *writer, const char *words, const char *name)
{
    write_str(writer, name);
    if (words_text(words, name, NULL) == NULL)
        write_nil(writer);
    else
        write_uint(writer, (uint64_t)words_number(words, name, 0));
}

void words_write_result(struct writer *writer, const char *words)
{
    write_map(writer, 4);
    write_number_or_nil(writer, words, "exit");
    write_number_or_nil(writer, words, "signal");
    write_number_or_nil(writer, words, "run_ms");
    write_str(writer, "output");
    uint8_t output[RECORD_BYTES] = "printed";
    write_bin(writer, (struct bytes){output, (size_t)words_number(words, "output", strlen("printed"))});
}

/* types=a+b capabilities=c slots=N; a second profile as more=TYPE more_slots=N. */
void words_write_profiles(struct writer *writer, const char *words)
{
    const char *more = words_text(words, "more", NULL);
    write_array(writer, more == NULL ? 1 : 2);
    write_array(writer, 3);
    write_names(writer, words_text(words, "types", COMMAND_TYPE));
    write_names(writer, words_text(words, "capabilities", ""));
    write_uint(writer, (uint64_t)words_number(words, "slots", 1));
    if (more == NULL)
        return;
    write_array(writer, 3);
    write_names(writer, words_text(words, "more", ""));
    write_names(writer, "");
    write_uint(writer, (uint64_t)words_number(words, "more_slots", 1));
}
