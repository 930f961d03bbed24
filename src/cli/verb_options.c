/* verb_options.c - every option of the program. What verbs share is said once, in the OPTION macros; verbs.c says which verb takes
 * which table. */
#include "verb_options.h"

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
        {"timeout", 0, SX_CLI_NUMBER, "SECONDS", "remote models: of one request (default: 120)", NULL, NULL},                    \
    {                                                                                                                            \
        "tokenizer", 0, SX_CLI_TEXT, "MODEL", "remote models: the local model that counts their tokens", "EMBEDDING_TOKENIZER", \
            NULL                                                                                                                 \
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
        "chunk", 0, SX_CLI_CHOICE, "auto|recursive|tokens|chars|sentences|paragraphs|semantic|markdown|rst|html|code",           \
            "how documents are cut", NULL, NULL                                                                               \
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

const sx_cli_option sx_cli_no_options[] = {{NULL}};

const sx_cli_option sx_cli_index_options[] = {
    OPTION_CHUNK,
    OPTION_CHUNK_SIZE,
    OPTION_OVERLAP,
    OPTION_UNIT,
    OPTION_NO_HEADER,
    OPTION_HEADER,
    {"include", 0, SX_CLI_TEXT, "GLOB", "only paths that match", NULL, NULL, 0, 0, true},
    {"exclude", 0, SX_CLI_TEXT, "GLOB", "leave out paths that match", NULL, NULL, 0, 0, true},
    {"metadata", 0, SX_CLI_TEXT, "KEY=VALUE", "add to every document of this run", NULL, NULL, 0, 0, true},
    {"input-format", 0, SX_CLI_CHOICE, "csv|tsv|jsonl|json|lines", "the files hold records, each becomes a document of its own", NULL, NULL},
    {"sql", 0, SX_CLI_TEXT, "QUERY", "the files are SQLite's, each row of the query becomes a document", NULL, NULL},
    {"text-column", 0, SX_CLI_TEXT, "NAME", "of records: the column or member that holds the text", NULL, "text"},
    {"id-column", 0, SX_CLI_TEXT, "NAME", "and the id; without one a record's number", NULL, "id"},
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

/* Which hits to show, for all that search. */
#define OPTIONS_RESULTS                                                                                                          \
    {"threshold", 0, SX_CLI_NUMBER, "S", "least similarity", NULL, NULL},                                                        \
        {"filter", 0, SX_CLI_TEXT, "EXPR", "only what this holds for: KEY=VALUE, symbol=NAME, page>=N, and, or, not", NULL,     \
         NULL, 0, 0, true},                                                                                                      \
        {"join", 0, SX_CLI_FLAG, NULL, "neighbouring passages of a document become one", NULL, NULL},                            \
        {"keep-duplicates", 0, SX_CLI_FLAG, NULL, "show equal passages each for itself", NULL, NULL},                            \
        {"ef-search", 0, SX_CLI_COUNT, "N", "candidates a graph search keeps (default: as measured)", NULL, NULL, 1, 1000000},   \
    {                                                                                                                            \
        "exact", 0, SX_CLI_FLAG, NULL, "compare with every vector, graph or not", NULL, NULL                                     \
    }

/* How to look, for search and ask. */
#define OPTIONS_SEARCH                                                                                                           \
    {"mode", 0, SX_CLI_CHOICE, "hybrid|semantic|keyword", "by meaning and words, by meaning, or by words", NULL, "hybrid"},      \
        {"type", 0, SX_CLI_CHOICE, "general|code_search|error_analysis|documentation", "kind of question", NULL, "general"},     \
        {"rerank", 0, SX_CLI_TEXT, "none|lexical|mmr|MODEL", "second look at the best: words, variety, or a cross-encoder",      \
         NULL, "none"},                                                                                                          \
        {"rerank-count", 0, SX_CLI_COUNT, "N", "how many are looked at again (default: 100; a model: 50)", NULL, NULL, 1,        \
         1000000},                                                                                                               \
        {"prefer", 0, SX_CLI_TEXT, "KINDS", "put these kinds of definitions first, as function,method,class", NULL, NULL},       \
        OPTIONS_RESULTS

#define OPTION_OPEN                                                                                                              \
    {                                                                                                                            \
        "open", 0, SX_CLI_COUNT, "N", "open the Nth result in $VISUAL or $EDITOR, at its line", NULL, NULL, 1, 1000000           \
    }

const sx_cli_option sx_cli_similar_options[] = {
    {"count", 'n', SX_CLI_COUNT, "N", "most results", "MAX_RESULTS", "5", 1, 1000000},
    OPTION_OPEN,
    OPTIONS_RESULTS,
    OPTIONS_REMOTE,
    OPTIONS_COST,
    {NULL},
};

const sx_cli_option sx_cli_search_options[] = {
    OPTION_OPEN,
    {"count", 'n', SX_CLI_COUNT, "N", "most results", "MAX_RESULTS", "5", 1, 1000000},
    {"in", 0, SX_CLI_TEXT, "FILE", "search this file of vectors, not a collection (JSON or a NumPy folder, see docs/files.md)", NULL, NULL,
     0, 0, true},
    {"store", 0, SX_CLI_TEXT, "URL|NAME", "search the collection in a vector database (see docs/vector-databases.md)", NULL, NULL},
    OPTIONS_SEARCH,
    OPTIONS_FALLBACK,
    OPTIONS_REMOTE,
    OPTIONS_COST,
    {NULL},
};

const sx_cli_option sx_cli_mcp_options[] = {
    OPTIONS_REMOTE,
    OPTIONS_COST,
    {NULL},
};

const sx_cli_option sx_cli_ask_options[] = {
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

const sx_cli_option sx_cli_embed_options[] = {
    {"input", 'i', SX_CLI_TEXT, "FILE", "read texts from a file, or several (-i A -i B); - is standard input; .gz and .zst are read too",
     NULL, NULL, 0, 0, true},
    {"input-format", 0, SX_CLI_CHOICE, "lines|jsonl|json|csv|tsv", "how to read it (default: by the file's name, else lines)", NULL,
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

const sx_cli_option sx_cli_spaces_options[] = {
    OPTION_DIMENSIONS,
    OPTIONS_REMOTE,
    OPTION_BUDGET,
    OPTIONS_COST,
    {NULL},
};

const sx_cli_option sx_cli_doctor_options[] = {
    OPTIONS_REMOTE,
    {NULL},
};

const sx_cli_option sx_cli_batch_options[] = {
    OPTIONS_REMOTE,
    {NULL},
};

const sx_cli_option sx_cli_cost_options[] = {
    {"by", 0, SX_CLI_CHOICE, "day|month|job|collection|model", "one line for each of these", NULL, "month"},
    {"since", 0, SX_CLI_TEXT, "DATE", "from this day, month or year on (2026-11-21, 2026-11, 2026; UTC)", NULL, NULL},
    {"until", 0, SX_CLI_TEXT, "DATE", "up to it, itself included", NULL, NULL},
    {NULL},
};

const sx_cli_option sx_cli_migrate_options[] = {
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
const sx_cli_option sx_cli_compare_options[] = {
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

const sx_cli_option sx_cli_eval_options[] = {
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

const sx_cli_option sx_cli_rerank_options[] = {
    OPTION_INPUT,
    {"input-format", 0, SX_CLI_CHOICE, "lines|jsonl|json|csv|tsv", "how to read it (default: by the file's name, else lines)", NULL,
     NULL},
    {"text-column", 0, SX_CLI_TEXT, "NAME", "column or member that holds the text", NULL, "text"},
    {"id-column", 0, SX_CLI_TEXT, "NAME", "column or member that holds the id", NULL, "id"},
    {"count", 'n', SX_CLI_COUNT, "N", "most results (default: all)", NULL, NULL, 1, 1 << 30},
    {"max-length", 0, SX_CLI_COUNT, "N", "most tokens of query and text together (default: the model's)", NULL, NULL, 1, 1 << 20},
    {NULL},
};

const sx_cli_option sx_cli_chunk_options[] = {
    OPTION_CHUNK, OPTION_CHUNK_SIZE, OPTION_OVERLAP,
    OPTION_UNIT,  OPTION_NO_HEADER,  OPTION_HEADER, {"role", 0, SX_CLI_TEXT, "ROLE", "whose prompt is counted", NULL, "document"},
    OPTIONS_REMOTE,
    {NULL},
};

const sx_cli_option sx_cli_tokenize_options[] = {
    OPTION_INPUT,
    {"input-format", 0, SX_CLI_CHOICE, "text|lines|jsonl|json|csv|tsv", "how to read it (default: by the file's name, else text)",
     NULL, NULL},
    {"text-column", 0, SX_CLI_TEXT, "NAME", "column or member that holds the text", NULL, "text"},
    {"id-column", 0, SX_CLI_TEXT, "NAME", "column or member that holds the id", NULL, "id"},
    {"no-special", 0, SX_CLI_FLAG, NULL, "without [CLS], [SEP] and the like", NULL, NULL},
    {"max-length", 0, SX_CLI_COUNT, "N", "most tokens (default: no limit)", NULL, NULL, 1, 1 << 30},
    {NULL},
};

const sx_cli_option sx_cli_bench_options[] = {
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

const sx_cli_option sx_cli_serve_options[] = {
    {.name = "model", .letter = 'm', .kind = SX_CLI_TEXT, .value = "MODEL",
     .help = "a model to serve, as everywhere or NAME=MODEL; repeatable, the first answers requests that name none",
     .setting = "EMBEDDING_MODEL", .initial = "minilm", .repeatable = true},
    {"host", 0, SX_CLI_TEXT, "ADDRESS", "where to listen", NULL, "127.0.0.1"},
    {"port", 0, SX_CLI_COUNT, "N", "0: any that is free", NULL, "7460", 0, 65535},
    {"uds-path", 0, SX_CLI_TEXT, "PATH", "listen at a Unix socket (only there, unless --host or --port is given)", NULL, NULL},
    {"api-key-file", 0, SX_CLI_TEXT, "FILE", "ask for API keys, whose hashes it holds; SIGHUP reads it again", NULL, NULL},
    {"allow-unauthenticated", 0, SX_CLI_FLAG, NULL, "listen beyond this machine without API keys", NULL, NULL},
    {"cors-allow-origin", 0, SX_CLI_TEXT, "ORIGIN", "let web pages of this origin send requests; * lets all", NULL, NULL, 0, 0, true},
    {"max-batch-tokens", 0, SX_CLI_COUNT, "N", "tokens of one pass through the model (default: 512 a thread, at least 1024)", NULL,
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

const sx_cli_option sx_cli_copy_options[] = {
    {"from", 0, SX_CLI_TEXT, "URL", "the vector database it is in", NULL, NULL},
    OPTIONS_TARGET,
    {NULL},
};

const sx_cli_option sx_cli_export_options[] = {
    {"format", 0, SX_CLI_CHOICE, "jsonl|json|npy|arrow", "one chunk a line, one document, a folder with embeddings.npy, or an Arrow file",
     NULL, "jsonl"},
    OPTION_OUTPUT("file (npy: folder) to write, .gz and .zst compressed; - is standard output (jsonl)"),
    OPTIONS_TARGET,
    {NULL},
};

const sx_cli_option sx_cli_import_options[] = {
    OPTION_INPUT,
    {"from", 0, SX_CLI_TEXT, "URL", "from a vector database instead of a file", NULL, NULL},
    {"as", 0, SX_CLI_TEXT, "NAME", "its name in the vector database (default: the same)", NULL, NULL},
    {NULL},
};

const sx_cli_option sx_cli_compress_options[] = {
    {"to", 0, SX_CLI_TEXT, "FORM", "f16, int8, binary, pca:N or dims:N", NULL, NULL},
    {"undo", 0, SX_CLI_FLAG, NULL, "search by the vectors themselves again", NULL, NULL},
    {"drop-f32", 0, SX_CLI_FLAG, NULL, "keep only the compressed vectors, for good", NULL, NULL},
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

const sx_cli_option sx_cli_duplicates_options[] = {
    {"threshold", 0, SX_CLI_NUMBER, "X", "least similarity (cosine) of two passages that are alike", NULL, "0.95"},
    {"with", 0, SX_CLI_TEXT, "NAME", "another collection of the same model to look at too", NULL, NULL, 0, 0, true},
    {"filter", 0, SX_CLI_TEXT, "EXPR", "only documents for which this holds", NULL, NULL, 0, 0, true},
    {"count", 'n', SX_CLI_COUNT, "N", "groups to show of passages, and of documents", NULL, "20", 1, 1000000},
    {NULL},
};

const sx_cli_option sx_cli_clusters_options[] = {
    {"count", 'n', SX_CLI_COUNT, "N", "how many clusters (default: chosen)", NULL, NULL, 1, 256},
    {"typical", 0, SX_CLI_COUNT, "N", "typical passages to show of each", NULL, "3", 1, 1000},
    {"outliers", 0, SX_CLI_COUNT, "N", "passages to show that are like no other", NULL, "5", 1, 1000},
    {"filter", 0, SX_CLI_TEXT, "EXPR", "only documents for which this holds", NULL, NULL, 0, 0, true},
    {NULL},
};

const sx_cli_option sx_cli_classify_options[] = {
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

const sx_cli_option sx_cli_map_options[] = {
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

const sx_cli_option sx_cli_delete_options[] = {
    {"yes", 'y', SX_CLI_FLAG, NULL, "do not ask", NULL, NULL},
    {NULL},
};

const sx_cli_option sx_cli_restore_options[] = {
    {"force", 0, SX_CLI_FLAG, NULL, "replace a database that is there", NULL, NULL},
    {NULL},
};

const sx_cli_option sx_cli_cache_stats_options[] = {
    OPTION_SHARED_URL,
    {NULL},
};
const sx_cli_option sx_cli_prune_options[] = {
    {"max-size", 0, SX_CLI_SIZE, "SIZE", "keep at most this much of what no collection uses", NULL, "1GiB"},
    {NULL},
};

const sx_cli_option sx_cli_cache_export_options[] = {
    OPTION_OUTPUT("file to write; - is standard output"),
    {NULL},
};

const sx_cli_option sx_cli_model_list_options[] = {
    {"known", 0, SX_CLI_FLAG, NULL, "the models known by name instead, wherever they are", NULL, NULL},
    {NULL},
};

const sx_cli_option sx_cli_pull_options[] = {
    {"revision", 0, SX_CLI_TEXT, "REV", "branch, tag or commit", NULL, NULL},
    {.name = "file", .kind = SX_CLI_TEXT, .value = "PATTERN", .help = "fetch these files instead of what a model needs",
     .repeatable = true},
    {NULL},
};

const sx_cli_option sx_cli_model_import_options[] = {
    {"name", 0, SX_CLI_TEXT, "NAME", "name to give it (default: the folder's)", NULL, NULL},
    {"sha256", 0, SX_CLI_TEXT, "HEX", "refuse weights with another SHA-256", NULL, NULL},
    {NULL},
};

const sx_cli_option sx_cli_verify_options[] = {
    {"vectors", 0, SX_CLI_TEXT, "FILE.npy", "reference vectors, float32 (n, d)", NULL, NULL},
    {"texts", 0, SX_CLI_TEXT, "FILE.jsonl", "their texts, in the same order; token ids beside them are compared too", NULL, NULL},
    {"role", 0, SX_CLI_TEXT, "ROLE", "query, document, none or a prompt of the model: which prompt was put before", NULL, "none"},
    {"tolerance", 0, SX_CLI_NUMBER, "X", "largest difference allowed", NULL, "1e-5"},
    {NULL},
};
