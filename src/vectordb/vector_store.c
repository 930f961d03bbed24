/* vector_store.c - which class of store a URL means, from one table, and the little that all classes share. */
#include "vector_store_internal.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *scheme;
    const sx_vector_store_class *class;
} schemes[] = {
    {"postgresql", &sx_vector_pgvector},
    {"postgres", &sx_vector_pgvector},
    {"chroma", &sx_vector_chroma},
    {"chromas", &sx_vector_chroma},
    {"qdrant", &sx_vector_qdrant},
    {"qdrants", &sx_vector_qdrant},
    {"weaviate", &sx_vector_weaviate},
    {"weaviates", &sx_vector_weaviate},
    {"milvus", &sx_vector_milvus},
    {"milvuss", &sx_vector_milvus},
    {"pinecone", &sx_vector_pinecone},
    {"pinecones", &sx_vector_pinecone},
};

static sx_status fail_unknown(const char *scheme, size_t length, sx_error *error)
{
    char names[256];
    size_t used = 0;
    names[0] = '\0';
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s://", used ? ", " : "", schemes[i].scheme);
    sx_fail(error, SX_E_UNSUPPORTED, "vector store: there is none with the scheme %.*s://", (int)(length > 40 ? 40 : length),
            scheme);
    sx_hint(error, "there are %s", names);
    return SX_E_UNSUPPORTED;
}

sx_status sx_vector_store_open(const char *url, const sx_vector_store_options *options, sx_vector_store **out, sx_error *error)
{
    if (!out)
        return sx_fail(error, SX_E_INVALID, "sx_vector_store_open: out is NULL");
    *out = NULL;
    const char *end = url ? strstr(url, "://") : NULL;
    if (!end || end == url) {
        /* Nothing of it is shown: it may hold a password. */
        sx_fail(error, SX_E_INVALID, "vector store: the URL has no scheme");
        sx_hint(error, "it is written like postgresql://USER@HOST/DATABASE");
        return SX_E_INVALID;
    }
    size_t length = (size_t)(end - url);
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strlen(schemes[i].scheme) == length && strncasecmp(schemes[i].scheme, url, length) == 0)
            return schemes[i].class->open(url, options, out, error);
    return fail_unknown(url, length, error);
}

void sx_vector_store_close(sx_vector_store *store)
{
    if (store)
        store->class->close(store);
}

void sx_vector_hits_free(sx_vector_hit *hits, size_t count)
{
    for (size_t i = 0; hits && i < count; i++) {
        free(hits[i].id);
        free(hits[i].document);
        free(hits[i].metadata);
        free(hits[i].text);
    }
    free(hits);
}

sx_status sx_vector_url_shown(const char *url, char **shown, sx_error *error)
{
    const char *start = strstr(url, "://"), *host = start ? strrchr(start, '@') : NULL;
    *shown = NULL;
    if (!start)
        return sx_fail(error, SX_E_INVALID, "vector store: the URL has no scheme");
    host = host ? host + 1 : start + 3;
    if (asprintf(shown, "%.*s://%.*s", (int)(start - url), url, (int)strcspn(host, "?#"), host) < 0) {
        *shown = NULL;
        return sx_fail_nomem(error, strlen(url));
    }
    return SX_OK;
}

const char *sx_vector_similarity(const sx_vector_space *space)
{
    return space->similarity ? space->similarity : "cosine";
}
