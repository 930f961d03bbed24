/* verbs.c - every verb and option of the program. Parsing, help, man pages and completions are all made from these tables. */
#include "command.h"

#include <stdio.h>
#include <string.h>

enum { LARGEST_THREADS = 1024, LARGEST_BATCH = 65536 };

const sx_cli_option sx_cli_common_options[] = {
    {"db", 0, SX_CLI_TEXT, "FILE", "the database (DB_DIR names a folder that holds sextant.db)", "SEXTANT_DB", NULL},
    {"collection", 'c', SX_CLI_TEXT, "NAME", "the collection", "COLLECTION_NAME", "default"},
    {"model", 'm', SX_CLI_TEXT, "MODEL", "alias, name, org/name in the Hugging Face cache, folder, or provider:name",
     "EMBEDDING_MODEL", "minilm"},
    {"threads", 0, SX_CLI_COUNT, "N", "processor cores to use (default: all)", NULL, NULL, 1, LARGEST_THREADS},
    {"device", 0, SX_CLI_CHOICE, "auto|cpu", "where to compute", "EMBEDDING_DEVICE", "auto"},
    {"env-file", 0, SX_CLI_TEXT, "FILE", "settings as KEY=VALUE lines, endpoints allowed", NULL, NULL},
    {"config", 0, SX_CLI_TEXT, "FILE", "the same, weakest of all (default: sextant/config in the configuration folder)", NULL,
     NULL},
    {"json", 0, SX_CLI_FLAG, NULL, "results for machines, on standard output", NULL, NULL},
    {"quiet", 'q', SX_CLI_FLAG, NULL, "only errors", NULL, NULL},
    {"verbose", 'v', SX_CLI_FLAG, NULL, "say more on standard error", NULL, NULL},
    {"no-progress", 0, SX_CLI_FLAG, NULL, "no progress line", NULL, NULL},
    {"offline", 0, SX_CLI_FLAG, NULL, "never use the network", NULL, NULL},
    {"help", 'h', SX_CLI_FLAG, NULL, "this help", NULL, NULL},
    {NULL},
};

#define OPTION_BATCH                                                                                                             \
    {                                                                                                                            \
        "batch-size", 0, SX_CLI_COUNT, "N", "texts in one batch (default: chosen by tokens)", "EMBEDDING_BATCH_SIZE", NULL, 1,   \
            LARGEST_BATCH                                                                                                        \
    }
#define OPTIONS_REMOTE                                                                                                           \
    {"max-concurrent", 0, SX_CLI_COUNT, "N", "remote models: requests in flight (default: 10)", NULL, NULL, 1, 256},             \
        {"requests-per-minute", 0, SX_CLI_COUNT, "N", "remote models: most requests in any minute", NULL, NULL, 1, 100000000},   \
        {"tokens-per-minute", 0, SX_CLI_COUNT, "N", "remote models: most tokens in any minute", NULL, NULL, 1, 4000000000},      \
    {                                                                                                                            \
        "timeout", 0, SX_CLI_NUMBER, "SECONDS", "remote models: of one request (default: 120)", NULL, NULL                       \
    }
#define OPTIONS_FALLBACK                                                                                                         \
    {"fallback", 0, SX_CLI_TEXT, "MODEL", "a second source of the same vectors, for when the model fails (spaces prove)",        \
     "EMBEDDING_FALLBACK", NULL},                                                                                                \
        {"split", 0, SX_CLI_COUNT, "PERCENT", "texts that go to the fallback all the time (default: 0)", NULL, NULL, 0, 100},    \
    {                                                                                                                            \
        "split-schedule", 0, SX_CLI_FLAG, NULL, "shift to the fallback by 10, 25, 50, 90, 100 percent while it does well", NULL, \
            NULL                                                                                                                 \
    }
#define OPTION_DIMENSIONS                                                                                                        \
    {                                                                                                                            \
        "dimensions", 0, SX_CLI_COUNT, "N", "keep the first N dimensions (default: all)", "EMBEDDING_DIMENSIONS", NULL, 1, 65536 \
    }
#define OPTION_SHARED_URL                                                                                                        \
    {                                                                                                                            \
        "shared-cache", 0, SX_CLI_TEXT, "URL", "vectors shared with other machines, redis://... or postgresql://...",            \
            "SHARED_CACHE_URL", NULL                                                                                             \
    }
#define OPTIONS_SHARED                                                                                                           \
    OPTION_SHARED_URL,                                                                                                           \
    {                                                                                                                            \
        "shared-cache-ttl", 0, SX_CLI_COUNT, "SECONDS", "how long vectors are kept there (default: 30 days)",                    \
            "SHARED_CACHE_TTL", NULL, 1, INT32_MAX                                                                               \
    }
#define OPTION_CHUNK                                                                                                             \
    {                                                                                                                            \
        "chunk", 0, SX_CLI_CHOICE, "auto|recursive|tokens|chars|sentences|paragraphs|markdown|rst|html|code",                    \
            "how documents are cut", NULL, NULL, 0, 0, false, "semantic"                                                    \
    }
#define OPTION_CHUNK_SIZE                                                                                                        \
    {                                                                                                                            \
        "chunk-size", 0, SX_CLI_COUNT, "N", "largest chunk, in the unit (default: the strategy's)", "CHUNK_SIZE", NULL, 1,       \
            1 << 30                                                                                                              \
    }
#define OPTION_OVERLAP                                                                                                           \
    {                                                                                                                            \
        "overlap", 0, SX_CLI_COUNT, "N", "how much neighbouring chunks share (default: the strategy's)", "OVERLAP_SIZE", NULL,   \
            0, 1 << 30                                                                                                           \
    }
#define OPTION_UNIT                                                                                                              \
    {                                                                                                                            \
        "unit", 0, SX_CLI_CHOICE, "tokens|chars", "what sizes are counted in (default: the strategy's)", NULL, NULL              \
    }
#define OPTION_NO_HEADER                                                                                                         \
    {                                                                                                                            \
        "no-header", 0, SX_CLI_FLAG, NULL, "do not embed the heading with the text", NULL, NULL                           \
    }
#define OPTION_HEADER                                                                                                            \
    {                                                                                                                            \
        "header", 0, SX_CLI_TEXT, "TEMPLATE", "embed this before each text, as '[{project}][{module}] {symbol}'", NULL, NULL     \
    }
#define OPTION_INPUT                                                                                                             \
    {                                                                                                                            \
        "input", 'i', SX_CLI_TEXT, "FILE", "read texts from a file; - is standard input", NULL, NULL                             \
    }
#define OPTION_OUTPUT(what)                                                                                                      \
    {                                                                                                                            \
        "output", 'o', SX_CLI_TEXT, "FILE", what, NULL, NULL                                                                     \
    }

#define OPTION_STORAGE                                                                                                           \
    {                                                                                                                            \
        "storage", 0, SX_CLI_CHOICE, "f32|f16", "weights in memory, f16 in half of it (default: as the file has them)", NULL,    \
            NULL                                                                                                                 \
    }

/* Money, and what may leave the machine. */
#define OPTIONS_COST                                                                                                             \
    {"alert", 0, SX_CLI_NUMBER, "USD", "warn when a month's spend in the database is above it", "COST_ALERT_USD", NULL},         \
        {"alert-url", 0, SX_CLI_TEXT, "URL", "and POST a JSON object there, once a month", "COST_ALERT_URL", NULL},              \
    {                                                                                                                            \
        "allow-secrets", 0, SX_CLI_FLAG, NULL, "index .env files and private keys too; send keys and tokens to remote models",   \
            NULL, NULL                                                                                                           \
    }
#define OPTION_BUDGET                                                                                                            \
    {                                                                                                                            \
        "budget", 0, SX_CLI_NUMBER, "USD", "stop before this run costs more", NULL, NULL                                         \
    }

