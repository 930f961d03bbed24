/* run_models.c - `sextant models list|info|import|remove`. */
#include "models.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/json_writer.h"
#include "../base/memory.h"

#include <stdlib.h>
#include <string.h>

const char *sx_cli_model_argument(const sx_cli *cli)
{
    return cli->argument_count ? cli->arguments[0] : sx_cli_text(cli, "model");
}

static void append_entry(sx_buffer *json, const sx_model_entry *entry)
{
    sx_buffer_append_byte(json, '{');
    sx_cli_member_text(json, "name", entry->name);
    sx_cli_member_text(json, "folder", entry->folder);
    sx_cli_member_text(json, "source", entry->source);
    sx_cli_member_text(json, "kind", *entry->kind ? entry->kind : NULL);
    sx_cli_member_text(json, "family", entry->family);
    sx_cli_member_text(json, "sha256", *entry->sha256 ? entry->sha256 : NULL);
    sx_cli_member_text(json, "licence", *entry->licence ? entry->licence : NULL);
    sx_cli_member_integer(json, "bytes", entry->bytes);
    sx_cli_member_integer(json, "dimensions", entry->dimensions);
    sx_cli_member_integer(json, "max_length", entry->max_length);
    sx_buffer_append_byte(json, '}');
}

int sx_cli_models_list(sx_cli *cli)
{
    if (sx_cli_flag(cli, "known"))
        return sx_cli_print_known_models(cli);
    sx_error error = {0};
    sx_model_list *list = NULL;
    sx_status status = sx_models_list(&cli->places, &list, &error);
    if (status)
        return sx_cli_fail(cli, &error);
    int code = SX_EXIT_DONE;
    if (cli->json) {
        sx_buffer json = {0};
        sx_buffer_append_string(&json, "{\"models\":[");
        for (size_t i = 0; i < list->count; i++) {
            sx_buffer_append_string(&json, i ? "," : "");
            append_entry(&json, &list->entries[i]);
        }
        sx_buffer_append_string(&json, "]}");
        code = sx_cli_print_json(cli, &json);
    } else if (!list->count) {
        sx_cli_say("No models yet; `sextant models pull minilm` fetches one, `sextant models import FOLDER` takes a copy you have.\n");
    } else {
        sx_cli_say("%-40s  %5s  %6s  %10s  %-9s  %s\n", "model", "dims", "tokens", "size", "from", "licence");
        for (size_t i = 0; i < list->count; i++) {
            const sx_model_entry *entry = &list->entries[i];
            char bytes[32];
            sx_cli_human_bytes(entry->bytes, bytes);
            sx_cli_say("%-40s  %5u  %6u  %10s  %-9s  %s\n", entry->name, entry->dimensions, entry->max_length, bytes,
                       entry->source, entry->licence);
        }
    }
    sx_model_list_free(list);
    return code;
}

sx_status sx_cli_open_named_model(sx_cli *cli, sx_model **model, sx_error *error)
{
    char *folder = NULL;
    const char *name = sx_cli_model_argument(cli);
    sx_status status = sx_cli_check_reference(name, error);
    if (!status)
        status = sx_models_resolve(&cli->places, name, &folder, error);
    if (!status) {
        sx_model_options options = {.size = sizeof options, .hash_folder = cli->cache_folder};
        status = sx_model_open(folder, &options, model, error);
    }
    sx_free(folder);
    return status;
}

sx_status sx_cli_find_model_entry(const sx_cli *cli, const char *folder, char **licence, char **sha256, sx_error *error)
{
    sx_model_list *list = NULL;
    sx_status status = sx_models_list(&cli->places, &list, error);
    for (size_t i = 0; !status && i < list->count; i++)
        if (strcmp(list->entries[i].folder, folder) == 0) {
            *licence = sx_strdup(list->entries[i].licence);
            *sha256 = sx_strdup(list->entries[i].sha256);
        }
    sx_model_list_free(list);
    return status;
}

