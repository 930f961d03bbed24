/* family.h - how the architectures of encoders differ, as data: where their tensors are called what. */
#ifndef SX_MODEL_FAMILY_H
#define SX_MODEL_FAMILY_H

enum { SX_FAMILY_PREFIXES = 2 };

/* Names without ".weight" and ".bias". */
typedef struct sx_family {
    const char *model_type;                    /* config.json's */
    const char *prefixes[SX_FAMILY_PREFIXES];  /* before every name; the first one that fits the file */
    const char *words, *positions, *token_types, *embedding_norm;
    const char *layer;                         /* printf format, the layer's number its argument */
    const char *query, *key, *value, *attention_output, *attention_norm; /* behind the layer's name, as all below */
    const char *up, *down, *output_norm;
} sx_family;

/* NULL for a model_type that is not supported. */
const sx_family *sx_family_find(const char *model_type);

#endif
