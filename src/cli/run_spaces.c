/* run_spaces.c - `sextant spaces`: proving that two sources give the same vectors, listing and forgetting what was proven. */
#include "open_model.h"

#include "../base/error.h"
#include "../base/json_writer.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static void time_of(int64_t ns, char text[32])
{
    time_t seconds = (time_t)(ns / 1000000000);
    struct tm parts;
    if (!gmtime_r(&seconds, &parts) || !strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &parts))
        snprintf(text, 32, "%lld", (long long)seconds);
}

static void append_proof(sx_buffer *json, const sx_space_proof *proof, const char *const models[2], const char *role)
{
    char proven[32];
    time_of(proof->proven_ns, proven);
    sx_buffer_append_byte(json, '{');
    sx_cli_key(json, "models");
    sx_buffer_append_byte(json, '[');
    for (int i = 0; i < 2; i++) {
        sx_buffer_append_string(json, i ? "," : "");
        sx_json_write_string(json, models[i], strlen(models[i]));
    }
    sx_buffer_append_byte(json, ']');
    if (role)
        sx_cli_member_text(json, "role", role);
    sx_cli_key(json, "recipes");
    sx_buffer_printf(json, "[\"%s\",\"%s\"]", proof->recipes[0], proof->recipes[1]);
    sx_cli_member_integer(json, "dimensions", proof->dimensions);
    sx_cli_member_integer(json, "probes", proof->probes);
    sx_cli_member_number(json, "least_cosine", proof->least_cosine);
    sx_cli_member_number(json, "largest_difference", proof->largest_difference);
    sx_cli_member_text(json, "proven", proven);
    sx_buffer_append_byte(json, '}');
}

/* Documents, queries and plain texts have recipes of their own where prompts or roles differ. */
static sx_status prove_roles(sx_cli *cli, sx_database *database, sx_buffer *json, sx_error *error)
{
    static const char *const roles[] = {"document", "query", "none"};
    enum { ROLES = sizeof roles / sizeof *roles };
    sx_space_proof proofs[ROLES];
    size_t count = 0;
    sx_status status = SX_OK;
    sx_buffer_append_byte(json, '[');
    for (size_t i = 0; !status && i < ROLES; i++) {
        sx_embedder *sides[2] = {NULL, NULL};
        bool known = false;
        for (int side = 0; !status && side < 2; side++)
            status = sx_cli_open_model(cli, cli->arguments[side], roles[i], 0, NULL, &sides[side], error);
        for (size_t j = 0; !status && j < count; j++)
            known |= !strcmp(proofs[j].recipes[0], sx_embedder_describe(sides[0])->recipe) &&
                     !strcmp(proofs[j].recipes[1], sx_embedder_describe(sides[1])->recipe);
        if (!status && !known) {
            sx_space_proof *proof = &proofs[count];
            status = sx_space_prove(database, sides[0], sides[1], proof, error);
            const char *const models[2] = {sx_embedder_describe(sides[0])->model, sx_embedder_describe(sides[1])->model};
            sx_buffer_append_string(json, count ? "," : "");
            if (!status)
                append_proof(json, proof, models, roles[i]);
            if (!status && !cli->json)
                sx_cli_say("%s: least cosine %.6f, greatest difference %.6f, %u texts, %u dimensions\n", roles[i],
                           proof->least_cosine, proof->largest_difference, proof->probes, proof->dimensions);
            count += !status;
        }
        sx_embedder_close(sides[0]);
        sx_embedder_close(sides[1]);
    }
    sx_buffer_append_byte(json, ']');
    return status;
}

int sx_cli_spaces_prove(sx_cli *cli)
{
    sx_error error = {0};
    sx_buffer json = {0};
    sx_database *database = NULL;
    sx_status status = sx_cli_open_database(cli, cli->db_path, true, &database, &error);
    if (!status)
        status = prove_roles(cli, database, &json, &error);
    sx_database_close(database);
    int code = SX_EXIT_DONE;
    if (status)
        code = sx_cli_fail(cli, &error);
    else if (cli->json)
        return sx_cli_print_json(cli, &json);
    else
        sx_cli_say("%s and %s give the same vectors; this is recorded.\n", cli->arguments[0], cli->arguments[1]);
    sx_buffer_clear(&json);
    return code;
}

int sx_cli_spaces_list(sx_cli *cli)
{
    sx_error error = {0};
    sx_buffer json = {0};
    sx_database *database = NULL;
    sx_space_proof *list = NULL;
    size_t count = 0;
    sx_status status = sx_cli_open_database(cli, cli->db_path, false, &database, &error);
    if (!status)
        status = sx_space_list(database, &list, &count, &error);
    sx_buffer_append_byte(&json, '[');
    for (size_t i = 0; !status && i < count; i++) {
        const char *const models[2] = {list[i].models[0], list[i].models[1]};
        char proven[32];
        time_of(list[i].proven_ns, proven);
        sx_buffer_append_string(&json, i ? "," : "");
        append_proof(&json, &list[i], models, NULL);
        if (!cli->json)
            sx_cli_say("%s  %s  %s  least cosine %.6f, greatest difference %.6f (recipes %.12s, %.12s)\n", proven, models[0],
                       models[1], list[i].least_cosine, list[i].largest_difference, list[i].recipes[0], list[i].recipes[1]);
    }
    sx_buffer_append_byte(&json, ']');
    if (!status && !count && !cli->json)
        sx_cli_say("Nothing was proven.\n");
    sx_space_list_free(list, count);
    sx_database_close(database);
    if (!status && cli->json)
        return sx_cli_print_json(cli, &json);
    sx_buffer_clear(&json);
    return status ? sx_cli_fail(cli, &error) : SX_EXIT_DONE;
}

int sx_cli_spaces_forget(sx_cli *cli)
{
    sx_error error = {0};
    sx_database *database = NULL;
    uint64_t chunks = 0;
    sx_status status = sx_cli_open_database(cli, cli->db_path, false, &database, &error);
    if (!status)
        status = sx_space_forget(database, cli->arguments[0], cli->arguments[1], &chunks, &error);
    sx_database_close(database);
    if (status)
        return sx_cli_fail(cli, &error);
    if (cli->json) {
        sx_buffer json = {0};
        sx_buffer_append_byte(&json, '{');
        sx_cli_member_integer(&json, "chunks", chunks);
        sx_buffer_append_byte(&json, '}');
        return sx_cli_print_json(cli, &json);
    }
    sx_cli_say("Forgotten.\n");
    if (chunks)
        sx_cli_note(cli, "%llu chunks of one's collections have a vector that the other made; `sextant index --force` makes them anew",
                    (unsigned long long)chunks);
    return SX_EXIT_DONE;
}