static const sx_cli_option no_options[] = {{NULL}};

static const sx_cli_option index_options[] = {
    OPTION_CHUNK,
    OPTION_CHUNK_SIZE,
    OPTION_OVERLAP,
    OPTION_UNIT,
    OPTION_NO_HEADER,
    OPTION_HEADER,
    {"include", 0, SX_CLI_TEXT, "GLOB", "only paths that match", NULL, NULL, 0, 0, true},
    {"exclude", 0, SX_CLI_TEXT, "GLOB", "leave out paths that match", NULL, NULL, 0, 0, true},
    {"metadata", 0, SX_CLI_TEXT, "KEY=VALUE", "add to every document of this run", NULL, NULL, 0, 0, true},
    OPTION_BATCH,
    OPTION_DIMENSIONS,
    OPTIONS_SHARED,
    OPTIONS_FALLBACK,
    OPTIONS_REMOTE,
    {"precision", 0, SX_CLI_CHOICE, "f32|int8", "arithmetic: exact, or several times as fast at a cosine of 0.998 (default: the collection's, else f32)",
     NULL, NULL},
    {"max-memory", 0, SX_CLI_SIZE, "SIZE", "stay below this much memory", NULL, NULL},
    {"max-file-size", 0, SX_CLI_SIZE, "SIZE", "skip larger files, with the reason", NULL, "256MiB"},
    {"dry-run", 0, SX_CLI_FLAG, NULL, "read, cut and count, say what it would cost; change nothing", NULL, NULL},
    OPTION_BUDGET,
    {"force", 0, SX_CLI_FLAG, NULL, "read every file again, changed or not", NULL, NULL},
    {"retry-failed", 0, SX_CLI_FLAG, NULL, "only what failed before", NULL, NULL},
    {"since", 0, SX_CLI_TEXT, "REV", "only what git says has changed since this revision", NULL, NULL},
    {"watch", 0, SX_CLI_FLAG, NULL, "stay, and index what changes, until a signal", NULL, NULL},
    {"settle", 0, SX_CLI_COUNT, "MS", "with --watch: how long nothing must change before a run", NULL, "300", 1, 3600000},
    {"poll", 0, SX_CLI_COUNT, "SECONDS", "with --watch: look this often, for file systems that tell nothing", NULL, NULL, 1, 86400},
    OPTIONS_COST,
    {"batch-api", 0, SX_CLI_FLAG, NULL, "as jobs of OpenAI's Batch API: within a day, at half the price", NULL, NULL},
    {"no-wait", 0, SX_CLI_FLAG, NULL, "fail when another process indexes this collection, or a batch is not done, instead of waiting",
     NULL, NULL},
    {NULL},
};

/* How to look, for search and ask. */
#define OPTIONS_SEARCH                                                                                                           \
    {"threshold", 0, SX_CLI_NUMBER, "S", "least similarity", NULL, NULL},                                                        \
        {"filter", 0, SX_CLI_TEXT, "EXPR", "only documents for which this holds: KEY=VALUE, KEY>=VALUE, and, or, not", NULL,     \
         NULL, 0, 0, true},                                                                                                      \
        {"mode", 0, SX_CLI_CHOICE, "hybrid|semantic|keyword", "by meaning and words, by meaning, or by words", NULL, "hybrid"},  \
        {"type", 0, SX_CLI_CHOICE, "general|code_search|error_analysis|documentation", "kind of question", NULL, "general"},     \
        {"rerank", 0, SX_CLI_TEXT, "none|lexical|mmr|MODEL", "second look at the best: words, variety, or a cross-encoder",      \
         NULL, "none"},                                                                                                          \
        {"rerank-count", 0, SX_CLI_COUNT, "N", "how many are looked at again (default: 100; a model: 50)", NULL, NULL, 1,        \
         1000000},                                                                                                               \
        {"join", 0, SX_CLI_FLAG, NULL, "neighbouring passages of a document become one", NULL, NULL},                            \
        {"keep-duplicates", 0, SX_CLI_FLAG, NULL, "show equal passages each for itself", NULL, NULL},                            \
        {"ef-search", 0, SX_CLI_COUNT, "N", "candidates a graph search keeps (default: as measured)", NULL, NULL, 1, 1000000},   \
    {                                                                                                                            \
        "exact", 0, SX_CLI_FLAG, NULL, "compare with every vector, graph or not", NULL, NULL                                     \
    }

#define OPTION_OPEN                                                                                                              \
    {                                                                                                                            \
        "open", 0, SX_CLI_COUNT, "N", "open the Nth result in $VISUAL or $EDITOR, at its line", NULL, NULL, 1, 1000000           \
    }

static const sx_cli_option similar_options[] = {
    {"count", 'n', SX_CLI_COUNT, "N", "most results", "MAX_RESULTS", "5", 1, 1000000},
    OPTION_OPEN,
    {"threshold", 0, SX_CLI_NUMBER, "S", "least similarity", NULL, NULL},
    {"filter", 0, SX_CLI_TEXT, "EXPR", "only documents for which this holds: KEY=VALUE, KEY>=VALUE, and, or, not", NULL, NULL, 0, 0, true},
    {"join", 0, SX_CLI_FLAG, NULL, "neighbouring passages of a document become one", NULL, NULL},
    {"keep-duplicates", 0, SX_CLI_FLAG, NULL, "show equal passages each for itself", NULL, NULL},
    {"ef-search", 0, SX_CLI_COUNT, "N", "candidates a graph search keeps (default: as measured)", NULL, NULL, 1, 1000000},
    {"exact", 0, SX_CLI_FLAG, NULL, "compare with every vector, graph or not", NULL, NULL},
    OPTIONS_REMOTE,
    OPTIONS_COST,
    {NULL},
};

static const sx_cli_option search_options[] = {
    OPTION_OPEN,
    {"count", 'n', SX_CLI_COUNT, "N", "most results", "MAX_RESULTS", "5", 1, 1000000},
    {"in", 0, SX_CLI_TEXT, "FILE", "search this file of vectors, not a collection (JSON or a NumPy folder, see docs/files.md)", NULL, NULL,
     0, 0, true},
    OPTIONS_SEARCH,
    OPTIONS_FALLBACK,
    OPTIONS_REMOTE,
    OPTIONS_COST,
    {NULL},
};

static const sx_cli_option mcp_options[] = {
    OPTIONS_REMOTE,
    OPTIONS_COST,
    {NULL},
};

static const sx_cli_option ask_options[] = {
    {"llm", 0, SX_CLI_TEXT, "MODEL", "chat model: a name of OpenAI's, or openai@URL#NAME of any server that speaks the same", "LLM_MODEL",
     NULL},
    {"contexts", 0, SX_CLI_COUNT, "N", "most sources", NULL, "5", 1, 1000},
    {"context-tokens", 0, SX_CLI_COUNT, "N", "most tokens of the prompt", NULL, "3000", 1, 100000000},
    {"show-prompt", 0, SX_CLI_FLAG, NULL, "print what would be sent, and send nothing", NULL, NULL},
    OPTIONS_SEARCH,
    OPTIONS_REMOTE,
    OPTIONS_COST,
    {NULL},
};

