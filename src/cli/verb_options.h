/* verb_options.h - the tables of options that verbs take; each ends with an option without a name. */
#ifndef SX_CLI_VERB_OPTIONS_H
#define SX_CLI_VERB_OPTIONS_H

#include "command.h"

extern const sx_cli_option sx_cli_no_options[], sx_cli_index_options[], sx_cli_similar_options[], sx_cli_search_options[],
    sx_cli_mcp_options[], sx_cli_ask_options[], sx_cli_embed_options[], sx_cli_spaces_options[], sx_cli_doctor_options[],
    sx_cli_batch_options[], sx_cli_cost_options[], sx_cli_migrate_options[], sx_cli_compare_options[], sx_cli_eval_options[],
    sx_cli_rerank_options[], sx_cli_chunk_options[], sx_cli_tokenize_options[], sx_cli_bench_options[], sx_cli_serve_options[],
    sx_cli_copy_options[], sx_cli_export_options[], sx_cli_import_options[], sx_cli_compress_options[],
    sx_cli_duplicates_options[], sx_cli_clusters_options[], sx_cli_classify_options[], sx_cli_map_options[],
    sx_cli_delete_options[], sx_cli_restore_options[], sx_cli_cache_stats_options[], sx_cli_prune_options[],
    sx_cli_cache_export_options[], sx_cli_model_list_options[], sx_cli_pull_options[], sx_cli_model_import_options[],
    sx_cli_verify_options[];

#endif
