/* eval_data.h - data sets of judged retrieval (BEIR's layout) and of judged sentence pairs. */
#ifndef SX_CLI_EVAL_DATA_H
#define SX_CLI_EVAL_DATA_H

#include "open_model.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct sx_eval_judgement {
    uint32_t query;
    int64_t document; /* -1: not in the corpus, so never found */
    double grade;
} sx_eval_judgement;

typedef struct sx_eval_set {
    sx_cli_texts document_ids, documents;       /* retrieval: title, a space, text; without a corpus the ids of the judgements, in turn */
    sx_cli_texts query_ids, queries;            /* those with judgements */
    sx_eval_judgement *judgements;              /* by query */
    size_t judgement_count, judgement_capacity;
    double *gold;                               /* pairs: their scores; texts 2i and 2i + 1 of `documents` are a pair */
    size_t pair_count, pair_capacity;
} sx_eval_set;

/* A folder with corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv; or a file of pairs, or a folder with SPLIT.tsv (score, tab, text, tab,
 * text). pair_count tells which. without_corpus: a folder whose corpus is elsewhere, so corpus.jsonl is not looked at. */
sx_status sx_eval_read(const char *path, const char *split, bool without_corpus, sx_eval_set *set, sx_error *error);
void sx_eval_clear(sx_eval_set *set);

#endif