static const sx_cli_option embed_options[] = {
    {"input", 'i', SX_CLI_TEXT, "FILE", "read texts from a file, or several (-i A -i B); - is standard input; .gz and .zst are read too",
     NULL, NULL, 0, 0, true},
    {"input-format", 0, SX_CLI_CHOICE, "lines|jsonl|json|csv", "how to read it (default: by the file's name, else lines)", NULL,
     NULL},
    {"text-column", 0, SX_CLI_TEXT, "NAME", "column or member that holds the text", NULL, "text"},
    {"id-column", 0, SX_CLI_TEXT, "NAME", "column or member that holds the id", NULL, "id"},
    {"format", 0, SX_CLI_CHOICE, "json|jsonl|npy|bin|base64|chunks", "what to write (default: by the output's name, else json)",
     NULL, NULL},
    OPTION_OUTPUT("write to a file, put in place when complete; .gz and .zst are compressed"),
    OPTION_BATCH,
    {"role", 0, SX_CLI_TEXT, "ROLE", "query, document, none or a prompt of the model: which prompt is put before", NULL, "none"},
    {"prompt", 0, SX_CLI_TEXT, "TEXT", "put exactly this before each text; '' puts nothing", NULL, NULL},
    OPTION_DIMENSIONS,
    OPTIONS_SHARED,
    {"precision", 0, SX_CLI_CHOICE, "f32|int8", "arithmetic: exact, or several times as fast at a cosine of 0.998", NULL, "f32"},
    OPTION_STORAGE,
    {"outputs", 0, SX_CLI_TEXT, "LIST", "dense, sparse and multi, those the model has, separated by commas", NULL, "dense"},
    {"max-length", 0, SX_CLI_COUNT, "N", "most tokens of a text (default: the model's)", NULL, NULL, 1, 1 << 20},
    {"pooling", 0, SX_CLI_CHOICE, "cls|mean|max|mean_sqrt_len|weightedmean|lasttoken", "instead of the model's", NULL, NULL},
    {"no-normalize", 0, SX_CLI_FLAG, NULL, "leave vectors their length", NULL, NULL},
    {"no-cache", 0, SX_CLI_FLAG, NULL, "open no database: nothing is kept or entered as spent", NULL, NULL},
    OPTION_BUDGET,
    OPTIONS_COST,
    {"batch-api", 0, SX_CLI_FLAG, NULL, "as jobs of OpenAI's Batch API: within a day, at half the price", NULL, NULL},
    {"retry-failed", 0, SX_CLI_FLAG, NULL, "with --batch-api: send again what failed in an earlier batch", NULL, NULL},
    {"strict", 0, SX_CLI_FLAG, NULL, "a text that is too long is an error instead of cut", NULL, NULL},
    {"partial", 0, SX_CLI_FLAG, NULL, "write npy and bin without the rows of failed texts", NULL, NULL},
    OPTIONS_FALLBACK,
    OPTIONS_REMOTE,
    {NULL},
};

static const sx_cli_option spaces_options[] = {
    OPTION_DIMENSIONS,
    OPTIONS_REMOTE,
    OPTION_BUDGET,
    OPTIONS_COST,
    {NULL},
};

static const sx_cli_option doctor_options[] = {
    OPTIONS_REMOTE,
    {NULL},
};

static const sx_cli_option batch_options[] = {
    OPTIONS_REMOTE,
    {NULL},
};

static const sx_cli_option cost_options[] = {
    {"by", 0, SX_CLI_CHOICE, "day|month|job|collection|model", "one line for each of these", NULL, "month"},
    {"since", 0, SX_CLI_TEXT, "DATE", "from this day, month or year on (2026-11-21, 2026-11, 2026; UTC)", NULL, NULL},
    {"until", 0, SX_CLI_TEXT, "DATE", "up to it, itself included", NULL, NULL},
    {NULL},
};

static const sx_cli_option migrate_options[] = {
    {"to", 0, SX_CLI_TEXT, "MODEL", "the model to move to", NULL, NULL},
    {"prepare", 0, SX_CLI_FLAG, NULL, "build the new side and compare, but leave searches where they are", NULL, NULL},
    {"rollback", 0, SX_CLI_FLAG, NULL, "back to the side that was kept", NULL, NULL},
    {"drop-old", 0, SX_CLI_FLAG, NULL, "delete the side that was kept", NULL, NULL},
    {"cancel", 0, SX_CLI_FLAG, NULL, "delete a side that is not finished", NULL, NULL},
    {"queries", 0, SX_CLI_TEXT, "FILE", "compare with these queries (lines, jsonl, csv), not with sampled chunks", NULL, NULL},
    {"samples", 0, SX_CLI_COUNT, "N", "chunks to compare with", NULL, "50", 1, 100000},
    {"count", 'n', SX_CLI_COUNT, "K", "hits of a query that are compared", NULL, "10", 1, 1000},
    {"min-overlap", 0, SX_CLI_NUMBER, "X", "stay with the old model when less of the hits than this (0 to 1) are the same", NULL, NULL},
    {"allow-failed", 0, SX_CLI_FLAG, NULL, "move although chunks failed", NULL, NULL},
    {"input-file", 0, SX_CLI_TEXT, "FILE", "embed a JSON file of chunks anew instead", NULL, NULL},
    {"output-file", 0, SX_CLI_TEXT, "FILE", "where it goes, put in place when complete", NULL, NULL},
    {"text-column", 0, SX_CLI_TEXT, "NAME", "member of the file's objects that holds the text", NULL, "text"},
    OPTION_BATCH,
    OPTION_DIMENSIONS,
    {"precision", 0, SX_CLI_CHOICE, "f32|int8", "arithmetic of the new side (default: f32)", NULL, NULL},
    OPTIONS_SHARED,
    OPTIONS_REMOTE,
    OPTION_BUDGET,
    OPTIONS_COST,
    {"no-wait", 0, SX_CLI_FLAG, NULL, "fail when another process works on this collection, instead of waiting", NULL, NULL},
    {NULL},
};

#define OPTION_NO_CACHE                                                                                                          \
    {                                                                                                                            \
        "no-cache", 0, SX_CLI_FLAG, NULL, "open no database: nothing is kept", NULL, NULL                                        \
    }
static const sx_cli_option compare_options[] = {
    {"input", 'i', SX_CLI_TEXT, "FILE", "your own queries (lines, jsonl, csv), not the built-in ones", NULL, NULL},
    {"texts", 0, SX_CLI_TEXT, "FILE", "texts to find; else with -c the collection's chunks, else the queries themselves", NULL, NULL},
    {"samples", 0, SX_CLI_COUNT, "N", "chunks of the collection to take", NULL, "500", 2, 100000},
    {"count", 'n', SX_CLI_COUNT, "K", "nearest texts of a query that are compared", NULL, "10", 1, 1000},
    {"max-length", 0, SX_CLI_COUNT, "N", "most tokens of a text (default: the model's)", NULL, NULL, 1, 1 << 20},
    {"precision", 0, SX_CLI_CHOICE, "f32|int8", "arithmetic", NULL, "f32"},
    OPTION_BATCH,
    OPTION_NO_CACHE,
    OPTIONS_SHARED,
    OPTIONS_REMOTE,
    OPTION_BUDGET,
    OPTIONS_COST,
    {NULL},
};

static const sx_cli_option eval_options[] = {
    {"data", 0, SX_CLI_TEXT, "PATH", "folder in BEIR's layout, or sentence pairs as a .tsv", NULL, NULL},
    {"split", 0, SX_CLI_TEXT, "NAME", "which part of the data", NULL, "test"},
    {"per-query", 0, SX_CLI_TEXT, "FILE", "write each query's figures there, one JSON object a line", NULL, NULL},
    {"against", 0, SX_CLI_TEXT, "FILE", "compare with another run's --per-query: how likely is the difference chance?", NULL, NULL},
    {"count", 'n', SX_CLI_COUNT, "N", "with -c: passages looked at for each query", NULL, "200", 1, 1000000},
    OPTIONS_SEARCH,
    {"max-length", 0, SX_CLI_COUNT, "N", "most tokens of a text (default: the model's)", NULL, NULL, 1, 1 << 20},
    {"precision", 0, SX_CLI_CHOICE, "f32|int8", "arithmetic", NULL, "f32"},
    OPTION_BATCH,
    OPTION_DIMENSIONS,
    OPTION_NO_CACHE,
    OPTIONS_SHARED,
    OPTIONS_REMOTE,
    OPTION_BUDGET,
    OPTIONS_COST,
    {NULL},
};

