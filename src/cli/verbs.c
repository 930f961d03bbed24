/* verbs.c - every verb of the program. Parsing, help, man pages and completions are all made from this table and the options of
 * verb_options.c. */
#include "verb_options.h"

#include <stdio.h>
#include <string.h>

const sx_cli_verb sx_cli_verbs[] = {
    {"index", "read, cut, embed and store documents", "PATH...", 1, SIZE_MAX, sx_cli_index_options, true,
     "Reads files and folders and keeps the collection in step with them: what is new or changed is embedded, what is gone "
     "from the folders given is taken out, the rest is left alone. A folder or file that does not exist is an error and never "
     "removes anything.\n\n"
     "Work is saved as it goes. After an interruption the same command goes on where it was. A collection keeps the model it "
     "was made with; giving another one with -m is an error.",
     "sextant index docs -c handbook --exclude '*.html'", "34i", sx_cli_index},
    {"search", "find the passages nearest to a query", "QUERY", 1, SIZE_MAX, sx_cli_search_options, true,
     "Finds passages by meaning and by words, and prints the best first. The collection's own model is used; --mode keyword needs none. "
     "Several words need no quotes. Equal passages are shown once; -v says why each is there.\n\n"
     "Filters look at metadata, document, root and date: language=python and year>=2020, document^=src/, document~*.md, "
     "lang in (de, fr), not team=search. Several --filter must all hold.",
     "sextant search -c handbook -n 3 'how do I reset my password'", "i", sx_cli_search},
    {"similar", "find passages like one that is indexed", "FILE[:LINE]", 1, 1, sx_cli_similar_options, true,
     "Finds passages like the one that covers a line of an indexed file, or like a whole file, and leaves that out itself. What is stored "
     "is compared, so no model is loaded. With - in place of a file the text comes from standard input and is embedded.",
     "sextant similar src/parse.c:120 -n 3", "i", sx_cli_similar},
    {"ask", "answer a question from the passages found", "QUESTION", 1, SIZE_MAX, sx_cli_ask_options, true,
     "Finds passages as search does, puts them into a prompt as numbered sources, and streams the answer of a chat model: OpenAI's, or any "
     "server with POST /chat/completions. Citations like [Source 2] are checked: one of a source that does not exist is reported. The "
     "sources are listed below the answer.\n\n"
     "Without a chat model (--llm, LLM_MODEL) the prompt is printed. Without passages no model is asked. Passages with keys or passwords "
     "in them are held back, unless --allow-secrets.",
     "sextant ask -c handbook --llm gpt-4o-mini 'how do I reset my password'", "i", sx_cli_ask},
    {"remove", "take documents out of a collection", "PATH...", 1, SIZE_MAX, sx_cli_no_options, false,
     "Takes the documents at and below the paths out of the collection. The files themselves are not touched, and need not "
     "exist any more. Vectors stay in the cache until it is pruned.",
     "sextant remove docs/old -c handbook", "", sx_cli_remove},
    {"embed", "turn texts into vectors", "[TEXT...]", 0, SIZE_MAX, sx_cli_embed_options, true,
     "Embeds the texts given, or those of a file, in order. Every text gets a receipt: tokens, whether it was cut and by how "
     "much, whether the vector came from the cache. A text that fails is named and does not stop the others.\n\n"
     "Formats: json, one object; jsonl, one object a line; npy, a float32 array with ids and receipts beside it in FILE.json; "
     "bin, the same rows without a header; base64, as json with each vector as base64 of little-endian float32; chunks, the "
     "input objects with an embedding added to each.\n\n"
     "Models like bge-m3 also give a weight for each token id (sparse) and a vector for each token (multi); --outputs asks for "
     "them, in json and jsonl.",
     "sextant embed 'the boats came in' --json", "34i", sx_cli_embed},
    {"rerank", "put texts in order for a query", "QUERY [TEXT...]", 1, SIZE_MAX, sx_cli_rerank_options, true,
     "Scores each text, given as an argument or read from a file, against the query with a cross-encoder (-m), and prints them "
     "best first. raw_score is what the model gives, score the same behind the activation it is published with. A text that "
     "fails is named and does not stop the others.",
     "sextant rerank 'when do the boats come in' -m cross-encoder/ms-marco-MiniLM-L6-v2 -i texts.txt -n 3", "3i", sx_cli_rerank},
    {"chunk", "show how a file would be cut", "FILE", 1, 1, sx_cli_chunk_options, true,
     "Reads a file as index would and prints the chunks. Offsets are bytes of the document's text, which --json gives as "
     "`text`: the file itself when it is plain UTF-8, Markdown or reStructuredText, else what was extracted from it.",
     "sextant chunk README.md --chunk-size 128 --json", "", sx_cli_chunk},
    {"tokenize", "show a text's tokens", "[TEXT...]", 0, SIZE_MAX, sx_cli_tokenize_options, true,
     "Prints token ids, pieces and byte offsets. No weights are loaded.", "sextant tokenize 'unbelievable' --json", "3",
     sx_cli_tokenize},
    {"status", "what is there, done, pending and failed", "", 0, 0, sx_cli_no_options, false,
     "Lists the collections with their models and counts, and the cache.", "sextant status", "", sx_cli_status},
    {"collections list", "list collections", "", 0, 0, sx_cli_no_options, false, "Lists the collections of the database.",
     "sextant collections list --json", "", sx_cli_collections_list},
    {"collections info", "show one collection", "NAME", 1, 1, sx_cli_no_options, false,
     "Shows a collection's model, space, recipe and counts.", "sextant collections info handbook", "", sx_cli_collections_info},
    {"collections rename", "give a collection another name", "NAME NEW-NAME", 2, 2, sx_cli_no_options, false,
     "Renames a collection; nothing else changes.", "sextant collections rename handbook manual", "", sx_cli_collections_rename},
    {"collections delete", "delete a collection", "NAME", 1, 1, sx_cli_delete_options, false,
     "Deletes a collection. On a terminal it asks first. The vectors stay in the cache until it is pruned.",
     "sextant collections delete handbook --yes", "", sx_cli_collections_delete},
    {"collections export", "write a collection to a file", "NAME", 1, 1, sx_cli_export_options, false,
     "Writes documents, chunks and vectors in a stable order, without times of the run. With --to they go into a vector database instead of "
     "a file; said again after an interruption it goes on, and doubles nothing.",
     "sextant collections export handbook --format jsonl -o handbook.jsonl", "i", sx_cli_collections_export},
    {"collections copy", "copy a collection between vector databases", "NAME", 1, 1, sx_cli_copy_options, false,
     "Copies all records, whoever wrote them, with their ids, from one vector database into another, and compares the counts. Said again "
     "after an interruption it goes on, and doubles nothing.",
     "sextant collections copy handbook --from chroma://localhost:8000 --to postgresql://me@localhost/vectors", "i", sx_cli_collections_copy},
    {"collections import", "make a collection of a file of vectors", "NAME [FILE...]", 1, SIZE_MAX, sx_cli_import_options, false,
     "Takes back what export wrote, and takes in what other programs wrote: a JSON document with an array `embeddings`, a JSON array or "
     "JSON lines of chunks with an embedding each, a folder with embeddings.npy, metadata.json and model_info.json, or an Arrow file "
     "(Feather); several files make one collection. All but Arrow may be compressed (.gz, .zst). The collection must not exist.\n\n"
     "Some texts of files that others wrote are embedded again with the model the file names, or with that of -m: vectors of another model "
     "are refused.\n\n"
     "With --from it takes back what export --to wrote into a vector database.",
     "sextant collections import handbook handbook.jsonl", "i", sx_cli_collections_import},
    {"backup", "a consistent copy of the database", "FILE", 1, 1, sx_cli_no_options, false,
     "Copies the database while others work. The file must not exist. A plain copy of a database in use is not safe.",
     "sextant backup sextant-backup.db", "", sx_cli_backup},
    {"restore", "make a backup the database", "FILE", 1, 1, sx_cli_restore_options, false,
     "Checks the backup and puts it in the database's place. A database that is there is replaced only with --force.",
     "sextant restore sextant-backup.db --force", "", sx_cli_restore},
    {"serve", "answer embedding requests over HTTP", "", 0, 0, sx_cli_serve_options, true,
     "Serves models to the clients of OpenAI, text-embeddings-inference, Ollama and Cohere, without a change in them: docs/serving.md "
     "lists the routes. A lone request is answered at once by all cores; under load, texts of many clients go through the model "
     "together. Vectors are the same as `sextant embed` gives.\n\n"
     "It listens on this machine only, unless --host says otherwise, which needs API keys. SIGTERM finishes what is in hand and ends.",
     "sextant serve -m minilm --port 7460", "", sx_cli_serve},
    {"mcp", "let coding assistants search (Model Context Protocol)", "", 0, 0, sx_cli_mcp_options, true,
     "Speaks the Model Context Protocol on standard input and output, for assistants that start it themselves: docs/assistants.md shows how. "
     "They get four tools: search, similar, passage (read more around a result) and collections. -c names the collection that is searched "
     "when the assistant names none. Only what was indexed is ever read; files are not, and nothing is changed.",
     "sextant mcp -c project", "i", sx_cli_mcp},
    {"migrate", "move a collection to another model", "", 0, 0, sx_cli_migrate_options, true,
     "Embeds the collection's chunks with another model, from the texts that are stored, while searches go on with the old one. Then "
     "compares how both answer (overlap of the first hits, rank correlation), and puts the new side in the place of the old in one step. "
     "The old side is kept until --drop-old; --rollback goes back to it as it was. What was indexed after the move is in the new side only."
     "\n\n"
     "After an interruption the same command goes on where it was. `sextant status` says how far it is. Nobody indexes into the collection "
     "meanwhile. Chunks that the new model cannot take whole are cut into several.\n\n"
     "With --input-file and --output-file it reads a JSON array of chunks and writes the same with the vectors of -m.",
     "sextant migrate -c handbook --to bge-small", "34i", sx_cli_migrate},
    {"compress", "search a collection by smaller vectors", "", 0, 0, sx_cli_compress_options, true,
     "Measures what searches lose when they scan compressed vectors instead of the vectors themselves, and, when that is wanted, makes them do "
     "so: on a terminal it asks. The best by compressed vectors are scored again with the vectors, which stay in the database; --undo goes "
     "back at once.\n\n"
     "f16: halves. int8: a byte each, a scale for each vector. binary: a bit each. pca:N: the N principal components of the collection. dims:N: "
     "the first N dimensions, for models trained for that (Matryoshka).\n\n"
     "Recall@K is the share of the exact first K that a search finds, over chunks of the collection or the queries of a file. With --eval, a "
     "folder in BEIR's layout, nDCG@10 before and after is measured on it.\n\n"
     "--drop-f32 keeps nothing but the compressed vectors of a collection that is compressed, for good: it says what is gained and lost, and "
     "asks, or wants --yes. Vectors that other collections use too stay.",
     "sextant compress -c handbook --to int8", "4i", sx_cli_compress},
    {"duplicates", "passages and documents that are there more than once", "", 0, 0, sx_cli_duplicates_options, false,
     "Finds passages with the same text, and passages that say the same in nearly the same words: joined by pairs whose vectors are as similar "
     "as --threshold. Then documents that are equal or alike, compared by the mean of their passages, with the share of passages that each "
     "has in common with the others. Equal ones come first. Every pair is looked at. Nothing is changed.",
     "sextant duplicates -c handbook --threshold 0.97", "i", sx_cli_duplicates},
    {"clusters", "what a collection is about", "", 0, 0, sx_cli_clusters_options, false,
     "Groups the passages by what they are about (spherical k-means), names each group by the words that it has and the others have not, and "
     "shows its most typical passages, of different documents where it can; then the passages that are like no other.",
     "sextant clusters -c handbook --count 12", "i", sx_cli_clusters},
    {"classify", "labels of texts, by examples", "", 0, 0, sx_cli_classify_options, true,
     "Gives each text of -i the label that its nearest examples vote for, each by its similarity. Examples are a file of texts with labels, or "
     "the documents of a collection that have the metadata key. A line has the label, its share of the votes, the similarity to the nearest "
     "example of it and the text.\n\n"
     "Says how many of the examples get their own label from the others, passages of the same document left out; without -i that is all.",
     "sextant classify -i mails.txt --examples labelled.csv --threshold 0.4", "4i", sx_cli_classify},
    {"map", "a picture of a collection", "", 0, 0, sx_cli_map_options, false,
     "Draws each passage as a point, so that passages about one thing lie together, coloured by cluster or by metadata; clusters are named by "
     "the words that tell them apart. The HTML page is to explore: point at a passage to read it, find words, zoom, hide groups; it is one "
     "file and fetches nothing.\n\n"
     "The same collection gives the same picture. docs/pictures.md says how it is made and how far to trust it.",
     "sextant map -c handbook -o handbook.html", "i", sx_cli_map},
    {"compare", "two models side by side", "MODEL MODEL", 2, 2, sx_cli_compare_options, true,
     "Embeds the same queries with both models, twenty of its own (half code, half concepts) or those of -i, and shows dimensions, "
     "tokens, time, cost; how similar queries of one kind are among each other and to the other kind (a good model keeps kinds apart); "
     "and whether both models find the same: overlap of the nearest texts, and rank correlation of all similarities.",
     "sextant compare minilm bge-small -i queries.txt -c handbook", "4i", sx_cli_compare},
    {"eval", "how well a model does on judged data", "", 0, 0, sx_cli_eval_options, true,
     "With a folder in BEIR's layout (corpus.jsonl, queries.jsonl, qrels/test.tsv): nDCG@10, recall@10 and @100, MRR@10, hit@1 and @3, by "
     "exact search. With sentence pairs (score, tab, text, tab, text): Spearman's rank correlation. Vectors come from the cache and go "
     "there, so a second run takes no time.\n\n"
     "With -c NAME the queries are asked of that collection as search does, chunks, words, re-ranking and all; corpus.jsonl is not "
     "needed. Judgements name documents by the id in their metadata, by path, or by the file's name without its ending.",
     "sextant eval --data scifact -m minilm", "4i", sx_cli_eval},
    {"cost", "what embedding has cost", "", 0, 0, sx_cli_cost_options, false,
     "Sums what was sent through models, by the services' own counts: requests, texts, tokens, dollars. Local models cost "
     "nothing. A model whose price is not known says so, and is in no sum of dollars. With -c only that collection counts.",
     "sextant cost --by day --since 2026-11", "", sx_cli_cost},
    {"batch list", "jobs of the Batch API", "", 0, 0, sx_cli_no_options, false,
     "Lists the jobs that --batch-api made: how far each is, what is stored and failed, and what it cost.",
     "sextant batch list", "", sx_cli_batch_list},
    {"batch status", "show one job", "ID", 1, 1, sx_cli_no_options, false, "Shows one job as the database knows it.",
     "sextant batch status 1", "", sx_cli_batch_list},
    {"batch resume", "wait for jobs and store what comes", "[ID]", 0, 1, sx_cli_batch_options, true,
     "Goes on with a job, or with all, where it was left: sends what was not sent, waits, and stores the vectors in the cache. What the "
     "service was asked for already is found again and not paid for twice.",
     "sextant batch resume", "3i", sx_cli_batch_resume},
    {"batch cancel", "end a job", "ID", 1, 1, sx_cli_batch_options, true,
     "Asks the service to end a job. What is done by then is paid for, and batch resume stores it. A job that was not sent yet is "
     "dropped.",
     "sextant batch cancel 1", "", sx_cli_batch_cancel},
    {"spaces prove", "show that two sources give the same vectors", "MODEL MODEL", 2, 2, sx_cli_spaces_options, true,
     "Embeds twenty texts (languages, code, lengths) with both models, as documents, as queries and without a role, and compares. When "
     "every pair agrees (cosine at least 0.999, no component farther apart than 0.02) this is recorded with date, figures and both "
     "recipes: from then on either may be the other's --fallback, and a search may use either for a collection of the other.",
     "sextant spaces prove openai:text-embedding-3-small azure:my-deployment", "4", sx_cli_spaces_prove},
    {"spaces list", "what was proven", "", 0, 0, sx_cli_no_options, false, "Lists the pairs of models that were proven, with date and figures.",
     "sextant spaces list", "", sx_cli_spaces_list},
    {"spaces forget", "take a proof back", "MODEL MODEL", 2, 2, sx_cli_no_options, false,
     "Takes out what was proven of two models, and says how many chunks of one's collections the other has made: they stay until "
     "`sextant index --force` makes them anew.",
     "sextant spaces forget openai:text-embedding-3-small azure:my-deployment", "", sx_cli_spaces_forget},
    {"cache stats", "entries, size and hit rate of the cache", "", 0, 0, sx_cli_cache_stats_options, false,
     "Shows how many vectors are kept, how much space they take, and how often they were found. With a shared cache its server is "
     "asked what it holds.", "sextant cache stats", "",
     sx_cli_cache_stats},
    {"cache prune", "make the cache smaller", "", 0, 0, sx_cli_prune_options, false,
     "Takes out vectors that no collection uses, least recently used first, until at most SIZE is left.",
     "sextant cache prune --max-size 200MB", "", sx_cli_cache_prune},
    {"cache clear", "empty the cache", "", 0, 0, sx_cli_no_options, false, "Takes out every vector that no collection uses.",
     "sextant cache clear", "", sx_cli_cache_clear},
    {"cache export", "write the cached vectors to a file", "", 0, 0, sx_cli_cache_export_options, false,
     "Writes one JSON object a line: recipe, hash of the text, vector.", "sextant cache export -o vectors.jsonl", "",
     sx_cli_cache_export},
    {"cache import", "take cached vectors from a file", "[FILE]", 0, 1, sx_cli_import_options, false, "Takes back what export wrote.",
     "sextant cache import vectors.jsonl", "", sx_cli_cache_import},
    {"models list", "list the models on this machine", "", 0, 0, sx_cli_model_list_options, false,
     "Lists imported models and those in the Hugging Face cache.", "sextant models list", "", sx_cli_models_list},
    {"models pull", "fetch a model from the hub", "MODEL", 1, 1, sx_cli_pull_options, false,
     "Fetches a known model by alias, or org/name[@revision], from huggingface.co (HF_ENDPOINT) into the cache that Python's tools use too, "
     "and prints its folder. Goes on where an earlier pull stopped, compares every file with the hub's size and hash, and shows a model "
     "only when it is whole. HF_TOKEN opens private and gated models.",
     "sextant models pull bge-small", "i", sx_cli_models_pull},
    {"models info", "show one model", "[MODEL]", 0, 1, sx_cli_no_options, true,
     "Opens the model and shows its folder, family, dimensions, limits, the SHA-256 of its weights, and the prompts that are put before "
     "queries and documents: the model's own, or, where a known model's files have none, those its authors recommend.",
     "sextant models info minilm", "", sx_cli_models_info},
    {"models import", "copy a model folder or .gguf file in under a name", "FOLDER|FILE.gguf", 1, 1, sx_cli_model_import_options, false,
     "Opens the model once, compares its weights if --sha256 is given, and copies what is needed.",
     "sextant models import all-MiniLM-L6-v2 --name minilm", "", sx_cli_models_import},
    {"models verify", "compare a model with reference vectors", "[MODEL]", 0, 1, sx_cli_verify_options, true,
     "Computes the SHA-256 of the weights again and compares it with the one recorded at import. With --vectors and --texts, "
     "embeds the texts and prints the largest absolute difference and the smallest cosine; more than the tolerance is a failure. "
     "Records of --texts that have an array `ids` are compared with the token ids the model is fed, special tokens included, and "
     "the first that differ are shown; these need no --vectors. Of a cross-encoder, records hold a query and a text, and the "
     "vectors are its logits or its scores, one row a pair.",
     "sextant models verify -m minilm --vectors vectors.npy --texts texts.jsonl", "", sx_cli_models_verify},
    {"models remove", "remove an imported model", "NAME", 1, 1, sx_cli_no_options, false,
     "Removes a model's folder. Collections made with it stay, but need it to be searched. Models in the Hugging Face cache are "
     "shared with Python's tools and are removed there.", "sextant models remove minilm", "",
     sx_cli_models_remove},
    {"doctor", "say what is wrong on this machine", "", 0, 0, sx_cli_doctor_options, true,
     "Checks processor, memory, model, database and disk space, and says what to do about what it finds. Of a remote model it looks for "
     "the key, and sends one short text.",
     "sextant doctor", "", sx_cli_doctor},
    {"bench", "measure speed on this machine", "[KERNEL]", 0, 1, sx_cli_bench_options, true,
     "Measures how fast a model embeds texts of several lengths, one in a call and many, with one core and with all; the tokenizer; and "
     "exact search; each beside the most that this processor and its memory give, measured in the same run. Other programs that run "
     "meanwhile make every figure worse.\n\n"
     "With --stdio it measures nothing by itself but answers requests on standard input, one JSON object a line: embed, vectors and "
     "tokenize.",
     "sextant bench --seconds 5", "", sx_cli_bench},
    {"help", "help for a verb", "[VERB...]", 0, 2, sx_cli_no_options, false, "The same as VERB --help.", "sextant help search", "",
     sx_cli_help},
    {"version", "print the version", "", 0, 0, sx_cli_no_options, false, "Prints the program's version.", "sextant version", "",
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
