/* keyword_parts.h - the stored forms of the keyword index, shared by writing, merging and searching.
 *
 * A chunk waiting (keyword_chunk.words): entries of 9 bytes in ascending order of the word, a little-endian 64-bit hash and the
 * frequencies. Postings of a word in a part (keyword_posting.data): for each chunk the distance of its number from the last one
 * as a varint (first: the number plus 1), then the frequencies. Frequencies are one byte: in the text, low four bits; in headings
 * and title, high four; each at most 15. A part (keyword_part) lists its chunks by number: ids of 8 bytes, and lengths of 4, the
 * words of the text (low 16 bits) and of the head, little-endian.
 */
#ifndef SX_STORE_KEYWORD_PARTS_H
#define SX_STORE_KEYWORD_PARTS_H

#include "sql.h"

enum { SX_KEYWORD_ENTRY = 9, SX_KEYWORD_MOST_FREQUENCY = 15, SX_KEYWORD_MOST_LENGTH = 65535 };

static inline uint64_t sx_little64(const unsigned char *bytes)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | bytes[i];
    return value;
}

static inline uint32_t sx_little32(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* Goes through postings; damaged ones end early and set `damaged`. */
typedef struct sx_postings {
    const unsigned char *at, *end;
    uint32_t number; /* of the chunk in its part */
    unsigned char frequencies;
    uint32_t limit;  /* chunks of the part */
    bool started, damaged;
} sx_postings;

static inline sx_postings sx_postings_of(const void *data, size_t length, uint32_t limit)
{
    const unsigned char *bytes = data;
    return (sx_postings){.at = bytes, .end = bytes ? bytes + length : NULL, .limit = limit};
}

static inline bool sx_postings_next(sx_postings *postings)
{
    uint64_t distance = 0;
    unsigned shift = 0;
    if (postings->at == postings->end)
        return false;
    do {
        if (shift > 28 || postings->at == postings->end) {
            postings->damaged = true;
            return false;
        }
        distance |= (uint64_t)(*postings->at & 0x7f) << shift;
        shift += 7;
    } while (*postings->at++ & 0x80);
    uint64_t number = (postings->started ? postings->number : UINT64_MAX) + distance;
    if (!distance || number >= postings->limit || postings->at == postings->end) {
        postings->damaged = true;
        postings->at = postings->end;
        return false;
    }
    postings->number = (uint32_t)number;
    postings->started = true;
    postings->frequencies = *postings->at++;
    return true;
}

/* keyword_parts.c: turns what waits into a part, and merges parts of like size. Inside the open transaction. */
sx_status sx_keyword_flush(sx_database *database, int64_t collection, sx_error *error);
sx_status sx_keyword_merge(sx_database *database, int64_t collection, sx_error *error);

#endif