static const sx_cli_option rerank_options[] = {
    OPTION_INPUT,
    {"input-format", 0, SX_CLI_CHOICE, "lines|jsonl|json|csv", "how to read it (default: by the file's name, else lines)", NULL,
     NULL},
    {"text-column", 0, SX_CLI_TEXT, "NAME", "column or member that holds the text", NULL, "text"},
    {"id-column", 0, SX_CLI_TEXT, "NAME", "column or member that holds the id", NULL, "id"},
    {"count", 'n', SX_CLI_COUNT, "N", "most results (default: all)", NULL, NULL, 1, 1 << 30},
    {"max-length", 0, SX_CLI_COUNT, "N", "most tokens of query and text together (default: the model's)", NULL, NULL, 1, 1 << 20},
    {NULL},
};

static const sx_cli_option chunk_options[] = {
    OPTION_CHUNK, OPTION_CHUNK_SIZE, OPTION_OVERLAP,
    OPTION_UNIT,  OPTION_NO_HEADER,  OPTION_HEADER, {"role", 0, SX_CLI_TEXT, "ROLE", "whose prompt is counted", NULL, "document"},
    OPTIONS_REMOTE,
    {NULL},
};

static const sx_cli_option tokenize_options[] = {
    OPTION_INPUT,
    {"input-format", 0, SX_CLI_CHOICE, "text|lines|jsonl|json|csv", "how to read it (default: by the file's name, else text)",
     NULL, NULL},
    {"text-column", 0, SX_CLI_TEXT, "NAME", "column or member that holds the text", NULL, "text"},
    {"id-column", 0, SX_CLI_TEXT, "NAME", "column or member that holds the id", NULL, "id"},
    {"no-special", 0, SX_CLI_FLAG, NULL, "without [CLS], [SEP] and the like", NULL, NULL},
    {"max-length", 0, SX_CLI_COUNT, "N", "most tokens (default: no limit)", NULL, NULL, 1, 1 << 30},
    {NULL},
};

static const sx_cli_option bench_options[] = {
    {"stdio", 0, SX_CLI_FLAG, NULL, "answer a harness's requests, one JSON object a line", NULL, NULL},
    {"kernels", 0, SX_CLI_FLAG, NULL,
     "measure single kernels, all or the one named: gemm, attention, norm, gelu, quantize, gemm-int8, search", NULL, NULL},
    {"neighbour", 0, SX_CLI_FLAG, NULL, "measure a query alone and beside a program that keeps one core busy", NULL, NULL},
    {"seconds", 0, SX_CLI_NUMBER, "S", "about how long to measure (default: 20)", NULL, NULL},
    {"max-length", 0, SX_CLI_COUNT, "N", "most tokens of a text (default: the model's)", NULL, NULL, 1, 1 << 20},
    {"precision", 0, SX_CLI_CHOICE, "f32|int8", "arithmetic", NULL, "f32"},
    OPTION_STORAGE,
    {NULL},
};

static const sx_cli_option serve_options[] = {
    {.name = "model", .letter = 'm', .kind = SX_CLI_TEXT, .value = "MODEL",
     .help = "a model to serve, as everywhere or NAME=MODEL; repeatable, the first answers requests that name none",
     .setting = "EMBEDDING_MODEL", .initial = "minilm", .repeatable = true},
    {"host", 0, SX_CLI_TEXT, "ADDRESS", "where to listen", NULL, "127.0.0.1"},
    {"port", 0, SX_CLI_COUNT, "N", "0: any that is free", NULL, "7460", 0, 65535},
    {"uds-path", 0, SX_CLI_TEXT, "PATH", "listen at a Unix socket (only there, unless --host or --port is given)", NULL, NULL},
    {"api-key-file", 0, SX_CLI_TEXT, "FILE", "ask for API keys, whose hashes it holds; SIGHUP reads it again", NULL, NULL},
    {"allow-unauthenticated", 0, SX_CLI_FLAG, NULL, "listen beyond this machine without API keys", NULL, NULL},
    {"cors-allow-origin", 0, SX_CLI_TEXT, "ORIGIN", "let web pages of this origin send requests; * lets all", NULL, NULL, 0, 0, true},
    {"max-batch-tokens", 0, SX_CLI_COUNT, "N", "tokens of one pass through the model (default: 1024 a thread, at least 2048)", NULL,
     NULL, 64, 1 << 30},
    {"max-client-batch-size", 0, SX_CLI_COUNT, "N", "most texts of one request", NULL, "65536", 1, 1 << 24},
    {"max-body", 0, SX_CLI_SIZE, "SIZE", "most bytes of one request", NULL, "32MiB", 1024},
    {"max-connections", 0, SX_CLI_COUNT, "N", "most connections", NULL, "4096", 1, 1000000},
    {"max-concurrent-requests", 0, SX_CLI_COUNT, "N", "requests in hand; beyond it 429", NULL, "512", 1, 65536},
    {"max-queue-tokens", 0, SX_CLI_COUNT, "N", "tokens that may wait for the model; beyond it 429", NULL, "1000000", 1, 4000000000},
    {"read-timeout", 0, SX_CLI_NUMBER, "SECONDS", "for a request to arrive; a body that comes at 64 KiB/s is given longer", NULL, "10"},
    {"idle-timeout", 0, SX_CLI_NUMBER, "SECONDS", "for a connection between requests", NULL, "75"},
    {"grace", 0, SX_CLI_NUMBER, "SECONDS", "at SIGTERM, for what is in hand", NULL, "10"},
    {"idle-unload", 0, SX_CLI_NUMBER, "SECONDS", "unload a model after so long without a request; 0: never", NULL, "0"},
    {"max-model-memory", 0, SX_CLI_SIZE, "SIZE", "of all loaded weights together; idle models make room", NULL, NULL},
    {"any-model-name", 0, SX_CLI_FLAG, NULL, "answer unknown model names with the first model", NULL, NULL},
    {"token-ids", 0, SX_CLI_CHOICE, "refuse|model|cl100k", "whose ids token ids sent to /v1/embeddings are", NULL, "refuse"},
    {"no-auto-truncate", 0, SX_CLI_FLAG, NULL, "a text that is too long is an error, where the request does not say", NULL, NULL},
    {"access-log", 0, SX_CLI_TEXT, "FILE", "a JSON line for each request; - is standard output", NULL, NULL},
    {"source", 0, SX_CLI_TEXT, "NAME=PATH", "a folder that requests may have indexed, by its name; repeatable", NULL, NULL, 0, 0, true},
    {"max-length", 0, SX_CLI_COUNT, "N", "most tokens of a text (default: the model's)", NULL, NULL, 1, 1 << 20},
    {"precision", 0, SX_CLI_CHOICE, "f32|int8", "arithmetic: exact, or several times as fast at a cosine of 0.998", NULL, "f32"},
    OPTION_STORAGE,
    OPTIONS_REMOTE,
    OPTION_BUDGET,
    OPTIONS_COST,
    {NULL},
};

#define OPTIONS_TARGET                                                                                                           \
    {"to", 0, SX_CLI_TEXT, "URL", "into a vector database: postgresql://USER@HOST/DATABASE, chroma://HOST:PORT ...", NULL, NULL},  \
        {"as", 0, SX_CLI_TEXT, "NAME", "its name in the vector database (default: the same)", NULL, NULL},                       \
        {"index", 0, SX_CLI_CHOICE, "hnsw|ivfflat|none", "which index is made there", NULL, NULL},                               \
        {"element", 0, SX_CLI_CHOICE, "f32|f16", "how the numbers of a vector are kept there", NULL, NULL},                      \
        {"hnsw-m", 0, SX_CLI_COUNT, "N", "HNSW: neighbours of a vector (default: 16)", NULL, NULL, 2, 1024},                     \
        {"ef-construction", 0, SX_CLI_COUNT, "N", "HNSW: candidates when it is built (default: 128)", NULL, NULL, 1, 100000},    \
        {"ef-search", 0, SX_CLI_COUNT, "N", "HNSW: candidates when it is searched (default: 96)", NULL, NULL, 1, 100000},        \
        {"lists", 0, SX_CLI_COUNT, "N", "IVFFlat: lists (default: by the number of vectors)", NULL, NULL, 1, 32768},             \
    {                                                                                                                            \
        "prune", 0, SX_CLI_FLAG, NULL, "take out of the vector database what the source does not hold", NULL, NULL               \
    }

