/* precompiled.h - SentencePiece's precompiled character map, the "Precompiled" normaliser. */
#ifndef SX_TOK_PRECOMPILED_H
#define SX_TOK_PRECOMPILED_H

#include "../base/hash.h"
#include "rewrite.h"

typedef struct sx_precompiled sx_precompiled; /* immutable */

/* From the base64 of tokenizer.json. `path` is the file for messages. */
sx_status sx_precompiled_open(sx_text base64, const char *path, sx_precompiled **out, sx_error *error);
void sx_precompiled_close(sx_precompiled *map);
/* Rewrites everything. */
void sx_precompiled_rewrite(const sx_precompiled *map, sx_rewrite *rewrite);
/* Of the map's bytes. */
const sx_sha256 *sx_precompiled_hash(const sx_precompiled *map);

#endif
