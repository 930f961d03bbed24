/* hnsw_file.c - a graph written to a file and mapped again. A file may be damaged in any way; every number of it is checked before
 * a search follows it: what is small (header, scales, upper levels) at once, a block of lists when a search first comes to it. */
#include "hnsw_internal.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "hnsw_format.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static size_t block_words(const sx_hnsw *graph, size_t block)
{
    size_t first = block * SX_HNSW_BLOCK_NODES, left = graph->places - first;
    return (left < SX_HNSW_BLOCK_NODES ? left : SX_HNSW_BLOCK_NODES) * graph->width;
}

static size_t blocks_of(uint64_t places)
{
    return (places + SX_HNSW_BLOCK_NODES - 1) / SX_HNSW_BLOCK_NODES;
}

/* Where everything lies follows from kind, links, places and upper_words, which must be sane. */
static void lay_out(sx_hnsw_header *header)
{
    uint64_t scales = header->kind == SX_HNSW_CODES ? header->places * sizeof(float) : 0;
    header->scales_offset = sizeof *header;
    header->upper_of_offset = header->scales_offset + scales;
    header->upper_offset = header->upper_of_offset + header->places * sizeof(uint32_t);
    uint64_t end = header->upper_offset + header->upper_words * sizeof(uint32_t);
    header->lists_offset = (end + 63) / 64 * 64;
    header->sums_offset = header->lists_offset + header->places * 2 * header->links * sizeof(uint32_t);
    header->file_bytes = header->sums_offset + blocks_of(header->places) * sizeof(uint64_t);
}

/* ---- Writing ---- */

static sx_status write_body(const sx_hnsw *graph, int descriptor, sx_hnsw_header *header, const char *name, sx_error *error)
{
    static const char zeros[64];
    size_t blocks = blocks_of(graph->places);
    size_t end = header->upper_offset + header->upper_words * sizeof(uint32_t);
    size_t scales_bytes = header->upper_of_offset - header->scales_offset, upper_bytes = header->upper_words * sizeof(uint32_t);
    size_t upper_of_bytes = graph->places * sizeof(uint32_t), padding = header->lists_offset - end;
    uint64_t *sums = sx_calloc(blocks, sizeof *sums);
    XXH3_state_t *state = XXH3_createState();
    sx_status status = SX_OK;
    if (!sums || !state || XXH3_64bits_reset(state) != XXH_OK) {
        status = sx_fail_nomem(error, blocks * sizeof *sums);
        goto out;
    }
    (void)XXH3_64bits_update(state, graph->rows.scales, scales_bytes);
    (void)XXH3_64bits_update(state, graph->upper_of, upper_of_bytes);
    (void)XXH3_64bits_update(state, graph->upper, upper_bytes);
    (void)XXH3_64bits_update(state, zeros, padding);
    header->small_sum = XXH3_64bits_digest(state);
    for (size_t i = 0; i < blocks; i++)
        sums[i] = XXH3_64bits(graph->lists + i * SX_HNSW_BLOCK_NODES * graph->width, block_words(graph, i) * sizeof(uint32_t));
    header->sums_sum = XXH3_64bits(sums, blocks * sizeof *sums);
    header->header_sum = XXH3_64bits(header, offsetof(sx_hnsw_header, header_sum));
    if ((status = sx_write_all(descriptor, header, sizeof *header, name, error)) ||
        (status = sx_write_all(descriptor, graph->rows.scales, scales_bytes, name, error)) ||
        (status = sx_write_all(descriptor, graph->upper_of, upper_of_bytes, name, error)) ||
        (status = sx_write_all(descriptor, graph->upper, upper_bytes, name, error)) ||
        (status = sx_write_all(descriptor, zeros, padding, name, error)) ||
        (status = sx_write_all(descriptor, graph->lists, graph->places * graph->width * sizeof(uint32_t), name, error)) ||
        (status = sx_write_all(descriptor, sums, blocks * sizeof *sums, name, error)))
        goto out;
    if (fsync(descriptor) != 0)
        status = sx_fail_errno(error, errno, "%s: cannot be flushed to disk", name);
out:
    XXH3_freeState(state);
    free(sums);
    return status;
}