static const sx_cli_option copy_options[] = {
    {"from", 0, SX_CLI_TEXT, "URL", "the vector database it is in", NULL, NULL},
    OPTIONS_TARGET,
    {NULL},
};

static const sx_cli_option export_options[] = {
    {"format", 0, SX_CLI_CHOICE, "jsonl|json|npy", "one chunk a line, one document, or a folder with embeddings.npy", NULL,
     "jsonl"},
    OPTION_OUTPUT("file (npy: folder) to write, .gz and .zst compressed; - is standard output (jsonl)"),
    OPTIONS_TARGET,
    {NULL},
};

static const sx_cli_option import_options[] = {
    OPTION_INPUT,
    {"from", 0, SX_CLI_TEXT, "URL", "from a vector database instead of a file", NULL, NULL},
    {"as", 0, SX_CLI_TEXT, "NAME", "its name in the vector database (default: the same)", NULL, NULL},
    {NULL},
};

static const sx_cli_option compress_options[] = {
    {"to", 0, SX_CLI_TEXT, "FORM", "f16, int8, binary, pca:N or dims:N", NULL, NULL},
    {"undo", 0, SX_CLI_FLAG, NULL, "search by the vectors themselves again", NULL, NULL},
    {"dry-run", 0, SX_CLI_FLAG, NULL, "measure and change nothing", NULL, NULL},
    {"yes", 'y', SX_CLI_FLAG, NULL, "do not ask", NULL, NULL},
    {"queries", 0, SX_CLI_TEXT, "FILE", "measure with these queries (lines, jsonl, csv), not with sampled chunks", NULL, NULL},
    {"samples", 0, SX_CLI_COUNT, "N", "chunks to measure with", NULL, "200", 1, 100000},
    {"count", 'n', SX_CLI_COUNT, "K", "hits of a query that are compared", NULL, "10", 1, 1000},
    {"eval", 0, SX_CLI_TEXT, "FOLDER", "judged data (BEIR's layout) to measure nDCG@10 on", NULL, NULL},
    {"eval-split", 0, SX_CLI_TEXT, "NAME", "its part: qrels/NAME.tsv", NULL, "test"},
    OPTION_BATCH,
    OPTIONS_REMOTE,
    OPTION_BUDGET,
    OPTIONS_COST,
    {NULL},
};

static const sx_cli_option duplicates_options[] = {
    {"threshold", 0, SX_CLI_NUMBER, "X", "least similarity (cosine) of two passages that are alike", NULL, "0.95"},
    {"with", 0, SX_CLI_TEXT, "NAME", "another collection of the same model to look at too", NULL, NULL, 0, 0, true},
    {"filter", 0, SX_CLI_TEXT, "EXPR", "only documents for which this holds", NULL, NULL, 0, 0, true},
    {"count", 'n', SX_CLI_COUNT, "N", "groups to show of passages, and of documents", NULL, "20", 1, 1000000},
    {NULL},
};

static const sx_cli_option clusters_options[] = {
    {"count", 'n', SX_CLI_COUNT, "N", "how many clusters (default: chosen)", NULL, NULL, 1, 256},
    {"typical", 0, SX_CLI_COUNT, "N", "typical passages to show of each", NULL, "3", 1, 1000},
    {"outliers", 0, SX_CLI_COUNT, "N", "passages to show that are like no other", NULL, "5", 1, 1000},
    {"filter", 0, SX_CLI_TEXT, "EXPR", "only documents for which this holds", NULL, NULL, 0, 0, true},
    {NULL},
};

static const sx_cli_option classify_options[] = {
    OPTION_INPUT,
    {"examples", 0, SX_CLI_TEXT, "FILE", "texts with labels (csv, jsonl, json); without it, the collection's documents", NULL, NULL},
    {"label", 0, SX_CLI_TEXT, "NAME", "column, member or metadata key that holds the label", NULL, "label"},
    {"text-column", 0, SX_CLI_TEXT, "NAME", "column or member that holds an example's text", NULL, "text"},
    {"neighbours", 'k', SX_CLI_COUNT, "N", "nearest examples that vote", NULL, "5", 1, 1000},
    {"threshold", 0, SX_CLI_NUMBER, "X", "no label when the nearest example of it is less similar than this", NULL, "0"},
    {"confidence", 0, SX_CLI_NUMBER, "X", "no label when its share of the votes is less than this, 0 to 1", NULL, "0"},
    OPTION_BATCH,
    OPTIONS_REMOTE,
    OPTION_BUDGET,
    OPTIONS_COST,
    {NULL},
};

static const sx_cli_option map_options[] = {
    OPTION_OUTPUT("the picture: .svg, .png, .html (a page to explore) or .json"),
    {"layout", 0, SX_CLI_CHOICE, "neighbours|pca", "keep neighbours together, or show the two main components", NULL, "neighbours"},
    {"color-by", 0, SX_CLI_TEXT, "KEY", "colour by a metadata key, or by document (default: by cluster)", NULL, NULL},
    {"clusters", 0, SX_CLI_COUNT, "N", "how many clusters (default: chosen)", NULL, NULL, 1, 256},
    {"filter", 0, SX_CLI_TEXT, "EXPR", "only documents for which this holds", NULL, NULL, 0, 0, true},
    {"points", 0, SX_CLI_COUNT, "N", "most passages to show, spread evenly over the collection", NULL, "10000", 1, 50000},
    {"title", 0, SX_CLI_TEXT, "TEXT", "the heading (default: the collection's name)", NULL, NULL},
    {"width", 0, SX_CLI_COUNT, "N", "of svg and png, in pixels", NULL, "1600", 200, 8000},
    {"height", 0, SX_CLI_COUNT, "N", "of svg and png, in pixels", NULL, "1200", 200, 8000},
    {"dark", 0, SX_CLI_FLAG, NULL, "svg and png on a dark ground (the page has both)", NULL, NULL},
    {"measure", 0, SX_CLI_FLAG, NULL, "say how well neighbours are kept, beside main components alone", NULL, NULL},
    {NULL},
};

static const sx_cli_option delete_options[] = {
    {"yes", 'y', SX_CLI_FLAG, NULL, "do not ask", NULL, NULL},
    {NULL},
};

static const sx_cli_option restore_options[] = {
    {"force", 0, SX_CLI_FLAG, NULL, "replace a database that is there", NULL, NULL},
    {NULL},
};

static const sx_cli_option cache_stats_options[] = {
    OPTION_SHARED_URL,
    {NULL},
};
static const sx_cli_option prune_options[] = {
    {"max-size", 0, SX_CLI_SIZE, "SIZE", "keep at most this much of what no collection uses", NULL, "1GiB"},
    {NULL},
};

static const sx_cli_option cache_export_options[] = {
    OPTION_OUTPUT("file to write; - is standard output"),
    {NULL},
};

static const sx_cli_option model_list_options[] = {
    {"known", 0, SX_CLI_FLAG, NULL, "the models known by name instead, wherever they are", NULL, NULL},
    {NULL},
};

static const sx_cli_option pull_options[] = {
    {"revision", 0, SX_CLI_TEXT, "REV", "branch, tag or commit", NULL, NULL},
    {.name = "file", .kind = SX_CLI_TEXT, .value = "PATTERN", .help = "fetch these files instead of what a model needs",
     .repeatable = true},
    {NULL},
};

