/* replay_corpus.c - gives every file of a folder, and mutations of it, to a fuzz target; an ordinary test without libFuzzer.
 *
 * The mutations (cut at some places, single bytes changed, by a fixed-seed generator) make this more than a replay of known cases. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MUTATIONS = 40, LARGEST = 1 << 20 };

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* An exact-size copy, so that the sanitizer sees a read past the end. */
static void try_input(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void try_mutations(uint8_t *data, size_t size)
{
    for (int i = 0; i < MUTATIONS && size; i++) {
        size_t at = next_random() % size;
        uint8_t kept = data[at];
        if (i % 3 == 0) {
            try_input(data, at);
            continue;
        }
        data[at] = (uint8_t)next_random();
        try_input(data, size);
        data[at] = kept;
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    DIR *folder = opendir(argv[1]);
    if (!folder) {
        perror(argv[1]);
        return 1;
    }
    static uint8_t data[LARGEST];
    int inputs = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "rb");
        if (!file)
            continue;
        size_t size = fread(data, 1, sizeof data, file);
        fclose(file);
        try_input(data, size);
        try_mutations(data, size);
        inputs++;
    }
    closedir(folder);
    if (!inputs) {
        fprintf(stderr, "%s: no inputs\n", argv[1]);
        return 1;
    }
    try_input((const uint8_t *)"", 0);
    printf("%d inputs, %d mutations each\n", inputs, MUTATIONS);
    return 0;
}
