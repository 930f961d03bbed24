/* run_bench.c - `sextant bench`: how fast this machine embeds, tokenizes and searches, against what its processor and memory
 * give at most, measured in the same run. --kernels measures single kernels, --neighbour a query beside a busy program.
 */
#include "bench.h"

#include "../base/clock.h"
#include "../base/error.h"
#include "../base/json_writer.h"
#include "../base/memory.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_QUERIES = 2000, LEAST_QUERIES = 5, MOST_TEXTS = 256, LENGTHS = 5, QUERY_TOKENS = 16, TEXT_BYTES = 1 << 20 };

static const uint32_t lengths[LENGTHS] = {16, 64, 128, 256, 512};

static const char prose[] =
    "The harbour lies on the north side of the bay, where the river brings down sand every spring and the fishermen dig their "
    "channel again. In 1871 a storm took 14 boats; since then a bell has hung at the end of the mole, and whoever comes in "
    "late rings it twice. Visitors who ask for the way to the lighthouse are told to follow the railway, although no train has "
    "run for thirty years and brambles grow between the sleepers. \"It doesn't matter,\" says the ferryman, "
    "\"you'll see it from anywhere.\"\n";

typedef struct speed {
    uint32_t tokens;
    unsigned threads;
    double p50, p99;      /* of one text in a call, milliseconds */
    double rate;          /* tokens a second, many texts in a call */
    double share;         /* of the peak, many texts in a call */
} speed;

typedef struct bench_run {
    sx_cli *cli;
    sx_machine machine;
    char processor[128];
    sx_model *model;
    const sx_model_info *info;
    sx_session *session;
    unsigned threads[2];      /* one, all */
    size_t thread_counts;
    sx_machine_peak peaks[2]; /* for one and all */
    double slice;             /* seconds for one figure */
    uint32_t *ids;
    sx_tokens *texts;
    float *vectors;
    double *times;
    speed speeds[2 * LENGTHS];
    size_t speed_count;
    double tokenizer_rate;    /* bytes a second */
    sx_kernel_speed search[2];
} bench_run;

static double now(void)
{
    return 1e-9 * (double)sx_system_clock.monotonic_ns(sx_system_clock.user);
}

