/* run_doctor.c - `sextant doctor`: what is wrong on this machine, and what to do about it. */
#include "remote_choice.h"

#include "../base/clock.h"
#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { KNOWN_VALUES = 8 };
static const uint64_t little_memory = (uint64_t)1 << 30, little_disk = (uint64_t)1 << 30, no_disk = (uint64_t)64 << 20;

/* The first values of a text's vector by sentence-transformers on weights of this hash. */
static const struct {
    const char *sha256;
    float values[KNOWN_VALUES];
} expectations[] = {
    {"53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
     {-0.00041536862f, -0.04470644f, -0.07436868f, -0.011365418f, -0.059665655f, 0.066318415f, 0.020151816f, -1.5460495e-05f}},
    {"6638f625a0a60bdaa1e34c5fee0a17c705f13b98b43a7973e9d366106a55273d",
     {-0.00045236404f, -0.04469604f, -0.07436341f, -0.011345645f, -0.059701055f, 0.06635715f, 0.020094331f, -2.6384621e-05f}},
};
static const char known_text[] = "How do I reset the password of my account?";
static const double tolerance = 1e-5;

typedef enum finding { FINE, WARNING, FAILURE } finding;

typedef struct examination {
    sx_cli *cli;
    sx_buffer json;
    unsigned failures, warnings;
} examination;

/* advice may be NULL. */
static void record(examination *run, const char *check, finding how, const char *says, const char *advice)
{
    static const char *const words[] = {"ok", "warn", "fail"};
    run->failures += how == FAILURE;
    run->warnings += how == WARNING;
    if (run->cli->json) {
        if (run->json.data[run->json.length - 1] != '[')
            sx_buffer_append_byte(&run->json, ',');
        sx_buffer_append_byte(&run->json, '{');
        sx_cli_member_text(&run->json, "check", check);
        sx_cli_member_text(&run->json, "result", words[how]);
        sx_cli_member_text(&run->json, "message", says);
        sx_cli_member_text(&run->json, "advice", advice && *advice ? advice : NULL);
        sx_buffer_append_byte(&run->json, '}');
        return;
    }
    sx_cli_say("%-5s %-9s %s\n", words[how], check, says);
    if (advice && *advice)
        sx_cli_say("                %s\n", advice);
}

static void record_error(examination *run, const char *check, finding how, const sx_error *error)
{
    record(run, check, how, error->message, error->hint);
}

static void check_machine(examination *run)
{
    sx_machine machine;
    char says[256], memory[32];
    sx_machine_describe(&machine);
    snprintf(says, sizeof says, "sextant %s, SQLite %s", sx_version(), machine.sqlite_version);
    record(run, "versions", FINE, says, NULL);
    snprintf(says, sizeof says, "%u cores, %s kernels", machine.cores, machine.kernels);
    bool slow = !(machine.cpu_mask & (SX_CPU_AVX2 | SX_CPU_AVX512 | SX_CPU_NEON));
    record(run, "processor", slow ? WARNING : FINE, says, slow ? "without AVX2 embedding is several times slower" : NULL);
    sx_cli_human_bytes(machine.memory_bytes, memory);
    snprintf(says, sizeof says, "%s for this process", memory);
    bool little = machine.memory_bytes && machine.memory_bytes < little_memory;
    record(run, "memory", little ? WARNING : FINE, says, little ? "large collections need more; see --max-memory" : NULL);
}

