/* recommended_prompts.h - which known model a folder holds, for prompts that its own files leave out. */
#ifndef SX_MODEL_RECOMMENDED_PROMPTS_H
#define SX_MODEL_RECOMMENDED_PROMPTS_H

#include "model_folder.h"

/* The known model at `path` (a folder or .gguf file), by what is surest: its place in a Hugging Face cache, the record of its
 * import, config.json's _name_or_path. A place in the cache under a name that is not known is an answer too. NULL: none. */
const sx_known_model *sx_known_model_of(const char *path);

/* Models such as bge-*-v1.5 and e5-* are published without prompts in their files, though they were trained with them. When no
 * prompt of an embedder's own has any text, folder->recommended is the known model it is, if its authors recommend prompts. */
void sx_model_folder_recommend(sx_model_folder *folder);

#endif
