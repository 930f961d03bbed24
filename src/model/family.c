/* family.c - the table of families. */
#include "family.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const sx_family families[] = {
    {
        .model_type = "bert",
        .read = sx_read_bert_config,
        .names =
            {
                .prefixes = {"", "bert."},
                .words = "embeddings.word_embeddings",
                .positions = "embeddings.position_embeddings",
                .token_types = "embeddings.token_type_embeddings",
                .embedding_norm = "embeddings.LayerNorm",
                .layer = "encoder.layer.%u.",
                .query = "attention.self.query",
                .key = "attention.self.key",
                .value = "attention.self.value",
                .attention_output = "attention.output.dense",
                .attention_norm = "attention.output.LayerNorm",
                .up = "intermediate.dense",
                .down = "output.dense",
                .feed_forward_norm = "output.LayerNorm",
            },
    },
};

const sx_family *sx_family_find(const char *model_type)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strcmp(model_type, families[i].model_type) == 0)
            return &families[i];
    return NULL;
}

void sx_family_list(char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < sizeof families / sizeof *families && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", families[i].model_type);
}
