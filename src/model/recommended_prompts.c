/* recommended_prompts.c - recognising a known model, so that queries and documents get the prefix they were trained with. */
#include "recommended_prompts.h"

#include "registry.h"

#include "../base/file.h"
#include "../base/memory.h"

#include <stdlib.h>
#include <string.h>

static const sx_known_model *known_by_hub_name(const char *name, size_t length)
{
    const sx_known_model *known;
    for (size_t i = 0; (known = sx_models_known(i)); i++)
        if (strlen(known->hub) == length && memcmp(known->hub, name, length) == 0)
            return known;
    return NULL;
}

/* What a path through models--org--name says. *in_cache: it leads through one. */
static const sx_known_model *known_by_place(const char *path, bool *in_cache)
{
    static const char mark[] = "/models--";
    char name[256];
    const char *found = NULL;
    for (const char *at = path; (at = strstr(at, mark)); at += sizeof mark - 1)
        found = at + sizeof mark - 1;
    size_t length = found ? strcspn(found, "/") : 0;
    *in_cache = false;
    if (!length || length >= sizeof name)
        return NULL;
    memcpy(name, found, length);
    name[length] = '\0';
    char *dashes = strstr(name, "--");
    if (!dashes)
        return NULL;
    *in_cache = true;
    *dashes = '/';
    memmove(dashes + 1, dashes + 2, strlen(dashes + 2) + 1);
    return known_by_hub_name(name, length - 1);
}

/* What the import wrote down: where it came from, else the name it was given. */
static const sx_known_model *known_by_record(const char *folder, bool *decided)
{
    json_t *record = sx_model_read_json(folder, SX_MODEL_RECORD), *alias;
    const char *source = json_string_value(json_object_get(record, "source"));
    const char *name = json_string_value(json_object_get(record, "name"));
    const sx_known_model *known = source ? known_by_place(source, decided) : NULL;
    size_t i;
    if (!known && !*decided && name)
        known = sx_known_model_find(name);
    json_array_foreach(json_object_get(record, "aliases"), i, alias)
        if (!known && !*decided && json_is_string(alias))
            known = sx_known_model_find(json_string_value(alias));
    json_decref(record);
    return known;
}

static const sx_known_model *known_by_config(const char *folder)
{
    json_t *config = sx_model_read_json(folder, "config.json");
    const char *name = json_string_value(json_object_get(config, "_name_or_path"));
    const sx_known_model *known = name ? known_by_hub_name(name, strlen(name)) : NULL;
    json_decref(config);
    return known;
}

const sx_known_model *sx_known_model_of(const char *path)
{
    bool decided = false;
    const sx_known_model *known = known_by_place(path, &decided);
    char *real = decided ? NULL : realpath(path, NULL);
    struct stat status;
    /* The blobs of a cache hold a file's bytes under its hash: only a folder's real path says which model it is. */
    bool is_folder = stat(path, &status) == 0 && S_ISDIR(status.st_mode);
    if (real && !known && is_folder)
        known = known_by_place(real, &decided);
    free(real);
    if (known || decided)
        return known;
    const char *name = sx_path_name(path);
    char *folder = is_folder || name == path ? sx_strdup(is_folder ? path : ".") : sx_strndup(path, (size_t)(name - path));
    if (!folder)
        return NULL;
    known = known_by_record(folder, &decided);
    if (!known && !decided && is_folder)
        known = known_by_config(folder);
    free(folder);
    return known;
}

void sx_model_folder_recommend(sx_model_folder *folder)
{
    folder->recommended = NULL;
    if (folder->kind == SX_MODEL_CROSS_ENCODER)
        return;
    for (size_t i = 0; i < folder->prompt_count; i++)
        if (*folder->prompts[i].text)
            return;
    const sx_known_model *known = sx_known_model_of(folder->path);
    if (known && (*known->query_prompt || *known->passage_prompt))
        folder->recommended = known;
}
