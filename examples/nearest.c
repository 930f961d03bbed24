/* nearest.c - the library in one page: opens a model, embeds some sentences and a question, prints the sentence nearest to it.
 *
 *     cc nearest.c $(pkg-config --cflags --libs sextant) -o nearest
 *     ./nearest FOLDER-OF-A-MODEL "where do the boats go" "The harbour was quiet." "Bread needs time."
 */
#include <sextant.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: %s MODEL-FOLDER QUESTION SENTENCE...\n", argv[0]);
        return 2;
    }
    size_t count = (size_t)argc - 2; /* the question and the sentences */
    sx_error error;
    sx_model *model = NULL;
    sx_session *session = NULL;
    float *vectors = NULL;
    sx_text *texts = calloc(count, sizeof *texts);
    int status = 1;
    if (!texts)
        return 1;
    for (size_t i = 0; i < count; i++)
        texts[i] = (sx_text){argv[i + 2], strlen(argv[i + 2])};
    if (sx_model_open(argv[1], NULL, &model, &error) || sx_session_open(model, NULL, &session, &error))
        goto failed;
    size_t dimensions = sx_model_describe(model)->dimensions;
    vectors = calloc(count * dimensions, sizeof *vectors);
    if (!vectors)
        goto out;
    if (sx_session_embed(session, texts, count, NULL, vectors, NULL, &error))
        goto failed;
    size_t best = 1;
    double best_similarity = -2;
    for (size_t i = 1; i < count; i++) {
        double similarity = 0; /* vectors of length 1: the dot product is the cosine */
        for (size_t j = 0; j < dimensions; j++)
            similarity += (double)vectors[j] * vectors[i * dimensions + j];
        if (similarity > best_similarity) {
            best = i;
            best_similarity = similarity;
        }
    }
    printf("%.4f %s\n", best_similarity, argv[best + 2]);
    status = 0;
    goto out;
failed:
    fprintf(stderr, "%s\n%s\n", error.message, error.hint);
out:
    free(vectors);
    free(texts);
    sx_session_close(session);
    sx_model_close(model);
    return status;
}
