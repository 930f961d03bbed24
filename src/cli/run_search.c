/* run_search.c - `sextant search`: the nearest passages. */
#include "collection_transfer.h"
#include "legs.h"
#include "print_hits.h"
#include "search_choice.h"
#include "vector_files.h"

#include "../base/error.h"

int sx_cli_search(sx_cli *cli)
{
    sx_error error = {0};
    sx_buffer query = {0};
    sx_cli_searcher searcher = {0};
    sx_hits *hits = NULL;
    int code;
    const sx_cli_value *files = sx_cli_get(cli, "in");
    bool elsewhere = sx_cli_text(cli, "store") != NULL;
    if (sx_cli_count(cli, "open") && (cli->json || files->all_count))
        return sx_cli_usage(cli, NULL, "--open goes with neither --json nor --in");
    if (elsewhere && (files->all_count || sx_cli_count(cli, "open")))
        return sx_cli_usage(cli, NULL, "--store goes with neither --in nor --open");
    sx_status status = sx_cli_join_arguments(cli, &query, &error);
    if (!status)
        status = sx_cli_searcher_choose(cli, &searcher, &error);
    sx_text text = {query.data, query.length};
    if (!status && files->all_count) {
        status = sx_cli_search_files(cli, files->all, files->all_count, text, &searcher.options, &hits, &error);
    } else if (!status && elsewhere) {
        status = sx_cli_search_store(cli, text, &searcher.options, &hits, &error);
    } else {
        if (!status)
            status = sx_cli_searcher_open(&searcher, &error);
        if (!status)
            status = sx_cli_searcher_find(&searcher, text, &hits, &error);
    }
    if (status) {
        code = sx_cli_fail(cli, &error);
    } else if (sx_cli_count(cli, "open")) {
        code = sx_cli_open_hit(cli, hits, sx_cli_count(cli, "open"));
    } else if (cli->json) {
        code = sx_cli_print_hits_json(cli, query.data, searcher.embedder, hits);
    } else {
        sx_cli_print_hits(cli, query.data, hits);
        code = SX_EXIT_DONE;
    }
    if (!status)
        sx_cli_note_legs(cli, searcher.embedder);
    sx_hits_free(hits);
    sx_cli_searcher_close(&searcher);
    sx_buffer_clear(&query);
    return code;
}