static int compare_times(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void read_processor(char *name, size_t capacity)
{
    char line[512];
    FILE *file = fopen("/proc/cpuinfo", "re");
    snprintf(name, capacity, "unknown processor");
    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        snprintf(name, capacity, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    if (file)
        fclose(file);
}

static const struct {
    uint64_t bit;
    const char *name;
} instruction_sets[] = {
    {SX_CPU_AVX2, "avx2"}, {SX_CPU_AVX512, "avx512"}, {SX_CPU_AVX512_VNNI, "avx512-vnni"}, {SX_CPU_AVX_VNNI, "avx-vnni"},
    {SX_CPU_NEON, "neon"}, {SX_CPU_NEON_DOT, "neon-dot"}, {SX_CPU_NEON_I8MM, "neon-i8mm"}};

/* ---- Encoder ---- */

/* Calls with `count` texts until the time is over; the sorted times in run->times, how many in *rounds. */
static sx_status time_calls(bench_run *run, uint32_t length, size_t count, size_t least, size_t *rounds, sx_error *error)
{
    size_t done = 0;
    for (size_t i = 0; i < count; i++)
        run->texts[i] = (sx_tokens){run->ids + i, length};
    sx_status status = sx_session_embed_tokens(run->session, run->texts, count, NULL, run->vectors, NULL, error);
    for (double end = now() + run->slice; !status && (done < least || now() < end) && done < MOST_QUERIES; done++) {
        double start = now();
        status = sx_session_embed_tokens(run->session, run->texts, count, NULL, run->vectors, NULL, error);
        run->times[done] = now() - start;
    }
    qsort(run->times, done, sizeof *run->times, compare_times);
    *rounds = done;
    return status;
}

static double quantile(const double *sorted, size_t count, double share)
{
    return sorted[(size_t)(share * (double)(count - 1) + 0.5)];
}

static sx_status measure_length(bench_run *run, size_t which, uint32_t length, sx_error *error)
{
    size_t rounds;
    const sx_machine_peak *peak = &run->peaks[which];
    speed *s = &run->speeds[run->speed_count];
    *s = (speed){.tokens = length, .threads = run->threads[which]};
    sx_status status = time_calls(run, length, 1, LEAST_QUERIES, &rounds, error);
    if (status)
        return status;
    s->p50 = 1e3 * quantile(run->times, rounds, 0.5);
    s->p99 = 1e3 * quantile(run->times, rounds, 0.99);
    /* as many texts as take half of the time, at most */
    double fit = run->slice / 2 / (1e-3 * s->p50);
    size_t count = fit > MOST_TEXTS ? MOST_TEXTS : fit < 4.0 * s->threads ? 4 * (size_t)s->threads : (size_t)fit;
    if (count > MOST_TEXTS)
        count = MOST_TEXTS;
    if ((status = time_calls(run, length, count, 1, &rounds, error)))
        return status;
    double seconds = quantile(run->times, rounds, 0.5) / (double)count;
    s->rate = length / seconds;
    sx_pass_operations pass = sx_measure_operations(run->model, length);
    bool bytes = strncmp(run->info->precision, "int8", 4) == 0 && peak->int8_operations > 0.0;
    if (peak->f32_operations > 0.0)
        s->share = (pass.products / (bytes ? peak->int8_operations : peak->f32_operations) +
                    pass.attention / peak->f32_operations) / seconds;
    run->speed_count++;
    return SX_OK;
}

static sx_status open_session(bench_run *run, unsigned threads, sx_error *error)
{
    sx_session_options options = {.size = sizeof options, .threads = threads};
    return sx_session_open(run->model, &options, &run->session, error);
}

static sx_status measure_encoder(bench_run *run, sx_error *error)
{
    sx_status status = SX_OK;
    uint32_t most = run->info->max_length;
    for (size_t which = 0; which < run->thread_counts && !status; which++) {
        status = open_session(run, run->threads[which], error);
        for (size_t i = 0; i < LENGTHS && !status; i++)
            if (lengths[i] <= most || (i > 0 && lengths[i - 1] < most))
                status = measure_length(run, which, lengths[i] < most ? lengths[i] : most, error);
        sx_session_close(run->session);
        run->session = NULL;
    }
    return status;
}

static sx_status prepare_encoder(bench_run *run, sx_error *error)
{
    uint32_t vocabulary = run->info->vocabulary_size, state = 12345;
    size_t ids = MOST_TEXTS + lengths[LENGTHS - 1];
    run->ids = sx_calloc(ids, sizeof *run->ids);
    run->texts = sx_calloc(MOST_TEXTS, sizeof *run->texts);
    run->vectors = sx_calloc((size_t)MOST_TEXTS * run->info->dimensions, sizeof *run->vectors);
    run->times = sx_calloc(MOST_QUERIES, sizeof *run->times);
    if (!run->ids || !run->texts || !run->vectors || !run->times)
        return sx_fail_nomem(error, ids);
    for (size_t i = 0; i < ids; i++) {
        state = state * 1664525u + 1013904223u;
        run->ids[i] = (state >> 8) % vocabulary;
    }
    return SX_OK;
}

/* ---- The rest ---- */

static sx_status measure_tokenizer(bench_run *run, sx_error *error)
{
    const sx_tokenizer *tokenizer = sx_model_tokenizer(run->model);
    sx_encoding encoding = {0};
    sx_status status = SX_OK;
    double best = 0.0, end = now() + run->slice, start;
    do {
        size_t bytes = 0;
        start = now();
        for (; bytes < TEXT_BYTES && !status; bytes += sizeof prose - 1)
            status = sx_tokenizer_encode(tokenizer, (sx_text){prose, sizeof prose - 1}, NULL, &encoding, error);
        double rate = (double)bytes / (now() - start);
        best = rate > best ? rate : best;
    } while (!status && now() < end);
    run->tokenizer_rate = best;
    sx_encoding_clear(&encoding);
    return status;
}

static sx_status measure_peaks(bench_run *run, sx_error *error)
{
    sx_status status = SX_OK;
    for (size_t i = 0; i < run->thread_counts && !status; i++) {
        sx_measure_options options = {.size = sizeof options, .threads = run->threads[i], .seconds = run->slice / 3};
        status = sx_measure_peak(&options, &run->peaks[i], error);
    }
    return status;
}

static sx_status measure_search(bench_run *run, sx_error *error)
{
    sx_status status = SX_OK;
    for (size_t which = 0; which < run->thread_counts && !status; which++) {
        sx_measure_options options = {.size = sizeof options, .threads = run->threads[which], .seconds = run->slice};
        for (size_t i = 0; !status; i++) {
            sx_kernel_speed found;
            status = sx_measure_kernel(run->model, i, "search", &options, &found, error);
            if (!status && found.seconds > 0.0)
                run->search[which] = found;
        }
        status = status == SX_E_NOT_FOUND ? SX_OK : status; /* the end of the list */
    }
    return status;
}

/* ---- Output ---- */

static void bar(const sx_cli *cli, double share, unsigned used)
{
    unsigned room = cli->width > used + 10 ? cli->width - used - 2 : 8;
    room = room > 40 ? 40 : room;
    unsigned filled = share <= 0.0 ? 0 : share >= 1.0 ? room : (unsigned)(share * room + 0.5);
    fputs(cli->color ? "  \033[32m" : "  ", stdout);
    for (unsigned i = 0; i < room; i++)
        putchar(i < filled ? '#' : '.');
    fputs(cli->color ? "\033[0m\n" : "\n", stdout);
}

static void say_machine(const bench_run *run)
{
    sx_cli_say("%s, %u cores:", run->processor, run->machine.cores);
    for (size_t i = 0; i < sizeof instruction_sets / sizeof *instruction_sets; i++)
        if (run->machine.cpu_mask & instruction_sets[i].bit)
            sx_cli_say(" %s", instruction_sets[i].name);
    sx_cli_say("\n%s, %s, %s kernels, %u dimensions, at most %u tokens\n\n", run->info->folder, run->info->precision,
               run->info->kernels, run->info->dimensions, run->info->max_length);
}

static void say_peaks(const bench_run *run)
{
    sx_cli_say("%-28s", "at most (measured)");
    for (size_t i = 0; i < run->thread_counts; i++)
        sx_cli_say("%7u %s", run->threads[i], run->threads[i] == 1 ? "core " : "cores");
    for (int row = 0; row < 3; row++) {
        static const char *const names[] = {"multiply-adds, GFLOP/s", "8-bit products, Gop/s", "memory read, GB/s"};
        sx_cli_say("\n%-28s", names[row]);
        for (size_t i = 0; i < run->thread_counts; i++) {
            const sx_machine_peak *p = &run->peaks[i];
            double value = row == 0 ? p->f32_operations : row == 1 ? p->int8_operations : p->read_bytes;
            value > 0.0 ? sx_cli_say("%13.1f", 1e-9 * value) : sx_cli_say("%13s", "-");
        }
    }
    sx_cli_say("\n\n");
}

static void say_figures(const bench_run *run)
{
    char count[32];
    sx_cli_say("tokens cores  query ms p50     p99  tokens/s  of peak\n");
    for (size_t i = 0; i < run->speed_count; i++) {
        const speed *s = &run->speeds[i];
        sx_cli_human_count((uint64_t)(s->rate + 0.5), count);
        sx_cli_say("%6u %5u %13.2f %7.2f %9s %6.0f %%", s->tokens, s->threads, s->p50, s->p99, count, 100.0 * s->share);
        bar(run->cli, s->share, 53);
    }
    sx_cli_say("\ntokenizer, 1 core: %.1f MB/s of English prose\n", 1e-6 * run->tokenizer_rate);
    for (size_t i = 0; i < run->thread_counts; i++) {
        double share = run->search[i].bytes / run->search[i].seconds / run->peaks[i].read_bytes;
        sx_cli_say("exact search, %s, %u core%s: %.2f ms, %.0f %% of memory bandwidth\n", run->search[i].shape, run->threads[i],
                   run->threads[i] == 1 ? "" : "s", 1e3 * run->search[i].seconds, 100.0 * share);
    }
}

static void open_object(sx_buffer *json)
{
    char last = json->length ? json->data[json->length - 1] : '[';
    sx_buffer_append_string(json, last == '}' ? ",{" : "{");
}

static void write_machine(const bench_run *run, sx_buffer *json)
{
    sx_cli_key(json, "machine");
    sx_buffer_append_byte(json, '{');
    sx_cli_member_text(json, "processor", run->processor);
    sx_cli_member_integer(json, "cores", run->machine.cores);
    sx_cli_key(json, "instruction_sets");
    sx_buffer_append_byte(json, '[');
    bool first = true;
    for (size_t i = 0; i < sizeof instruction_sets / sizeof *instruction_sets; i++) {
        if (!(run->machine.cpu_mask & instruction_sets[i].bit))
            continue;
        sx_buffer_append_string(json, first ? "" : ",");
        sx_json_write_string(json, instruction_sets[i].name, strlen(instruction_sets[i].name));
        first = false;
    }
    sx_buffer_append_byte(json, ']');
    sx_cli_key(json, "peaks");
    sx_buffer_append_byte(json, '[');
    for (size_t i = 0; i < run->thread_counts; i++) {
        open_object(json);
        sx_cli_member_integer(json, "threads", run->threads[i]);
        sx_cli_member_number(json, "f32_operations_per_second", run->peaks[i].f32_operations);
        sx_cli_member_number(json, "int8_operations_per_second", run->peaks[i].int8_operations);
        sx_cli_member_number(json, "read_bytes_per_second", run->peaks[i].read_bytes);
        sx_buffer_append_byte(json, '}');
    }
    sx_buffer_append_string(json, "]}");
    sx_cli_key(json, "model");
    sx_buffer_append_byte(json, '{');
    sx_cli_member_text(json, "folder", run->info->folder);
    sx_cli_member_text(json, "precision", run->info->precision);
    sx_cli_member_text(json, "kernels", run->info->kernels);
    sx_cli_member_integer(json, "dimensions", run->info->dimensions);
    sx_cli_member_integer(json, "max_length", run->info->max_length);
    sx_buffer_append_byte(json, '}');
}

static int write_figures(const bench_run *run)
{
    sx_buffer json = {0};
    sx_buffer_append_byte(&json, '{');
    write_machine(run, &json);
    sx_cli_key(&json, "encoder");
    sx_buffer_append_byte(&json, '[');
    for (size_t i = 0; i < run->speed_count; i++) {
        const speed *s = &run->speeds[i];
        open_object(&json);
        sx_cli_member_integer(&json, "tokens", s->tokens);
        sx_cli_member_integer(&json, "threads", s->threads);
        sx_cli_member_number(&json, "query_ms_p50", s->p50);
        sx_cli_member_number(&json, "query_ms_p99", s->p99);
        sx_cli_member_number(&json, "tokens_per_second", s->rate);
        sx_cli_member_number(&json, "share_of_peak", s->share);
        sx_buffer_append_byte(&json, '}');
    }
    sx_buffer_append_byte(&json, ']');
    sx_cli_key(&json, "tokenizer");
    sx_buffer_append_byte(&json, '{');
    sx_cli_member_number(&json, "bytes_per_second", run->tokenizer_rate);
    sx_buffer_append_byte(&json, '}');
    sx_cli_key(&json, "search");
    sx_buffer_append_byte(&json, '[');
    for (size_t i = 0; i < run->thread_counts; i++) {
        open_object(&json);
        sx_cli_member_text(&json, "shape", run->search[i].shape);
        sx_cli_member_integer(&json, "threads", run->threads[i]);
        sx_cli_member_number(&json, "ms", 1e3 * run->search[i].seconds);
        sx_cli_member_number(&json, "share_of_bandwidth",
                             run->search[i].bytes / run->search[i].seconds / run->peaks[i].read_bytes);
        sx_buffer_append_byte(&json, '}');
    }
    sx_buffer_append_string(&json, "]}");
    return sx_cli_print_json(run->cli, &json);
}

/* ---- --kernels ---- */

static double kernel_share(const bench_run *run, const sx_kernel_speed *k)
{
    const sx_machine_peak *peak = &run->peaks[k->threads > 1 ? 1 : 0];
    double most = k->bytes > 0.0 ? peak->read_bytes : k->integer ? peak->int8_operations : peak->f32_operations;
    double amount = k->bytes > 0.0 ? k->bytes : k->operations;
    return most > 0.0 ? amount / k->seconds / most : 0.0;
}

static void say_kernel(const bench_run *run, const sx_kernel_speed *k, sx_buffer *json)
{
    double share = kernel_share(run, k), rate = (k->bytes > 0.0 ? k->bytes : k->operations) / k->seconds;
    if (run->cli->json) {
        open_object(json);
        sx_cli_member_text(json, "name", k->name);
        sx_cli_member_text(json, "shape", k->shape);
        sx_cli_member_text(json, "kernels", k->kernels);
        sx_cli_member_integer(json, "threads", k->threads);
        sx_cli_member_number(json, "microseconds", 1e6 * k->seconds);
        sx_cli_member_number(json, k->bytes > 0.0 ? "bytes_per_second" : "operations_per_second", rate);
        sx_cli_member_number(json, "share_of_peak", share);
        sx_buffer_append_byte(json, '}');
        return;
    }
    sx_cli_say("%-10s %-24s %-12s %10.1f us", k->name, k->shape, k->kernels, 1e6 * k->seconds);
    if (rate <= 0.0) {
        sx_cli_say("\n");
        return;
    }
    sx_cli_say(" %7.1f %s", 1e-9 * rate, k->bytes > 0.0 ? "GB/s" : "Gop/s");
    share > 0.0 ? sx_cli_say(" %3.0f %%\n", 100.0 * share) : sx_cli_say("\n");
}

static int bench_kernels(bench_run *run, const char *name, sx_error *error)
{
    sx_buffer json = {0};
    bool found = false;
    sx_status status = measure_peaks(run, error);
    sx_buffer_append_string(&json, "{\"kernels\":[");
    for (size_t i = 0; !status; i++) {
        sx_kernel_speed speed_of;
        sx_measure_options options = {.size = sizeof options, .threads = run->threads[run->thread_counts - 1],
                                      .seconds = run->slice};
        status = sx_measure_kernel(run->model, i, name, &options, &speed_of, error);
        if (!status && speed_of.seconds > 0.0) {
            say_kernel(run, &speed_of, &json);
            found = true;
        }
    }
    sx_buffer_append_string(&json, "]}");
    if (status == SX_E_NOT_FOUND)
        status = SX_OK; /* the end of the list */
    int code = status   ? sx_cli_fail(run->cli, error)
               : !found ? sx_cli_usage(run->cli, "without a name all of them run", "no kernel is called '%s'", name)
               : run->cli->json ? sx_cli_print_json(run->cli, &json)
                                : SX_EXIT_DONE;
    sx_buffer_clear(&json);
    return code;
}

/* ---- --neighbour ---- */

/* A program that uses the last core this process may use, until it is killed. 0: there is none. */
static pid_t start_neighbour(void)
{
    cpu_set_t mine, one;
    pid_t parent = getpid(), child = fork();
    if (child != 0)
        return child > 0 ? child : 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof mine, &mine) == 0)
        for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--)
            if (CPU_ISSET(cpu, &mine)) {
                CPU_SET(cpu, &one);
                sched_setaffinity(0, sizeof one, &one);
                break;
            }
    for (volatile unsigned long work = 0;; work++)
        continue;
}

