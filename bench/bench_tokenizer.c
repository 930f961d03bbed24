/* bench_tokenizer.c - how fast one thread turns texts into tokens.
 *
 * usage: bench_tokenizer TOKENIZER TEXTS.jsonl [REPEAT] [SECONDS]
 * The texts ("text" of each line) are taken REPEAT times (default 20). Prints MB/s and tokens, the best of the rounds that fit
 * into SECONDS (default 3), and how long opening takes. beside_tokenizers.py runs the reference on the same texts.
 */
#include "base/file.h"
#include "tok/tokenizer.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct text_list {
    sx_text *texts;
    size_t count, bytes;
} text_list;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void die(const char *message)
{
    fprintf(stderr, "bench_tokenizer: %s\n", message);
    exit(1);
}

static text_list read_texts(const char *path)
{
    text_list list = {0};
    char *data, *rest = NULL;
    size_t length, room = 0;
    sx_error error;
    if (sx_file_read(path, (size_t)1 << 30, &data, &length, NULL, &error))
        die(error.message);
    for (char *line = strtok_r(data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_t *entry = json_loads(line, JSON_ALLOW_NUL, NULL);
        const json_t *text = json_object_get(entry, "text");
        if (!json_is_string(text))
            die("a line without \"text\"");
        if (list.count == room) {
            room = room ? room * 2 : 256;
            list.texts = realloc(list.texts, room * sizeof *list.texts);
            if (!list.texts)
                die("no memory");
        }
        size_t bytes = json_string_length(text);
        char *copy = malloc(bytes + 1);
        if (!copy)
            die("no memory");
        memcpy(copy, json_string_value(text), bytes);
        list.texts[list.count++] = (sx_text){copy, bytes};
        list.bytes += bytes;
        json_decref(entry);
    }
    free(data);
    return list;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        die("usage: bench_tokenizer TOKENIZER TEXTS.jsonl [REPEAT] [SECONDS]");
    int repeat = argc > 3 ? atoi(argv[3]) : 20;
    double seconds = argc > 4 ? atof(argv[4]) : 3, best = 1e9, begin = now();
    sx_tokenizer *tokenizer;
    sx_error error;
    if (sx_tokenizer_open(argv[1], &tokenizer, &error))
        die(error.message);
    double opened = now() - begin;
    text_list list = read_texts(argv[2]);
    sx_encoding encoding = {0};
    size_t tokens = 0;
    begin = now();
    do {
        double start = now();
        tokens = 0;
        for (int round = 0; round < repeat; round++)
            for (size_t i = 0; i < list.count; i++) {
                if (sx_tokenizer_encode(tokenizer, list.texts[i], NULL, &encoding, &error))
                    die(error.message);
                tokens += encoding.count;
            }
        best = now() - start < best ? now() - start : best;
    } while (now() - begin < seconds);
    double megabytes = (double)list.bytes * repeat / 1e6;
    printf("%.2f MB/s, %zu tokens in %.1f MB, opened in %.1f ms\n", megabytes / best, tokens, megabytes, opened * 1e3);
    for (size_t i = 0; i < list.count; i++)
        free((char *)(uintptr_t)list.texts[i].data);
    free(list.texts);
    sx_encoding_clear(&encoding);
    sx_tokenizer_close(tokenizer);
    return 0;
}
