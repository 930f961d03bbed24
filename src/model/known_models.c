/* known_models.c - the table of models known by name: what their authors publish about them, on their cards and in their configurations.
 *
 * What a model's own files say always rules. Only where they name no prompt at all do the prompts here serve the roles query and
 * document (recommended_prompts.c); nothing else in this table decides what a vector is.
 */
#include "registry.h"

#include <string.h>

#define BGE_QUERY "Represent this sentence for searching relevant passages: "
#define E5_QUERY "query: "
#define E5_PASSAGE "passage: "
#define NOMIC_QUERY "search_query: "
#define NOMIC_PASSAGE "search_document: "
#define QWEN_QUERY "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
#define INSTRUCT_QUERY "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "
#define ST "sentence-transformers/"

/* alias, name, hub, licence, kind, family, pooling, query prompt, passage prompt, dimensions, tokens, millions of parameters */
static const sx_known_model known_models[] = {
    {"minilm", "all-MiniLM-L6-v2", ST "all-MiniLM-L6-v2", "Apache-2.0", "embedder", "bert", "mean", "", "", 384, 256, 22.7f},
    {"minilm-l12", "all-MiniLM-L12-v2", ST "all-MiniLM-L12-v2", "Apache-2.0", "embedder", "bert", "mean", "", "", 384, 128, 33.4f},
    {"mpnet", "all-mpnet-base-v2", ST "all-mpnet-base-v2", "Apache-2.0", "embedder", "mpnet", "mean", "", "", 768, 384, 109.5f},
    {"distilroberta", "all-distilroberta-v1", ST "all-distilroberta-v1", "Apache-2.0", "embedder", "roberta", "mean", "", "", 768, 512,
     82.1f},
    {"all-roberta-large", "all-roberta-large-v1", ST "all-roberta-large-v1", "Apache-2.0", "embedder", "roberta", "mean", "", "", 1024,
     256, 355.4f},
    {"multi-qa-minilm", "multi-qa-MiniLM-L6-cos-v1", ST "multi-qa-MiniLM-L6-cos-v1", "", "embedder", "bert", "mean", "", "", 384, 512,
     22.7f},
    {"multi-qa-mpnet", "multi-qa-mpnet-base-dot-v1", ST "multi-qa-mpnet-base-dot-v1", "", "embedder", "mpnet", "cls", "", "", 768, 512,
     109.5f},
    {"multi-qa-distilbert", "multi-qa-distilbert-cos-v1", ST "multi-qa-distilbert-cos-v1", "", "embedder", "distilbert", "mean", "", "",
     768, 512, 66.4f},
    {"msmarco-distilbert", "msmarco-distilbert-base-v4", ST "msmarco-distilbert-base-v4", "Apache-2.0", "embedder", "distilbert", "mean",
     "", "", 768, 512, 66.4f},
    {"paraphrase-minilm", "paraphrase-MiniLM-L6-v2", ST "paraphrase-MiniLM-L6-v2", "Apache-2.0", "embedder", "bert", "mean", "", "", 384,
     128, 22.7f},
    {"paraphrase-albert", "paraphrase-albert-small-v2", ST "paraphrase-albert-small-v2", "Apache-2.0", "embedder", "albert", "mean", "",
     "", 768, 100, 11.7f},
    {"multilingual-minilm", "paraphrase-multilingual-MiniLM-L12-v2", ST "paraphrase-multilingual-MiniLM-L12-v2", "Apache-2.0", "embedder",
     "bert", "mean", "", "", 384, 128, 117.7f},
    {"multilingual-mpnet", "paraphrase-multilingual-mpnet-base-v2", ST "paraphrase-multilingual-mpnet-base-v2", "Apache-2.0", "embedder",
     "xlm-roberta", "mean", "", "", 768, 128, 278.0f},
    {"distiluse", "distiluse-base-multilingual-cased-v2", ST "distiluse-base-multilingual-cased-v2", "Apache-2.0", "embedder",
     "distilbert", "mean", "", "", 512, 128, 135.1f},
    {"labse", "LaBSE", ST "LaBSE", "Apache-2.0", "embedder", "bert", "cls", "", "", 768, 256, 471.5f},
    {"gtr-base", "gtr-t5-base", ST "gtr-t5-base", "Apache-2.0", "embedder", "t5", "mean", "", "", 768, 512, 110.2f},
    {"gtr-large", "gtr-t5-large", ST "gtr-t5-large", "Apache-2.0", "embedder", "t5", "mean", "", "", 768, 512, 335.7f},
    {"sentence-t5", "sentence-t5-base", ST "sentence-t5-base", "Apache-2.0", "embedder", "t5", "mean", "", "", 768, 256, 110.2f},

    {"bge-small", "bge-small-en-v1.5", "BAAI/bge-small-en-v1.5", "MIT", "embedder", "bert", "cls", BGE_QUERY, "", 384, 512, 33.4f},
    {"bge-base", "bge-base-en-v1.5", "BAAI/bge-base-en-v1.5", "MIT", "embedder", "bert", "cls", BGE_QUERY, "", 768, 512, 109.5f},
    {"bge-large", "bge-large-en-v1.5", "BAAI/bge-large-en-v1.5", "MIT", "embedder", "bert", "cls", BGE_QUERY, "", 1024, 512, 335.1f},
    {"bge-m3", "bge-m3", "BAAI/bge-m3", "MIT", "embedder", "xlm-roberta", "cls", "", "", 1024, 8192, 567.8f},
    {NULL, "e5-small-v2", "intfloat/e5-small-v2", "MIT", "embedder", "bert", "mean", E5_QUERY, E5_PASSAGE, 384, 512, 33.4f},
    {NULL, "e5-base-v2", "intfloat/e5-base-v2", "MIT", "embedder", "bert", "mean", E5_QUERY, E5_PASSAGE, 768, 512, 109.5f},
    {NULL, "e5-large-v2", "intfloat/e5-large-v2", "MIT", "embedder", "bert", "mean", E5_QUERY, E5_PASSAGE, 1024, 512, 335.1f},
    {NULL, "multilingual-e5-small", "intfloat/multilingual-e5-small", "MIT", "embedder", "bert", "mean", E5_QUERY, E5_PASSAGE, 384, 512,
     117.7f},
    {NULL, "multilingual-e5-base", "intfloat/multilingual-e5-base", "MIT", "embedder", "xlm-roberta", "mean", E5_QUERY, E5_PASSAGE, 768,
     512, 278.0f},
    {NULL, "multilingual-e5-large", "intfloat/multilingual-e5-large", "MIT", "embedder", "xlm-roberta", "mean", E5_QUERY, E5_PASSAGE,
     1024, 512, 559.9f},
    {NULL, "multilingual-e5-large-instruct", "intfloat/multilingual-e5-large-instruct", "MIT", "embedder", "xlm-roberta", "mean",
     INSTRUCT_QUERY, "", 1024, 512, 559.9f},
    {NULL, "gte-small", "thenlper/gte-small", "MIT", "embedder", "bert", "mean", "", "", 384, 512, 33.4f},
    {NULL, "gte-base", "thenlper/gte-base", "MIT", "embedder", "bert", "mean", "", "", 768, 512, 109.5f},
    {NULL, "gte-large", "thenlper/gte-large", "MIT", "embedder", "bert", "mean", "", "", 1024, 512, 335.1f},
    {"gte-modernbert", "gte-modernbert-base", "Alibaba-NLP/gte-modernbert-base", "Apache-2.0", "embedder", "modernbert", "cls", "", "",
     768, 8192, 149.0f},
    {"modernbert-embed", "modernbert-embed-base", "nomic-ai/modernbert-embed-base", "Apache-2.0", "embedder", "modernbert", "mean",
     NOMIC_QUERY, NOMIC_PASSAGE, 768, 8192, 149.0f},
    {"nomic", "nomic-embed-text-v1.5", "nomic-ai/nomic-embed-text-v1.5", "Apache-2.0", "embedder", "nomic_bert", "mean", NOMIC_QUERY,
     NOMIC_PASSAGE, 768, 8192, 136.7f},
    {NULL, "nomic-embed-text-v1", "nomic-ai/nomic-embed-text-v1", "Apache-2.0", "embedder", "nomic_bert", "mean", NOMIC_QUERY,
     NOMIC_PASSAGE, 768, 8192, 136.7f},
    {"arctic-xs", "snowflake-arctic-embed-xs", "Snowflake/snowflake-arctic-embed-xs", "Apache-2.0", "embedder", "bert", "cls", BGE_QUERY,
     "", 384, 512, 22.6f},
    {"arctic-s", "snowflake-arctic-embed-s", "Snowflake/snowflake-arctic-embed-s", "Apache-2.0", "embedder", "bert", "cls", BGE_QUERY, "",
     384, 512, 33.2f},
    {"arctic-m", "snowflake-arctic-embed-m", "Snowflake/snowflake-arctic-embed-m", "Apache-2.0", "embedder", "bert", "cls", BGE_QUERY, "",
     768, 512, 108.9f},
    {"arctic-l", "snowflake-arctic-embed-l", "Snowflake/snowflake-arctic-embed-l", "Apache-2.0", "embedder", "bert", "cls", BGE_QUERY, "",
     1024, 512, 334.1f},
    {"arctic-l-v2", "snowflake-arctic-embed-l-v2.0", "Snowflake/snowflake-arctic-embed-l-v2.0", "Apache-2.0", "embedder", "xlm-roberta",
     "cls", E5_QUERY, "", 1024, 8192, 567.8f},
    {"mxbai-large", "mxbai-embed-large-v1", "mixedbread-ai/mxbai-embed-large-v1", "Apache-2.0", "embedder", "bert", "cls", BGE_QUERY, "",
     1024, 512, 335.1f},
    {"granite-30m", "granite-embedding-30m-english", "ibm-granite/granite-embedding-30m-english", "Apache-2.0", "embedder", "roberta",
     "cls", "", "", 384, 512, 30.3f},
    {"granite-125m", "granite-embedding-125m-english", "ibm-granite/granite-embedding-125m-english", "Apache-2.0", "embedder", "roberta",
     "cls", "", "", 768, 512, 124.6f},
    {"granite-107m", "granite-embedding-107m-multilingual", "ibm-granite/granite-embedding-107m-multilingual", "Apache-2.0", "embedder",
     "xlm-roberta", "cls", "", "", 384, 512, 107.0f},
    {"granite-278m", "granite-embedding-278m-multilingual", "ibm-granite/granite-embedding-278m-multilingual", "Apache-2.0", "embedder",
     "xlm-roberta", "cls", "", "", 768, 512, 278.0f},
    {"qwen3", "Qwen3-Embedding-0.6B", "Qwen/Qwen3-Embedding-0.6B", "Apache-2.0", "embedder", "qwen3", "lasttoken", QWEN_QUERY, "", 1024,
     32768, 595.8f},
    {"qwen3-4b", "Qwen3-Embedding-4B", "Qwen/Qwen3-Embedding-4B", "Apache-2.0", "embedder", "qwen3", "lasttoken", QWEN_QUERY, "", 2560,
     32768, 4021.8f},
    {"qwen3-8b", "Qwen3-Embedding-8B", "Qwen/Qwen3-Embedding-8B", "Apache-2.0", "embedder", "qwen3", "lasttoken", QWEN_QUERY, "", 4096,
     32768, 7567.3f},
    {"embeddinggemma", "embeddinggemma-300m", "google/embeddinggemma-300m", "Gemma", "embedder", "gemma3_text", "mean",
     "task: search result | query: ", "title: none | text: ", 768, 2048, 302.9f},

    {"codebert", "codebert-base", "microsoft/codebert-base", "", "embedder", "roberta", "mean", "", "", 768, 512, 124.6f},
    {"graphcodebert", "graphcodebert-base", "microsoft/graphcodebert-base", "", "embedder", "roberta", "mean", "", "", 768, 512, 124.6f},
    {"codeberta", "CodeBERTa-small-v1", "huggingface/CodeBERTa-small-v1", "", "embedder", "roberta", "mean", "", "", 768, 512, 83.5f},
    {"st-codesearch", "st-codesearch-distilroberta-base", "flax-sentence-embeddings/st-codesearch-distilroberta-base", "", "embedder",
     "roberta", "mean", "", "", 768, 128, 82.1f},

    {"potion", "potion-base-8M", "minishlab/potion-base-8M", "MIT", "static", "model2vec", "mean", "", "", 256, 512, 7.6f},
    {NULL, "potion-base-2M", "minishlab/potion-base-2M", "MIT", "static", "model2vec", "mean", "", "", 64, 512, 1.9f},
    {NULL, "potion-base-4M", "minishlab/potion-base-4M", "MIT", "static", "model2vec", "mean", "", "", 128, 512, 3.8f},
    {NULL, "potion-base-32M", "minishlab/potion-base-32M", "MIT", "static", "model2vec", "mean", "", "", 512, 512, 32.3f},
    {NULL, "potion-retrieval-32M", "minishlab/potion-retrieval-32M", "MIT", "static", "model2vec", "mean", "", "", 512, 512, 32.3f},

    {"rerank-minilm", "ms-marco-MiniLM-L6-v2", "cross-encoder/ms-marco-MiniLM-L6-v2", "Apache-2.0", "cross-encoder", "bert", "", "", "", 0,
     512, 22.7f},
    {"rerank-minilm-l12", "ms-marco-MiniLM-L12-v2", "cross-encoder/ms-marco-MiniLM-L12-v2", "Apache-2.0", "cross-encoder", "bert", "", "",
     "", 0, 512, 33.4f},
    {"bge-reranker-base", "bge-reranker-base", "BAAI/bge-reranker-base", "MIT", "cross-encoder", "xlm-roberta", "", "", "", 0, 512,
     278.0f},
    {"bge-reranker-large", "bge-reranker-large", "BAAI/bge-reranker-large", "MIT", "cross-encoder", "xlm-roberta", "", "", "", 0, 512,
     559.9f},
    {"bge-reranker-m3", "bge-reranker-v2-m3", "BAAI/bge-reranker-v2-m3", "Apache-2.0", "cross-encoder", "xlm-roberta", "", "", "", 0, 8192,
     567.8f},
};

const sx_known_model *sx_models_known(size_t index)
{
    return index < sizeof known_models / sizeof *known_models ? &known_models[index] : NULL;
}

const sx_known_model *sx_known_model_find(const char *reference)
{
    const sx_known_model *known;
    for (size_t i = 0; (known = sx_models_known(i)); i++)
        if ((known->alias && strcmp(known->alias, reference) == 0) || strcmp(known->name, reference) == 0 ||
            strcmp(known->hub, reference) == 0)
            return known;
    return NULL;
}