static int bench_neighbour(bench_run *run, sx_error *error)
{
    sx_buffer json = {0};
    sx_status status = SX_OK;
    sx_buffer_append_string(&json, "{\"queries\":[");
    for (size_t which = 0; which < run->thread_counts && !status; which++) {
        status = open_session(run, run->threads[which], error);
        for (int busy = 0; busy < 2 && !status; busy++) {
            size_t rounds = 0;
            pid_t neighbour = busy ? start_neighbour() : 0;
            status = busy && !neighbour ? sx_fail(error, SX_E_IO, "no process could be started") : SX_OK;
            if (!status)
                status = time_calls(run, QUERY_TOKENS, 1, LEAST_QUERIES, &rounds, error);
            if (neighbour) {
                kill(neighbour, SIGKILL);
                waitpid(neighbour, NULL, 0);
            }
            if (status)
                break;
            double p50 = 1e3 * quantile(run->times, rounds, 0.5), p99 = 1e3 * quantile(run->times, rounds, 0.99);
            open_object(&json);
            sx_cli_member_integer(&json, "threads", run->threads[which]);
            sx_cli_member_boolean(&json, "neighbour", busy);
            sx_cli_member_integer(&json, "queries", rounds);
            sx_cli_member_number(&json, "query_ms_p50", p50);
            sx_cli_member_number(&json, "query_ms_p99", p99);
            sx_buffer_append_byte(&json, '}');
            if (!run->cli->json)
                sx_cli_say("query of %d tokens, %2u threads, %-24s p50 %7.2f ms  p99 %7.2f ms  (%zu queries)\n", QUERY_TOKENS,
                           run->threads[which], busy ? "one core busy elsewhere:" : "alone:", p50, p99, rounds);
        }
        sx_session_close(run->session);
        run->session = NULL;
    }
    sx_buffer_append_string(&json, "]}");
    int code = status ? sx_cli_fail(run->cli, error) : run->cli->json ? sx_cli_print_json(run->cli, &json) : SX_EXIT_DONE;
    sx_buffer_clear(&json);
    return code;
}