static const sx_cli_option model_import_options[] = {
    {"name", 0, SX_CLI_TEXT, "NAME", "name to give it (default: the folder's)", NULL, NULL},
    {"sha256", 0, SX_CLI_TEXT, "HEX", "refuse weights with another SHA-256", NULL, NULL},
    {NULL},
};

static const sx_cli_option verify_options[] = {
    {"vectors", 0, SX_CLI_TEXT, "FILE.npy", "reference vectors, float32 (n, d)", NULL, NULL},
    {"texts", 0, SX_CLI_TEXT, "FILE.jsonl", "their texts, in the same order; token ids beside them are compared too", NULL, NULL},
    {"role", 0, SX_CLI_TEXT, "ROLE", "query, document, none or a prompt of the model: which prompt was put before", NULL, "none"},
    {"tolerance", 0, SX_CLI_NUMBER, "X", "largest difference allowed", NULL, "1e-5"},
    {NULL},
};

const sx_cli_verb sx_cli_verbs[] = {
    {"index", "read, cut, embed and store documents", "PATH...", 1, SIZE_MAX, index_options, true,
     "Reads files and folders and keeps the collection in step with them: what is new or changed is embedded, what is gone "
     "from the folders given is taken out, the rest is left alone. A folder or file that does not exist is an error and never "
     "removes anything.\n\n"
     "Work is saved as it goes. After an interruption the same command goes on where it was. A collection keeps the model it "
     "was made with; giving another one with -m is an error.",
     "sextant index docs -c handbook --exclude '*.html'", "34i", sx_cli_index},
    {"search", "find the passages nearest to a query", "QUERY", 1, SIZE_MAX, search_options, true,
     "Finds passages by meaning and by words, and prints the best first. The collection's own model is used; --mode keyword needs none. "
     "Several words need no quotes. Equal passages are shown once; -v says why each is there.\n\n"
     "Filters look at metadata, document, root and date: language=python and year>=2020, document^=src/, document~*.md, "
     "lang in (de, fr), not team=search. Several --filter must all hold.",
     "sextant search -c handbook -n 3 'how do I reset my password'", "i", sx_cli_search},
    {"similar", "find passages like one that is indexed", "FILE[:LINE]", 1, 1, similar_options, true,
     "Finds passages like the one that covers a line of an indexed file, or like a whole file, and leaves that out itself. What is stored "
     "is compared, so no model is loaded. With - in place of a file the text comes from standard input and is embedded.",
     "sextant similar src/parse.c:120 -n 3", "i", sx_cli_similar},
    {"ask", "answer a question from the passages found", "QUESTION", 1, SIZE_MAX, ask_options, true,
     "Finds passages as search does, puts them into a prompt as numbered sources, and streams the answer of a chat model: OpenAI's, or any "
     "server with POST /chat/completions. Citations like [Source 2] are checked: one of a source that does not exist is reported. The "
     "sources are listed below the answer.\n\n"
     "Without a chat model (--llm, LLM_MODEL) the prompt is printed. Without passages no model is asked. Passages with keys or passwords "
     "in them are held back, unless --allow-secrets.",
     "sextant ask -c handbook --llm gpt-4o-mini 'how do I reset my password'", "i", sx_cli_ask},
    {"remove", "take documents out of a collection", "PATH...", 1, SIZE_MAX, no_options, false,
     "Takes the documents at and below the paths out of the collection. The files themselves are not touched, and need not "
     "exist any more. Vectors stay in the cache until it is pruned.",
     "sextant remove docs/old -c handbook", "", sx_cli_remove},
    {"embed", "turn texts into vectors", "[TEXT...]", 0, SIZE_MAX, embed_options, true,
     "Embeds the texts given, or those of a file, in order. Every text gets a receipt: tokens, whether it was cut and by how "
     "much, whether the vector came from the cache. A text that fails is named and does not stop the others.\n\n"
     "Formats: json, one object; jsonl, one object a line; npy, a float32 array with ids and receipts beside it in FILE.json; "
     "bin, the same rows without a header; base64, as json with each vector as base64 of little-endian float32; chunks, the "
     "input objects with an embedding added to each.\n\n"
     "Models like bge-m3 also give a weight for each token id (sparse) and a vector for each token (multi); --outputs asks for "
     "them, in json and jsonl.",
     "sextant embed 'the boats came in' --json", "34i", sx_cli_embed},
    {"rerank", "put texts in order for a query", "QUERY [TEXT...]", 1, SIZE_MAX, rerank_options, true,
     "Scores each text, given as an argument or read from a file, against the query with a cross-encoder (-m), and prints them "
     "best first. raw_score is what the model gives, score the same behind the activation it is published with. A text that "
     "fails is named and does not stop the others.",
     "sextant rerank 'when do the boats come in' -m cross-encoder/ms-marco-MiniLM-L6-v2 -i texts.txt -n 3", "3i", sx_cli_rerank},
    {"chunk", "show how a file would be cut", "FILE", 1, 1, chunk_options, true,
     "Reads a file as index would and prints the chunks. Offsets are bytes of the document's text, which --json gives as "
     "`text`: the file itself when it is plain UTF-8, Markdown or reStructuredText, else what was extracted from it.",
     "sextant chunk README.md --chunk-size 128 --json", "", sx_cli_chunk},
    {"tokenize", "show a text's tokens", "[TEXT...]", 0, SIZE_MAX, tokenize_options, true,
     "Prints token ids, pieces and byte offsets. No weights are loaded.", "sextant tokenize 'unbelievable' --json", "3",
     sx_cli_tokenize},
    {"status", "what is there, done, pending and failed", "", 0, 0, no_options, false,
     "Lists the collections with their models and counts, and the cache.", "sextant status", "", sx_cli_status},
    {"collections list", "list collections", "", 0, 0, no_options, false, "Lists the collections of the database.",
     "sextant collections list --json", "", sx_cli_collections_list},
    {"collections info", "show one collection", "NAME", 1, 1, no_options, false,
     "Shows a collection's model, space, recipe and counts.", "sextant collections info handbook", "", sx_cli_collections_info},
    {"collections rename", "give a collection another name", "NAME NEW-NAME", 2, 2, no_options, false,
     "Renames a collection; nothing else changes.", "sextant collections rename handbook manual", "", sx_cli_collections_rename},
    {"collections delete", "delete a collection", "NAME", 1, 1, delete_options, false,
     "Deletes a collection. On a terminal it asks first. The vectors stay in the cache until it is pruned.",
     "sextant collections delete handbook --yes", "", sx_cli_collections_delete},
    {"collections export", "write a collection to a file", "NAME", 1, 1, export_options, false,
     "Writes documents, chunks and vectors in a stable order, without times of the run. With --to they go into a vector database instead of "
     "a file; said again after an interruption it goes on, and doubles nothing.",
     "sextant collections export handbook --format jsonl -o handbook.jsonl", "i", sx_cli_collections_export},
    {"collections copy", "copy a collection between vector databases", "NAME", 1, 1, copy_options, false,
     "Copies all records, whoever wrote them, with their ids, from one vector database into another, and compares the counts. Said again "
     "after an interruption it goes on, and doubles nothing.",
     "sextant collections copy handbook --from chroma://localhost:8000 --to postgresql://me@localhost/vectors", "i", sx_cli_collections_copy},
    {"collections import", "make a collection of a file of vectors", "NAME [FILE...]", 1, SIZE_MAX, import_options, false,
     "Takes back what export wrote, and takes in what other programs wrote: a JSON document with an array `embeddings`, a JSON array or "
     "JSON lines of chunks with an embedding each, or a folder with embeddings.npy, metadata.json and model_info.json; several files make "
     "one collection. All may be compressed (.gz, .zst). The collection must not exist.\n\n"
     "Some texts of files that others wrote are embedded again with the model the file names, or with that of -m: vectors of another model "
     "are refused.\n\n"
     "With --from it takes back what export --to wrote into a vector database.",
     "sextant collections import handbook handbook.jsonl", "i", sx_cli_collections_import},
    {"backup", "a consistent copy of the database", "FILE", 1, 1, no_options, false,
     "Copies the database while others work. The file must not exist. A plain copy of a database in use is not safe.",
     "sextant backup sextant-backup.db", "", sx_cli_backup},
    {"restore", "make a backup the database", "FILE", 1, 1, restore_options, false,
     "Checks the backup and puts it in the database's place. A database that is there is replaced only with --force.",
     "sextant restore sextant-backup.db --force", "", sx_cli_restore},
    {"serve", "answer embedding requests over HTTP", "", 0, 0, serve_options, true,
     "Serves models to the clients of OpenAI, text-embeddings-inference, Ollama and Cohere, without a change in them: docs/serving.md "
     "lists the routes. A lone request is answered at once by all cores; under load, texts of many clients go through the model "
     "together. Vectors are the same as `sextant embed` gives.\n\n"
     "It listens on this machine only, unless --host says otherwise, which needs API keys. SIGTERM finishes what is in hand and ends.",
     "sextant serve -m minilm --port 7460", "", sx_cli_serve},
    {"mcp", "let coding assistants search (Model Context Protocol)", "", 0, 0, mcp_options, true,
     "Speaks the Model Context Protocol on standard input and output, for assistants that start it themselves: docs/assistants.md shows how. "
     "They get four tools: search, similar, passage (read more around a result) and collections. -c names the collection that is searched "
     "when the assistant names none. Only what was indexed is ever read; files are not, and nothing is changed.",
     "sextant mcp -c project", "i", sx_cli_mcp},
    {"migrate", "move a collection to another model", "", 0, 0, migrate_options, true,
     "Embeds the collection's chunks with another model, from the texts that are stored, while searches go on with the old one. Then "
     "compares how both answer (overlap of the first hits, rank correlation), and puts the new side in the place of the old in one step. "
     "The old side is kept until --drop-old; --rollback goes back to it as it was. What was indexed after the move is in the new side only."
     "\n\n"
     "After an interruption the same command goes on where it was. `sextant status` says how far it is. Nobody indexes into the collection "
     "meanwhile. Chunks that the new model cannot take whole are cut into several.\n\n"
     "With --input-file and --output-file it reads a JSON array of chunks and writes the same with the vectors of -m.",
     "sextant migrate -c handbook --to bge-small", "34i", sx_cli_migrate},
    {"compress", "search a collection by smaller vectors", "", 0, 0, compress_options, true,
     "Measures what searches lose when they scan compressed vectors instead of the vectors themselves, and, when that is wanted, makes them do "
     "so: on a terminal it asks. The best by compressed vectors are scored again with the vectors, which stay in the database; --undo goes "
     "back at once.\n\n"
     "f16: halves. int8: a byte each, a scale for each vector. binary: a bit each. pca:N: the N principal components of the collection. dims:N: "
     "the first N dimensions, for models trained for that (Matryoshka).\n\n"
     "Recall@K is the share of the exact first K that a search finds, over chunks of the collection or the queries of a file. With --eval, a "
     "folder in BEIR's layout, nDCG@10 before and after is measured on it.",
     "sextant compress -c handbook --to int8", "4i", sx_cli_compress},
    {"duplicates", "passages and documents that are there more than once", "", 0, 0, duplicates_options, false,
     "Finds passages with the same text, and passages that say the same in nearly the same words: joined by pairs whose vectors are as similar "
     "as --threshold. Then documents that are equal or alike, compared by the mean of their passages, with the share of passages that each "
     "has in common with the others. Equal ones come first. Every pair is looked at. Nothing is changed.",
     "sextant duplicates -c handbook --threshold 0.97", "i", sx_cli_duplicates},
    {"clusters", "what a collection is about", "", 0, 0, clusters_options, false,
     "Groups the passages by what they are about (spherical k-means), names each group by the words that it has and the others have not, and "
     "shows its most typical passages, of different documents where it can; then the passages that are like no other.",
     "sextant clusters -c handbook --count 12", "i", sx_cli_clusters},
    {"classify", "labels of texts, by examples", "", 0, 0, classify_options, true,
     "Gives each text of -i the label that its nearest examples vote for, each by its similarity. Examples are a file of texts with labels, or "
     "the documents of a collection that have the metadata key. A line has the label, its share of the votes, the similarity to the nearest "
     "example of it and the text.\n\n"
     "Says how many of the examples get their own label from the others, passages of the same document left out; without -i that is all.",
     "sextant classify -i mails.txt --examples labelled.csv --threshold 0.4", "4i", sx_cli_classify},
    {"map", "a picture of a collection", "", 0, 0, map_options, false,
     "Draws each passage as a point, so that passages about one thing lie together, coloured by cluster or by metadata; clusters are named by "
     "the words that tell them apart. The HTML page is to explore: point at a passage to read it, find words, zoom, hide groups; it is one "
     "file and fetches nothing.\n\n"
     "The same collection gives the same picture. docs/pictures.md says how it is made and how far to trust it.",
     "sextant map -c handbook -o handbook.html", "i", sx_cli_map},
    {"compare", "two models side by side", "MODEL MODEL", 2, 2, compare_options, true,
     "Embeds the same queries with both models, twenty of its own (half code, half concepts) or those of -i, and shows dimensions, "
     "tokens, time, cost; how similar queries of one kind are among each other and to the other kind (a good model keeps kinds apart); "
     "and whether both models find the same: overlap of the nearest texts, and rank correlation of all similarities.",
     "sextant compare minilm bge-small -i queries.txt -c handbook", "4i", sx_cli_compare},
    {"eval", "how well a model does on judged data", "", 0, 0, eval_options, true,
     "With a folder in BEIR's layout (corpus.jsonl, queries.jsonl, qrels/test.tsv): nDCG@10, recall@10 and @100, MRR@10, hit@1 and @3, by "
     "exact search. With sentence pairs (score, tab, text, tab, text): Spearman's rank correlation. Vectors come from the cache and go "
     "there, so a second run takes no time.\n\n"
     "With -c NAME the queries are asked of that collection as search does, chunks, words, re-ranking and all; corpus.jsonl is not "
     "needed. Judgements name documents by the id in their metadata, by path, or by the file's name without its ending.",
     "sextant eval --data scifact -m minilm", "4i", sx_cli_eval},
    {"cost", "what embedding has cost", "", 0, 0, cost_options, false,
     "Sums what was sent through models, by the services' own counts: requests, texts, tokens, dollars. Local models cost "
     "nothing. A model whose price is not known says so, and is in no sum of dollars. With -c only that collection counts.",
     "sextant cost --by day --since 2026-11", "", sx_cli_cost},
    {"batch list", "jobs of the Batch API", "", 0, 0, no_options, false,
     "Lists the jobs that --batch-api made: how far each is, what is stored and failed, and what it cost.",
     "sextant batch list", "", sx_cli_batch_list},
    {"batch status", "show one job", "ID", 1, 1, no_options, false, "Shows one job as the database knows it.",
     "sextant batch status 1", "", sx_cli_batch_list},
    {"batch resume", "wait for jobs and store what comes", "[ID]", 0, 1, batch_options, true,
     "Goes on with a job, or with all, where it was left: sends what was not sent, waits, and stores the vectors in the cache. What the "
     "service was asked for already is found again and not paid for twice.",
     "sextant batch resume", "3i", sx_cli_batch_resume},
    {"batch cancel", "end a job", "ID", 1, 1, batch_options, true,
     "Asks the service to end a job. What is done by then is paid for, and batch resume stores it. A job that was not sent yet is "
     "dropped.",
     "sextant batch cancel 1", "", sx_cli_batch_cancel},
    {"spaces prove", "show that two sources give the same vectors", "MODEL MODEL", 2, 2, spaces_options, true,
     "Embeds twenty texts (languages, code, lengths) with both models, as documents, as queries and without a role, and compares. When "
     "every pair agrees (cosine at least 0.999, no component farther apart than 0.02) this is recorded with date, figures and both "
     "recipes: from then on either may be the other's --fallback, and a search may use either for a collection of the other.",
     "sextant spaces prove openai:text-embedding-3-small azure:my-deployment", "4", sx_cli_spaces_prove},
    {"spaces list", "what was proven", "", 0, 0, no_options, false, "Lists the pairs of models that were proven, with date and figures.",
     "sextant spaces list", "", sx_cli_spaces_list},
    {"spaces forget", "take a proof back", "MODEL MODEL", 2, 2, no_options, false,
     "Takes out what was proven of two models, and says how many chunks of one's collections the other has made: they stay until "
     "`sextant index --force` makes them anew.",
     "sextant spaces forget openai:text-embedding-3-small azure:my-deployment", "", sx_cli_spaces_forget},
    {"cache stats", "entries, size and hit rate of the cache", "", 0, 0, cache_stats_options, false,
     "Shows how many vectors are kept, how much space they take, and how often they were found. With a shared cache its server is "
     "asked what it holds.", "sextant cache stats", "",
     sx_cli_cache_stats},
    {"cache prune", "make the cache smaller", "", 0, 0, prune_options, false,
     "Takes out vectors that no collection uses, least recently used first, until at most SIZE is left.",
     "sextant cache prune --max-size 200MB", "", sx_cli_cache_prune},
    {"cache clear", "empty the cache", "", 0, 0, no_options, false, "Takes out every vector that no collection uses.",
     "sextant cache clear", "", sx_cli_cache_clear},
    {"cache export", "write the cached vectors to a file", "", 0, 0, cache_export_options, false,
     "Writes one JSON object a line: recipe, hash of the text, vector.", "sextant cache export -o vectors.jsonl", "",
     sx_cli_cache_export},
    {"cache import", "take cached vectors from a file", "[FILE]", 0, 1, import_options, false, "Takes back what export wrote.",
     "sextant cache import vectors.jsonl", "", sx_cli_cache_import},
    {"models list", "list the models on this machine", "", 0, 0, model_list_options, false,
     "Lists imported models and those in the Hugging Face cache.", "sextant models list", "", sx_cli_models_list},
    {"models pull", "fetch a model from the hub", "MODEL", 1, 1, pull_options, false,
     "Fetches a known model by alias, or org/name[@revision], from huggingface.co (HF_ENDPOINT) into the cache that Python's tools use too, "
     "and prints its folder. Goes on where an earlier pull stopped, compares every file with the hub's size and hash, and shows a model "
     "only when it is whole. HF_TOKEN opens private and gated models.",
     "sextant models pull bge-small", "i", sx_cli_models_pull},
    {"models info", "show one model", "[MODEL]", 0, 1, no_options, true,
     "Opens the model and shows its folder, family, dimensions, limits, the SHA-256 of its weights, and the prompts that are put before "
     "queries and documents: the model's own, or, where a known model's files have none, those its authors recommend.",
     "sextant models info minilm", "", sx_cli_models_info},
    {"models import", "copy a model folder or .gguf file in under a name", "FOLDER|FILE.gguf", 1, 1, model_import_options, false,
     "Opens the model once, compares its weights if --sha256 is given, and copies what is needed.",
     "sextant models import all-MiniLM-L6-v2 --name minilm", "", sx_cli_models_import},
    {"models verify", "compare a model with reference vectors", "[MODEL]", 0, 1, verify_options, true,
     "Computes the SHA-256 of the weights again and compares it with the one recorded at import. With --vectors and --texts, "
     "embeds the texts and prints the largest absolute difference and the smallest cosine; more than the tolerance is a failure. "
     "Records of --texts that have an array `ids` are compared with the token ids the model is fed, special tokens included, and "
     "the first that differ are shown; these need no --vectors. Of a cross-encoder, records hold a query and a text, and the "
     "vectors are its logits or its scores, one row a pair.",
     "sextant models verify -m minilm --vectors vectors.npy --texts texts.jsonl", "", sx_cli_models_verify},
    {"models remove", "remove an imported model", "NAME", 1, 1, no_options, false,
     "Removes a model's folder. Collections made with it stay, but need it to be searched. Models in the Hugging Face cache are "
     "shared with Python's tools and are removed there.", "sextant models remove minilm", "",
     sx_cli_models_remove},
    {"doctor", "say what is wrong on this machine", "", 0, 0, doctor_options, true,
     "Checks processor, memory, model, database and disk space, and says what to do about what it finds. Of a remote model it looks for "
     "the key, and sends one short text.",
     "sextant doctor", "", sx_cli_doctor},
    {"bench", "measure speed on this machine", "[KERNEL]", 0, 1, bench_options, true,
     "Measures how fast a model embeds texts of several lengths, one in a call and many, with one core and with all; the tokenizer; and "
     "exact search; each beside the most that this processor and its memory give, measured in the same run. Other programs that run "
     "meanwhile make every figure worse.\n\n"
     "With --stdio it measures nothing by itself but answers requests on standard input, one JSON object a line: embed, vectors and "
     "tokenize.",
     "sextant bench --seconds 5", "", sx_cli_bench},
    {"help", "help for a verb", "[VERB...]", 0, 2, no_options, false, "The same as VERB --help.", "sextant help search", "",
     sx_cli_help},
    {"version", "print the version", "", 0, 0, no_options, false, "Prints the program's version.", "sextant version", "",
     sx_cli_version},
    {NULL},
};

