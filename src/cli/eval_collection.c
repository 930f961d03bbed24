/* eval_collection.c - judged queries asked of a collection through sx_search, so that chunks, words, weights and re-ranking are judged as
 * people meet them. */
#include "eval_runs.h"
#include "search_choice.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 100 };

static bool is_called(sx_text id, const char *name, size_t length)
{
    return id.length == length && memcmp(id.data, name, length) == 0;
}

/* Whether the judged id means this hit's document. */
static bool means(sx_text id, const sx_hit *hit, const char *metadata_id)
{
    const char *name = sx_path_name(hit->document), *ending = strrchr(name, '.');
    size_t whole = strlen(hit->document), bare = ending && ending != name ? (size_t)(ending - hit->document) : whole;
    size_t folder = (size_t)(name - hit->document);
    return (metadata_id && is_called(id, metadata_id, strlen(metadata_id))) || is_called(id, hit->document, whole) ||
           is_called(id, hit->document, bare) || is_called(id, name, whole - folder) || is_called(id, name, bare - folder);
}

/* Grades of the documents found, each at the place of its best passage; returns how many there are. */
static size_t grade_documents(const sx_eval_set *set, size_t from, size_t to, const sx_hits *hits, double grades[DEPTH])
{
    size_t found = 0;
    for (size_t i = 0; i < hits->count && found < DEPTH; i++) {
        const sx_hit *hit = &hits->hits[i];
        bool again = false;
        for (size_t j = 0; j < i && !again; j++)
            again = strcmp(hits->hits[j].document, hit->document) == 0 && strcmp(hits->hits[j].root, hit->root) == 0;
        if (again)
            continue;
        json_t *metadata = hit->metadata ? json_loads(hit->metadata, 0, NULL) : NULL;
        const char *id = json_string_value(json_object_get(metadata, "id"));
        grades[found] = 0;
        for (size_t j = from; j < to; j++)
            if (means(set->document_ids.texts[set->judgements[j].document], hit, id))
                grades[found] = set->judgements[j].grade;
        json_decref(metadata);
        found++;
    }
    return found;
}

sx_status sx_eval_collection(sx_cli *cli, const sx_eval_set *set, sx_eval_run *run, sx_error *error)
{
    sx_cli_searcher searcher = {0};
    double grades[DEPTH], *relevant = sx_calloc(set->judgement_count, sizeof *relevant);
    sx_status status = relevant ? SX_OK : sx_fail_nomem(error, set->judgement_count * sizeof *relevant);
    if (!status)
        status = sx_cli_searcher_choose(cli, &searcher, error);
    if (!status)
        status = sx_cli_searcher_open(&searcher, error);
    for (size_t from = 0, to, at = 0; !status && sx_eval_next_query(set, from, &to); from = to, at++) {
        sx_hits *hits = NULL;
        status = sx_cli_searcher_find(&searcher, set->queries.texts[set->judgements[from].query], &hits, error);
        if (!status)
            run->scores[at] = sx_eval_judge(set, from, to, grades, grade_documents(set, from, to, hits, grades), relevant);
        sx_hits_free(hits);
    }
    sx_cli_searcher_close(&searcher);
    free(relevant);
    return status;
}
