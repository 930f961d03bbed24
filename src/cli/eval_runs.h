/* eval_runs.h - what a run over judged queries gave, query by query: kept in a file, and compared with another run. */
#ifndef SX_CLI_EVAL_RUNS_H
#define SX_CLI_EVAL_RUNS_H

#include "eval_data.h"

#include "../base/ranking.h"

/* One entry for each judged query, in the order of the judgements. */
typedef struct sx_eval_run {
    sx_text *queries;           /* their ids, the set's */
    sx_ranking_scores *scores;
    size_t count;
} sx_eval_run;

/* Room for every judged query of the set, whose ids it takes. */
sx_status sx_eval_run_open(const sx_eval_set *set, sx_eval_run *run, sx_error *error);
void sx_eval_run_close(sx_eval_run *run);
sx_ranking_scores sx_eval_run_mean(const sx_eval_run *run);

/* One JSON object a line: query and its figures. */
sx_status sx_eval_run_write(const sx_eval_run *run, const char *path, sx_error *error);

typedef struct sx_eval_comparison {
    size_t queries, better, worse; /* those both runs have; where this one's nDCG@10 is higher, lower */
    double difference;             /* of the means of nDCG@10: this run's less the other's */
    double p;                      /* how often chance alone gives so large a difference, either way */
} sx_eval_comparison;
/* With a file that sx_eval_run_write wrote. The test exchanges the two runs' figures of a query or does not, by chance, 100,000 times
 * (Fisher's randomisation; Smucker, Allan and Carterette 2007 compare it with others); the same files give the same p. */
sx_status sx_eval_run_compare(const sx_eval_run *run, const char *path, sx_eval_comparison *out, sx_error *error);

/* The judgements [from, *to) are one query's; false at the end. */
bool sx_eval_next_query(const sx_eval_set *set, size_t from, size_t *to);
/* grades of what was found, best first; relevant: room for *to - from numbers. */
sx_ranking_scores sx_eval_judge(const sx_eval_set *set, size_t from, size_t to, const double *grades, size_t found, double *relevant);

/* Every judged query asked of a collection, as search does; documents rank by their best passage and are known by the id in their
 * metadata, by path, by path or name without its ending. */
sx_status sx_eval_collection(sx_cli *cli, const sx_eval_set *set, sx_eval_run *run, sx_error *error);

#endif