const char *sx_cli_group_summary(const char *group)
{
    static const char *const groups[][2] = {
        {"collections", "look at, rename, delete, export and import collections"},
        {"batch", "jobs of the Batch API: look at, go on with, cancel"},
        {"spaces", "prove that two sources give the same vectors, list and forget proofs"},
        {"cache", "look at, prune, clear, export and import cached vectors"},
        {"models", "list, fetch, look at, import, verify and remove models"},
    };
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        if (strcmp(groups[i][0], group) == 0)
            return groups[i][1];
    return NULL;
}

void sx_cli_option_syntax(const sx_cli_option *option, char *text, size_t capacity)
{
    char letter[8] = "";
    if (option->letter)
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    snprintf(text, capacity, "%s--%s%s%s", letter, option->name, option->value ? " " : "", option->value ? option->value : "");
}

size_t sx_cli_exit_codes(const char *exits, int codes[SX_EXIT_COUNT])
{
    size_t count = 0;
    codes[count++] = SX_EXIT_DONE;
    codes[count++] = SX_EXIT_FAILED;
    codes[count++] = SX_EXIT_USAGE;
    if (strchr(exits, '3'))
        codes[count++] = SX_EXIT_ITEMS_FAILED;
    if (strchr(exits, '4'))
        codes[count++] = SX_EXIT_LIMIT;
    if (strchr(exits, 'i'))
        codes[count++] = SX_EXIT_INTERRUPTED;
    return count;
}

const char *sx_cli_exit_meaning(int code)
{
    switch (code) {
    case SX_EXIT_DONE: return "done";
    case SX_EXIT_FAILED: return "failed; a message says what, where and why";
    case SX_EXIT_USAGE: return "wrong usage";
    case SX_EXIT_ITEMS_FAILED: return "some items failed, each is named; the others are done";
    case SX_EXIT_LIMIT: return "stopped by a limit";
    case SX_EXIT_INTERRUPTED: return "interrupted; everything done so far is kept";
    default: return "";
    }
}
