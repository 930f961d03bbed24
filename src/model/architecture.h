/* architecture.h - what a transformer is, in terms all families share: sizes, switches, and the names of its tensors.
 *
 * The encoder and the loader know no families: the readers of config.json (family_*.c) and of GGUF metadata fill this in.
 */
#ifndef SX_MODEL_ARCHITECTURE_H
#define SX_MODEL_ARCHITECTURE_H

#include "sextant.h"

#include "../base/memory.h"
#include "../kern/kernels.h"

#include <stdbool.h>

/* The largest size a field may give, and the most tokens of a text where the model itself sets no lower limit. */
enum { SX_ARCHITECTURE_SIZE_MAX = 1 << 24, SX_LONGEST_TEXT = 1 << 17 };

/* Where a layer's norms stand. */
typedef enum sx_norm_placement {
    SX_NORM_AFTER,    /* x = norm(x + f(x)): BERT */
    SX_NORM_BEFORE,   /* x = x + f(norm(x)): T5, ModernBERT, Qwen */
    SX_NORM_AROUND    /* x = x + norm(f(norm(x))): Gemma 3 */
} sx_norm_placement;

/* Names without ".weight" and ".bias"; NULL: the family has no such tensor. Layer names stand behind the layer's. */
typedef struct sx_tensor_names {
    const struct sx_tensor_names *other; /* the same tensors by other names, where these are not in the file; or NULL */
    const char *prefixes[4];             /* before every name; the first one that fits the file; "" may be among them */
    const char *words, *positions, *token_types;
    const char *embedding_norm;
    const char *embedding_projection;    /* embedding_size to hidden_size, with a bias */
    const char *layer;                   /* printf format, the layer's number its argument */
    const char *mixed;                   /* Q, K and V in one tensor, or: */
    const char *query, *key, *value;
    const char *query_norm, *key_norm;   /* of each head */
    const char *attention_output;
    const char *attention_norm;          /* before or after attention, as placement says */
    const char *attention_after_norm;    /* SX_NORM_AROUND: the second one */
    const char *gated;                   /* gate and up in one tensor, the gate first, or: */
    const char *gate, *up;
    const char *down;
    const char *feed_forward_norm, *feed_forward_after_norm;
    const char *relative_bias;           /* full name: buckets x heads */
    const char *final_norm;
} sx_tensor_names;

typedef struct sx_architecture {
    const char *family;                  /* model_type: "bert" */
    const sx_tensor_names *names;

    uint32_t layers, hidden_size, intermediate_size, vocabulary_size;
    uint32_t embedding_size;             /* = hidden_size unless there is a projection */
    bool embedding_projection;
    uint32_t heads, key_heads, head_size; /* key_heads divides heads; heads * head_size need not be hidden_size */
    uint32_t tied_layers;                /* ALBERT: so many layers' weights do for all (num_hidden_groups); 0: each its own */

    /* positions */
    uint32_t positions;                  /* rows of the position table; 0: no table */
    uint32_t first_position;             /* row of the first token: RoBERTa's padding_idx + 1 */
    bool skip_padding;                   /* RoBERTa: padding_id in a text gets row first_position - 1 and is not counted */
    uint32_t padding_id;
    uint32_t token_types;                /* rows; 0: no table */
    uint32_t longest;                    /* tokens a text may have by config alone */
    float rope_theta, rope_local_theta;  /* 0: no rotary positions; local: of layers with a window, 0: the same */
    float rope_scale;                    /* frequencies of rope_theta are divided by this (linear scaling); 1 */
    uint32_t relative_buckets, relative_distance; /* T5 and MPNet: bidirectional buckets; 0: none */

    /* attention */
    bool causal;
    uint32_t window;                     /* layers with a window: query i sees keys |i - j| <= window */
    const bool *windowed;                /* which ones they are; NULL: none */
    float attention_scale;               /* of q . k */
    bool head_norms;                     /* RMS norm of each head of Q and K, before the rotation */

    /* norms */
    sx_norm_placement placement;
    bool rms;                            /* no mean is taken away */
    float norm_epsilon;
    float norm_weight_offset;            /* Gemma: the weight is this plus the tensor */
    bool embedding_norm, final_norm;
    bool first_attention_norm;           /* false: layer 0 has no attention norm (ModernBERT) */
    float embedding_scale;               /* Gemma: sqrt(hidden_size) */

    /* products */
    sx_activation activation;
    bool gated;                          /* down(activation(gate) * up) */
    bool mixed_bias, output_bias, feed_forward_bias, norm_bias;
} sx_architecture;

/* Reads config.json of a folder. Strings and arrays live in the arena. SX_E_UNSUPPORTED names a model_type or field value
 * that is not known; SX_E_FORMAT what contradicts itself. */
sx_status sx_architecture_read(const char *folder, sx_arena *arena, sx_architecture *architecture, sx_error *error);
/* The same from the metadata of an open .gguf file (gguf_model.c). */
struct sx_tensors;
sx_status sx_architecture_of_gguf(const struct sx_tensors *file, sx_arena *arena, sx_architecture *architecture,
                                  sx_error *error);
/* What every reader ends with: divisibility, ranges, that what is switched on has its names. `where` names the file. */
sx_status sx_architecture_check(const sx_architecture *architecture, const char *where, sx_error *error);

#endif