static void check_vector(examination *run, const sx_model *model)
{
    const sx_model_info *info = sx_model_describe(model);
    sx_session *session = NULL;
    sx_error error = {0};
    sx_session_options options = {.size = sizeof options, .threads = (unsigned)sx_cli_count(run->cli, "threads")};
    sx_text text = {known_text, sizeof known_text - 1};
    float *vector = sx_calloc(info->dimensions, sizeof *vector);
    char says[256];
    sx_status status = vector ? sx_session_open(model, &options, &session, &error) : sx_fail_nomem(&error, info->dimensions);
    if (!status)
        status = sx_session_embed(session, &text, 1, NULL, vector, NULL, &error);
    double largest = 0, length = 0;
    bool known = false;
    for (size_t i = 0; !status && i < info->dimensions; i++)
        length += (double)vector[i] * (double)vector[i];
    for (size_t i = 0; !status && i < sizeof expectations / sizeof *expectations; i++) {
        if (strcmp(info->weights_sha256, expectations[i].sha256) != 0 || info->dimensions < KNOWN_VALUES)
            continue;
        known = true;
        for (size_t j = 0; j < KNOWN_VALUES; j++) { /* no fmax: gcc 12 for ARM fails on its reduction here */
            double difference = fabs((double)vector[j] - (double)expectations[i].values[j]);
            largest = difference > largest ? difference : largest;
        }
    }
    if (status) {
        record_error(run, "vectors", FAILURE, &error);
    } else if (!isfinite(length) || (info->normalized && fabs(length - 1) > 1e-3)) {
        snprintf(says, sizeof says, "a text's vector has length %g, expected 1", sqrt(length));
        record(run, "vectors", FAILURE, says, "the weights may be damaged: `sextant models verify`");
    } else if (known) {
        snprintf(says, sizeof says, "a text's vector differs by %.1e from the reference (at most %.0e)", largest, tolerance);
        record(run, "vectors", largest <= tolerance ? FINE : FAILURE, says,
               largest <= tolerance ? NULL : "please report this with the output of `sextant doctor --json`");
    } else {
        record(run, "vectors", FINE, "a text was embedded; no reference is known for this model", NULL);
    }
    sx_session_close(session);
    free(vector);
}

/* A model that runs elsewhere: the key, then a short text there and back. */
static void check_service(examination *run, const char *reference)
{
    sx_cli *cli = run->cli;
    sx_error error = {0};
    sx_embedder *embedder = NULL;
    sx_embedder_options options = {.size = sizeof options, .model = reference, .places = cli->places};
    sx_text text = {known_text, sizeof known_text - 1};
    sx_receipt receipt = {0};
    float *vector = NULL;
    char says[512];
    sx_status status = sx_cli_read_remote(cli, reference, &options.remote, &error);
    if (!status) {
        bool given = options.remote.api_key != NULL;
        snprintf(says, sizeof says, "%s is %s", sx_cli_key_setting(reference), given ? "set" : "not set");
        record(run, "key", FINE, says, given ? NULL : "not every service needs one");
        status = sx_embedder_open(&options, &embedder, &error);
    }
    const sx_embedder_info *info = sx_embedder_describe(embedder);
    if (!status) {
        vector = sx_calloc(info->dimensions, sizeof *vector);
        status = vector ? SX_OK : sx_fail_nomem(&error, info->dimensions);
    }
    int64_t began = sx_system_clock.monotonic_ns(NULL);
    if (!status)
        status = sx_embedder_embed(embedder, &text, 1, vector, &receipt, sx_cli_stop_flag(), &error);
    int64_t taken = sx_system_clock.monotonic_ns(NULL) - began;
    if (!status && receipt.status)
        status = sx_fail(&error, receipt.status, "%s: %s", reference, receipt.message ? receipt.message : "no vector came");
    if (status) {
        record_error(run, "model", FAILURE, &error);
    } else {
        snprintf(says, sizeof says, "%s: %u dimensions; a text was embedded in %.0f ms, %u tokens", reference, info->dimensions,
                 (double)taken / 1e6, receipt.tokens);
        record(run, "model", FINE, says, NULL);
    }
    free(vector);
    sx_embedder_close(embedder);
}

static void check_model(examination *run)
{
    sx_cli *cli = run->cli;
    sx_error error = {0};
    char *reference = NULL, *folder = NULL, says[512];
    sx_model *model = NULL;
    sx_model_options options = {.size = sizeof options, .hash_folder = cli->cache_folder};
    sx_status status = sx_cli_model_reference(cli, &reference, &error);
    if (!status && sx_models_is_remote(reference)) {
        check_service(run, reference);
        free(reference);
        return;
    }
    if (!status)
        status = sx_models_resolve(&cli->places, reference, &folder, &error);
    if (!status)
        status = sx_model_open(folder, &options, &model, &error);
    if (status) {
        record_error(run, "model", FAILURE, &error);
    } else {
        const sx_model_info *info = sx_model_describe(model);
        snprintf(says, sizeof says, "%s: %s, %u dimensions, %u tokens, from %s", reference, info->family, info->dimensions,
                 info->max_length, info->folder);
        record(run, "model", FINE, says, NULL);
        check_vector(run, model);
    }
    sx_model_close(model);
    sx_free(folder);
    free(reference);
}