static void append_prompts(sx_buffer *json, const sx_model *model)
{
    sx_prompt prompt;
    sx_cli_key(json, "prompts");
    sx_buffer_append_byte(json, '[');
    for (size_t i = 0; sx_model_prompt_at(model, i, &prompt); i++) {
        sx_buffer_append_string(json, i ? ",{" : "{");
        sx_cli_member_text(json, "name", prompt.name);
        sx_cli_member_text(json, "text", prompt.text);
        sx_cli_member_text(json, "source", prompt.source);
        sx_buffer_append_byte(json, '}');
    }
    sx_buffer_append_byte(json, ']');
}

static void say_prompts(const sx_model *model)
{
    sx_prompt prompt;
    const char *standing;
    for (size_t i = 0; sx_model_prompt_at(model, i, &prompt); i++) {
        sx_buffer quoted = {0};
        sx_json_write_string(&quoted, prompt.text, strlen(prompt.text));
        sx_cli_say("%-12s %s: %s%s\n", i ? "" : "prompts", prompt.name, quoted.data ? quoted.data : "",
                   strcmp(prompt.source, "recommended") == 0 ? " (recommended by its authors; its files have none)" : "");
        sx_buffer_clear(&quoted);
    }
    if (!sx_model_prompt(model, "none", &standing, NULL) && *standing)
        sx_cli_say("%-12s before every text where no role is named: %s\n", "", standing);
}

/* The commit of a folder in a Hugging Face cache: .../snapshots/COMMIT. Malloc'ed, or NULL. */
static char *commit_of(const char *folder)
{
    static const char mark[] = "/snapshots/";
    const char *found = strstr(folder, "/models--");
    found = found ? strstr(found, mark) : NULL;
    return found ? sx_strndup(found + sizeof mark - 1, strcspn(found + sizeof mark - 1, "/")) : NULL;
}

int sx_cli_models_info(sx_cli *cli)
{
    sx_error error = {0};
    sx_model *model = NULL;
    char *licence = NULL, *recorded = NULL, *commit = NULL;
    sx_status status = sx_cli_open_named_model(cli, &model, &error);
    if (!status)
        status = sx_cli_find_model_entry(cli, sx_model_describe(model)->folder, &licence, &recorded, &error);
    int code = SX_EXIT_DONE;
    if (status) {
        code = sx_cli_fail(cli, &error);
        goto out;
    }
    const sx_model_info *info = sx_model_describe(model);
    commit = commit_of(info->folder);
    if (cli->json) {
        sx_buffer json = {0};
        sx_buffer_append_byte(&json, '{');
        sx_cli_member_text(&json, "name", sx_cli_model_argument(cli));
        sx_cli_member_text(&json, "folder", info->folder);
        sx_cli_member_text(&json, "kind", info->kind);
        sx_cli_member_text(&json, "family", info->family);
        sx_cli_member_text(&json, "pooling", info->pooling);
        sx_cli_member_text(&json, "similarity", info->similarity);
        sx_cli_member_boolean(&json, "normalized", info->normalized);
        sx_cli_member_integer(&json, "dimensions", info->dimensions);
        sx_cli_member_integer(&json, "max_length", info->max_length);
        sx_cli_member_boolean(&json, "sparse", info->outputs & SX_OUTPUT_SPARSE);
        sx_cli_member_integer(&json, "multi_dimensions", info->multi_dimensions);
        sx_cli_member_integer(&json, "labels", info->labels);
        sx_cli_member_integer(&json, "layers", info->layers);
        sx_cli_member_integer(&json, "hidden_size", info->hidden_size);
        sx_cli_member_integer(&json, "heads", info->heads);
        sx_cli_member_integer(&json, "vocabulary_size", info->vocabulary_size);
        sx_cli_member_integer(&json, "parameters", info->parameters);
        sx_cli_member_text(&json, "weights_file", info->weights_file);
        sx_cli_member_integer(&json, "weights_bytes", info->weights_bytes);
        sx_cli_member_text(&json, "sha256", info->weights_sha256);
        sx_cli_member_text(&json, "precision", info->precision);
        sx_cli_member_text(&json, "storage", info->storage);
        sx_cli_member_text(&json, "kernels", info->kernels);
        sx_cli_member_text(&json, "licence", licence && *licence ? licence : NULL);
        sx_cli_member_text(&json, "commit", commit);
        append_prompts(&json, model);
        sx_buffer_append_byte(&json, '}');
        code = sx_cli_print_json(cli, &json);
    } else {
        char bytes[32], parameters[32];
        sx_cli_human_bytes(info->weights_bytes, bytes);
        sx_cli_human_count(info->parameters, parameters);
        sx_cli_say("model        %s\nfolder       %s\nfamily       %s, %u layers, %u heads, hidden size %u\n",
                   sx_cli_model_argument(cli), info->folder, info->family, info->layers, info->heads, info->hidden_size);
        if (info->outputs & SX_OUTPUT_SCORES)
            sx_cli_say("scores       %u label%s for a pair of texts\n", info->labels, info->labels == 1 ? "" : "s");
        else
            sx_cli_say("vectors      %u dimensions%s%s%s, %s similarity%s%s\n", info->dimensions, *info->pooling ? ", " : "",
                       info->pooling, info->normalized ? ", normalised" : "", info->similarity,
                       info->outputs & SX_OUTPUT_SPARSE ? ", sparse weights" : "",
                       info->outputs & SX_OUTPUT_MULTI ? ", multi-vectors" : "");
        if (info->max_length)
            sx_cli_say("longest      %u tokens\n", info->max_length);
        sx_cli_say("vocabulary   %u\n", info->vocabulary_size);
        sx_cli_say("weights      %s (%s, %s parameters, %s)\nsha-256      %s\nkernels      %s, %s\n", info->weights_file, bytes,
                   parameters, info->storage, info->weights_sha256, info->kernels, info->precision);
        if (licence && *licence)
            sx_cli_say("licence      %s\n", licence);
        if (commit)
            sx_cli_say("commit       %s\n", commit);
        say_prompts(model);
    }
out:
    free(commit);
    free(licence);
    free(recorded);
    sx_model_close(model);
    return code;
}