static sx_status save(const sx_hnsw *graph, const char *path, const char *temporary, uint64_t identity, sx_error *error)
{
    sx_hnsw_header header = {
        .magic = SX_HNSW_MAGIC,
        .version = SX_HNSW_VERSION,
        .kind = graph->rows.kind,
        .dimensions = graph->rows.dimensions,
        .links = graph->links,
        .ef_construction = graph->ef_construction,
        .entry = graph->count ? graph->entry : 0,
        .top = graph->count ? graph->top : 0,
        .block_nodes = SX_HNSW_BLOCK_NODES,
        .identity = identity,
        .places = graph->places,
        .count = graph->count,
        .upper_words = graph->upper_used,
    };
    lay_out(&header);
    int descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (descriptor < 0)
        return sx_fail_errno(error, errno, "%s: cannot be created", temporary);
    sx_status status = write_body(graph, descriptor, &header, temporary, error);
    if (close(descriptor) != 0 && !status)
        status = sx_fail_errno(error, errno, "%s: cannot be written", temporary);
    if (!status && rename(temporary, path) != 0)
        status = sx_fail_errno(error, errno, "%s: cannot be renamed to %s", temporary, path);
    if (status)
        unlink(temporary);
    return status;
}

sx_status sx_hnsw_save(sx_hnsw *graph, const char *path, const char *temporary, uint64_t identity, sx_thread_pool *pool,
                       sx_error *error)
{
    char *own = NULL;
    if (!temporary && asprintf(&own, "%s.tmp-%ld", path, (long)getpid()) < 0)
        return sx_fail_nomem(error, strlen(path));
    sx_status status = sx_hnsw_repair(graph, pool, error);
    if (!status)
        status = save(graph, path, temporary ? temporary : own, identity, error);
    free(own);
    return status;
}

/* ---- Reading ---- */

static sx_status damaged(const sx_hnsw *graph, sx_error *error, const char *what, uint64_t found, uint64_t expected)
{
    return sx_fail(error, SX_E_FORMAT, "%s: damaged graph: %s is %llu, expected %llu", graph->path, what,
                   (unsigned long long)found, (unsigned long long)expected);
}

static sx_status check_header(const sx_hnsw *graph, sx_hnsw_header *header, uint64_t identity, size_t count, sx_error *error)
{
    size_t length = graph->map.length;
    if (length < sizeof *header)
        return damaged(graph, error, "the file's size", length, sizeof *header);
    memcpy(header, graph->map.data, sizeof *header);
    if (memcmp(header->magic, SX_HNSW_MAGIC, sizeof header->magic) != 0)
        return sx_fail(error, SX_E_FORMAT, "%s: not a graph: the magic is missing", graph->path);
    if (header->version != SX_HNSW_VERSION)
        return damaged(graph, error, "the version", header->version, SX_HNSW_VERSION);
    uint64_t sum = XXH3_64bits(graph->map.data, offsetof(sx_hnsw_header, header_sum));
    if (header->header_sum != sum)
        return damaged(graph, error, "the header's checksum", header->header_sum, sum);
    if (header->identity != identity)
        return damaged(graph, error, "the identity of its rows", header->identity, identity);
    if (header->kind != graph->rows.kind)
        return damaged(graph, error, "the kind of its rows", header->kind, graph->rows.kind);
    if (header->dimensions != graph->rows.dimensions)
        return damaged(graph, error, "the number of dimensions", header->dimensions, graph->rows.dimensions);
    if (header->places != count || count > SX_HNSW_MOST_ROWS)
        return damaged(graph, error, "the number of rows", header->places, count);
    if (header->links < 2 || header->links > SX_HNSW_MOST_LINKS)
        return damaged(graph, error, "the number of links", header->links, SX_HNSW_LINKS);
    if (header->block_nodes != SX_HNSW_BLOCK_NODES)
        return damaged(graph, error, "the block size", header->block_nodes, SX_HNSW_BLOCK_NODES);
    if (header->upper_words > length / sizeof(uint32_t))
        return damaged(graph, error, "the size of the upper levels", header->upper_words, length / sizeof(uint32_t));
    sx_hnsw_header expected = *header;
    lay_out(&expected);
    if (memcmp(&expected, header, sizeof expected) != 0 || header->file_bytes != length)
        return damaged(graph, error, "the file's size", length, expected.file_bytes);
    return SX_OK;
}

/* A node's upper lists, all of whose neighbours must have such lists too. */
static bool upper_is_sound(const sx_hnsw *graph, uint32_t place)
{
    uint64_t from = graph->upper_of[place];
    if (from >= SX_HNSW_HOLE)
        return true;
    if (from >= graph->upper_used)
        return false;
    uint32_t level = graph->upper[from];
    if (!level || level >= SX_HNSW_MOST_LEVELS || from + 1 + (uint64_t)level * graph->links > graph->upper_used)
        return false;
    for (uint32_t at = 1; at <= level; at++) {
        const uint32_t *list = sx_hnsw_upper_list(graph, place, at);
        for (size_t i = 0; i < graph->links && list[i] != SX_HNSW_END; i++) {
            uint64_t theirs = list[i] < graph->places ? graph->upper_of[list[i]] : SX_HNSW_END;
            if (theirs >= graph->upper_used || graph->upper[theirs] < at || graph->upper[theirs] >= SX_HNSW_MOST_LEVELS ||
                theirs + 1 + (uint64_t)graph->upper[theirs] * graph->links > graph->upper_used)
                return false;
        }
    }
    return true;
}