/* The folder something lies in or will lie in: the nearest one that exists. */
static char *existing_folder(const char *path)
{
    char *folder = path[0] == '/' ? sx_strdup(path) : sx_path_join(".", path);
    while (folder) {
        char *slash = strrchr(folder, '/');
        if (!slash)
            break;
        *(slash == folder ? slash + 1 : slash) = '\0';
        if (sx_file_exists(folder) || slash == folder)
            break;
    }
    return folder;
}

static void check_disk(examination *run, const char *folder)
{
    struct statvfs file_system;
    char says[512], space[32];
    if (statvfs(folder, &file_system) != 0) {
        snprintf(says, sizeof says, "%s: %s", folder, strerror(errno));
        record(run, "disk", FAILURE, says, NULL);
        return;
    }
    uint64_t left = (uint64_t)file_system.f_bavail * file_system.f_frsize;
    sx_cli_human_bytes(left, space);
    snprintf(says, sizeof says, "%s free in %s", space, folder);
    record(run, "disk",
           left < no_disk       ? FAILURE
           : left < little_disk ? WARNING
                                : FINE,
           says, left < little_disk ? "`sextant cache prune` and `sextant collections delete` free space" : NULL);
}

static void check_database(examination *run)
{
    sx_cli *cli = run->cli;
    char says[512], *folder = existing_folder(cli->db_path);
    sx_error error = {0};
    sx_database *database = NULL;
    sx_database_status *there = NULL;
    if (!folder)
        return;
    if (access(folder, W_OK) != 0) {
        snprintf(says, sizeof says, "%s: %s", folder, strerror(errno));
        record(run, "database", FAILURE, says, "--db or SEXTANT_DB names another place");
    } else if (!sx_file_exists(cli->db_path)) {
        snprintf(says, sizeof says, "%s: not there yet; `sextant index` makes it", cli->db_path);
        record(run, "database", FINE, says, NULL);
    } else if (sx_cli_open_database(cli, cli->db_path, false, &database, &error) ||
               sx_database_describe(database, &there, &error)) {
        record_error(run, "database", FAILURE, &error);
    } else {
        uint64_t pending = 0, failed = 0;
        for (size_t i = 0; i < there->collection_count; i++) {
            pending += there->collections[i].pending;
            failed += there->collections[i].failed;
        }
        snprintf(says, sizeof says, "%s: %zu collections, %llu pending, %llu failed", cli->db_path, there->collection_count,
                 (unsigned long long)pending, (unsigned long long)failed);
        record(run, "database", pending || failed ? WARNING : FINE, says,
               failed    ? "`sextant index --retry-failed PATH` tries again"
               : pending ? "the same `sextant index` goes on where it was"
                         : NULL);
    }
    sx_database_status_free(there);
    sx_database_close(database);
    check_disk(run, folder);
    free(folder);
}

int sx_cli_doctor(sx_cli *cli)
{
    examination run = {.cli = cli};
    sx_buffer_append_string(&run.json, "{\"checks\":[");
    check_machine(&run);
    record(&run, "grammars", FINE, cli->grammars_path ? cli->grammars_path : "none: code is cut by lines, not by functions",
           cli->grammars_path ? NULL : "scripts/install-grammars makes them");
    check_model(&run);
    check_database(&run);
    int code = run.failures ? SX_EXIT_FAILED : SX_EXIT_DONE;
    if (cli->json) {
        sx_buffer_append_byte(&run.json, ']');
        sx_cli_member_integer(&run.json, "failures", run.failures);
        sx_cli_member_integer(&run.json, "warnings", run.warnings);
        sx_buffer_append_byte(&run.json, '}');
        sx_cli_print_json(cli, &run.json);
    } else if (!run.failures && !cli->quiet) {
        sx_cli_say("\n%s\n", run.warnings ? "It works; see the warnings." : "All is well.");
    }
    if (run.failures)
        sx_cli_complain(cli, "doctor: %u of the checks failed", run.failures);
    sx_buffer_clear(&run.json);
    return code;
}