/* ---- The verb ---- */

static int bench_all(bench_run *run, sx_error *error)
{
    if (!run->cli->json)
        say_machine(run);
    sx_status status = measure_peaks(run, error);
    if (!status && !run->cli->json) {
        say_peaks(run);
        fflush(stdout);
    }
    if (!status)
        status = measure_encoder(run, error);
    if (!status)
        status = measure_tokenizer(run, error);
    if (!status)
        status = measure_search(run, error);
    if (status)
        return sx_cli_fail(run->cli, error);
    if (run->cli->json)
        return write_figures(run);
    say_figures(run);
    return SX_EXIT_DONE;
}

int sx_cli_bench(sx_cli *cli)
{
    const double usual_seconds = 20.0;
    bool kernels = sx_cli_flag(cli, "kernels");
    if (cli->argument_count && !kernels)
        return sx_cli_usage(cli, "`sextant bench --kernels NAME` measures one kernel", "what is '%s'?", cli->arguments[0]);
    if (sx_cli_flag(cli, "stdio"))
        return sx_cli_bench_stdio(cli);
    bench_run run = {.cli = cli, .thread_counts = 1, .threads = {1}};
    sx_error error = {0};
    double seconds = sx_cli_get(cli, "seconds")->text ? sx_cli_get(cli, "seconds")->number : usual_seconds;
    int code;
    sx_machine_describe(&run.machine);
    read_processor(run.processor, sizeof run.processor);
    unsigned all = sx_cli_count(cli, "threads") ? (unsigned)sx_cli_count(cli, "threads") : run.machine.cores;
    if (all > 1)
        run.threads[run.thread_counts++] = all;
    sx_status status = sx_cli_bench_open(cli, &run.model, &error);
    if (!status) {
        run.info = sx_model_describe(run.model);
        if (strcmp(run.info->kind, "embedder") != 0 && !kernels)
            status = sx_fail(&error, SX_E_UNSUPPORTED, "%s: the model is of the kind \"%s\"; only embedders are measured",
                             run.info->folder, run.info->kind);
    }
    if (!status)
        status = prepare_encoder(&run, &error);
    double figures = kernels                         ? 24.0
                     : sx_cli_flag(cli, "neighbour") ? 2.0 * (double)run.thread_counts
                                                     : (2.0 * LENGTHS + 2.0) * (double)run.thread_counts + 1.0;
    run.slice = seconds / figures;
    if (status)
        code = sx_cli_fail(cli, &error);
    else if (kernels)
        code = bench_kernels(&run, cli->argument_count ? cli->arguments[0] : NULL, &error);
    else if (sx_cli_flag(cli, "neighbour"))
        code = bench_neighbour(&run, &error);
    else
        code = bench_all(&run, &error);
    sx_session_close(run.session);
    sx_model_close(run.model);
    free(run.ids);
    free(run.texts);
    free(run.vectors);
    free(run.times);
    return code;
}