static sx_status check_small(sx_hnsw *graph, const sx_hnsw_header *header, sx_error *error)
{
    const unsigned char *data = graph->map.data;
    uint64_t sum = XXH3_64bits(data + sizeof *header, header->lists_offset - sizeof *header);
    if (sum != header->small_sum)
        return damaged(graph, error, "the checksum of the upper levels", sum, header->small_sum);
    size_t blocks = blocks_of(header->places), nodes = 0;
    graph->sums = (const uint64_t *)(const void *)(data + header->sums_offset);
    sum = XXH3_64bits(graph->sums, blocks * sizeof(uint64_t));
    if (sum != header->sums_sum)
        return damaged(graph, error, "the checksum of checksums", sum, header->sums_sum);
    for (size_t i = 0; i < graph->places; i++) {
        nodes += graph->upper_of[i] != SX_HNSW_HOLE;
        if (!upper_is_sound(graph, (uint32_t)i))
            return damaged(graph, error, "a row with wrong upper levels", i, 0);
    }
    if (nodes != header->count)
        return damaged(graph, error, "the number of nodes", header->count, nodes);
    if (nodes && (header->entry >= graph->places || graph->upper_of[header->entry] == SX_HNSW_HOLE ||
                  sx_hnsw_level_of(graph, header->entry) != header->top))
        return damaged(graph, error, "the entry", header->entry, header->top);
    return SX_OK;
}

/* The mapping is read only; that the fields are not const is for graphs in memory. */
static void *part_of(const sx_hnsw *graph, uint64_t offset)
{
    return (void *)(uintptr_t)(graph->map.data + offset);
}

sx_status sx_hnsw_open(const char *path, uint64_t identity, const sx_hnsw_rows *rows, size_t count, const sx_dot_kernels *kernels,
                       sx_hnsw **out, sx_error *error)
{
    sx_hnsw_header header;
    *out = NULL;
    sx_hnsw *graph = sx_calloc(1, sizeof *graph);
    if (!graph)
        return sx_fail_nomem(error, sizeof *graph);
    graph->rows = *rows;
    graph->kernels = kernels;
    (void)pthread_mutex_init(&graph->changing, NULL);
    (void)pthread_rwlock_init(&graph->access, NULL);
    sx_status status = SX_OK;
    graph->sound = sx_calloc(blocks_of(count), 1);
    if (!graph->sound || !(graph->path = sx_strdup(path)))
        status = sx_fail_nomem(error, blocks_of(count));
    if (!status)
        status = sx_file_map_open(path, &graph->map, error);
    if (!status)
        status = check_header(graph, &header, identity, count, error);
    if (!status) {
        graph->links = header.links;
        graph->width = 2 * header.links;
        graph->ef_construction = header.ef_construction;
        graph->capacity = graph->places = header.places;
        graph->count = header.count;
        graph->entry = header.entry;
        graph->top = header.top;
        graph->upper_used = header.upper_words;
        graph->upper_of = part_of(graph, header.upper_of_offset);
        graph->upper = part_of(graph, header.upper_offset);
        graph->lists = part_of(graph, header.lists_offset);
        if (header.kind == SX_HNSW_CODES)
            graph->rows.scales = part_of(graph, header.scales_offset);
        status = check_small(graph, &header, error);
    }
    if (!status && count)
        *out = graph;
    else if (!status)
        status = damaged(graph, error, "the number of rows", 0, 1);
    if (status) {
        if (!graph->sound)
            graph->lists = graph->upper_of = graph->upper = NULL;
        sx_hnsw_close(graph);
    }
    return status;
}

sx_status sx_hnsw_check_block(const sx_hnsw *graph, size_t block, sx_error *error)
{
    const uint32_t *lists = graph->lists + block * SX_HNSW_BLOCK_NODES * graph->width;
    size_t words = block_words(graph, block);
    uint64_t sum = XXH3_64bits(lists, words * sizeof *lists);
    if (sum != graph->sums[block])
        return damaged(graph, error, "a block's checksum", sum, graph->sums[block]);
    for (size_t i = 0; i < words; i++)
        if (lists[i] != SX_HNSW_END && (sx_hnsw_neighbour(lists[i]) >= graph->places ||
                                        graph->upper_of[sx_hnsw_neighbour(lists[i])] == SX_HNSW_HOLE ||
                                        (sx_hnsw_is_copy(lists[i]) && i % graph->width != 0)))
            return damaged(graph, error, "a neighbour", lists[i], graph->places);
    __atomic_store_n(&graph->sound[block], 1, __ATOMIC_RELEASE);
    return SX_OK;
}