int sx_cli_models_import(sx_cli *cli)
{
    sx_error error = {0};
    const char *folder = cli->arguments[0], *asked = sx_cli_text(cli, "name");
    char *real = asked ? NULL : realpath(folder, NULL);
    const char *own = real ? sx_path_name(real) : sx_path_name(folder), *dot = strrchr(own, '.');
    bool gguf = dot && strcmp(dot, ".gguf") == 0;
    char *name = asked ? sx_strdup(asked) : sx_strndup(own, gguf ? (size_t)(dot - own) : strlen(own));
    sx_status status = name ? sx_models_import(&cli->places, folder, name, sx_cli_text(cli, "sha256"), &error)
                            : sx_fail_nomem(&error, strlen(own));
    int code = SX_EXIT_DONE;
    if (status) {
        code = sx_cli_fail(cli, &error);
    } else if (cli->json) {
        sx_buffer json = {0};
        sx_buffer_append_byte(&json, '{');
        sx_cli_member_text(&json, "imported", name);
        sx_buffer_append_byte(&json, '}');
        code = sx_cli_print_json(cli, &json);
    } else if (!cli->quiet) {
        sx_cli_say("imported as %s\n", name);
    }
    free(name);
    free(real);
    return code;
}

int sx_cli_models_remove(sx_cli *cli)
{
    sx_error error = {0};
    sx_status status = sx_models_remove(&cli->places, cli->arguments[0], &error);
    if (status)
        return sx_cli_fail(cli, &error);
    if (cli->json) {
        sx_buffer json = {0};
        sx_buffer_append_byte(&json, '{');
        sx_cli_member_text(&json, "removed", cli->arguments[0]);
        sx_buffer_append_byte(&json, '}');
        return sx_cli_print_json(cli, &json);
    }
    if (!cli->quiet)
        sx_cli_say("removed %s\n", cli->arguments[0]);
    return SX_EXIT_DONE;
}
