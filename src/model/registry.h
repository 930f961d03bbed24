/* registry.h - where models lie: names, aliases, imported folders, the Hugging Face cache. */
#ifndef SX_MODEL_REGISTRY_H
#define SX_MODEL_REGISTRY_H

#include "sextant.h"

#include <jansson.h>
#include <stdbool.h>

#define SX_MODEL_RECORD "model.json" /* written beside the files of an imported model */

/* By alias, name or org/name; NULL when it is none of the known ones. */
const sx_known_model *sx_known_model_find(const char *reference);

/* Letters, digits and . _ + - , not beginning with a dot or a dash, at most 128 bytes. */
bool sx_model_name_is_valid(const char *name);
/* org/name */
bool sx_hub_name_is_valid(const char *name);
/* Whether the folder holds a configuration; if not, *missing names the file looked for. */
bool sx_model_folder_has_config(const char *folder, const char **missing);
/* The imported folder of a name, its aliases or those its record gives, malloc'ed; NULL when there is none. */
char *sx_model_imported_folder(const char *models_folder, const char *name);
/* By its name. */
bool sx_model_is_gguf(const char *path);
/* The path of the one .gguf file of a folder, malloc'ed; NULL when there is none or are several: *count says. */
char *sx_model_only_gguf(const char *folder, size_t *count);
/* In a repository of the Hugging Face cache, the snapshot of a branch, tag or commit; `wanted` NULL: of what refs/main names, or
 * the only snapshot there is. Malloc'ed path; NULL when there is none. */
char *sx_model_hub_snapshot(const char *repository, const char *wanted);
/* Reads a small JSON file of a model folder; NULL when it is not there or not valid. */
json_t *sx_model_read_json(const char *folder, const char *file);
/* Licence from the front matter of README.md, malloc'ed, "" when there is none; NULL on no memory. */
char *sx_model_licence(const char *folder);

#endif
