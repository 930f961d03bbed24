/* chunk_internal.h - what the files of this folder share.
 *
 * The way of a document through the chunker: plan (chunk_plan.c) -> marks, where tokens and code points begin (chunk_marks.c,
 * chunk_budget.c) -> sections (chunk_headings.c) -> a strategy (chunk_recursive.c, chunk_units.c, chunk_windows.c,
 * chunk_sections.c, chunk_code.c, chunk_semantic.c), which walks the text from left to right and places one chunk after the other (chunk_budget.c), each
 * counted as it will be embedded. All offsets are bytes of the document's text. */
#ifndef SX_CHUNK_CHUNK_INTERNAL_H
#define SX_CHUNK_CHUNK_INTERNAL_H

#include "chunk.h"

#include "../base/buffer.h"
#include "../doc/code_outline.h"

#include <stdint.h>

/* ---- Numbers to tune, all set in chunk_plan.c -------------------------------------------------------------------------- */

typedef struct sx_chunk_tuning {
    unsigned small_section_percent;  /* of the budget; smaller sections are merged with their neighbours */
    unsigned merged_section_percent; /* of the budget; merging goes up to this */
    unsigned least_fill_percent;     /* of a chunk; a better place to cut is not taken before it */
    unsigned balance_slack_percent;  /* pieces of one section may be this much longer than their even share */
    unsigned balance_pieces;         /* sections of at most so many pieces are cut into even ones; 0: never */
    unsigned header_headings;        /* the header names at most so many of the innermost headings (the title is the outermost) */
    unsigned header_share;           /* the header takes at most 1/header_share of the budget */
    unsigned own_code_percent;       /* of the budget; definitions from this size on do not share a chunk */
    unsigned tiny_code_percent;      /* of the budget; lines of code below this join what stands beside them */
    unsigned drift_percentile;       /* of the drifts between a document's sentences: from which on one ends a chunk */
    unsigned bytes_per_token;        /* a chunk measured in tokens spans at most so many bytes a token: see sx_budget_ceiling */
} sx_chunk_tuning;
extern const sx_chunk_tuning sx_chunk_tuned;

typedef enum sx_chunk_method {
    SX_CHUNK_RECURSIVE, SX_CHUNK_TOKENS, SX_CHUNK_CHARS, SX_CHUNK_SENTENCES, SX_CHUNK_PARAGRAPHS, SX_CHUNK_SECTIONS, SX_CHUNK_CODE,
    SX_CHUNK_SEMANTIC
} sx_chunk_method;
/* How a plan's strategy is carried out; false for a name that is none. */
bool sx_chunk_method_of(const char *strategy, sx_chunk_method *method);

/* ---- Marks: where tokens or code points begin, as a bitmap with sums (chunk_marks.c) ------------------------------------ */

typedef struct sx_marks {
    uint64_t *bits;   /* bit i: something begins at byte i */
    uint64_t *sums;   /* marks before each 512 bytes */
    size_t length;
    uint64_t total;
} sx_marks;
bool sx_marks_make(sx_marks *marks, size_t length);
void sx_marks_clear(sx_marks *marks);
static inline void sx_marks_set(sx_marks *marks, size_t offset)
{
    marks->bits[offset / 64] |= (uint64_t)1 << offset % 64;
}
/* Call once after the last sx_marks_set, before the two below. */
void sx_marks_finish(sx_marks *marks);
/* Marks before offset (<= length). O(1). */
uint64_t sx_marks_before(const sx_marks *marks, size_t offset);
/* Offset of mark number `number` from 0, or length when there are fewer. O(log n). */
size_t sx_marks_find(const sx_marks *marks, uint64_t number);

/* ---- Places to cut (chunk_boundaries.c, chunk_sentences.c)
 * -------------------------------------------------------------------- */

/* Bytes of the white-space character (as Python's str.strip knows it) at offset, or ending at it; 0: none. */
size_t sx_blank_at(const char *text, size_t end, size_t offset);
size_t sx_blank_before(const char *text, size_t begin, size_t offset);
/* First non-blank byte in [offset, end), or end. One past the last non-blank byte in [begin, offset), or begin. */
size_t sx_skip_blank(const char *text, size_t end, size_t offset);
size_t sx_trim_blank(const char *text, size_t begin, size_t offset);

/* The code point at offset < end, U+FFFD (one byte long) for what is no UTF-8. */
int32_t sx_code_point_at(const char *text, size_t end, size_t offset, size_t *bytes);
/* The code point that ends at offset > begin. */
int32_t sx_code_point_before(const char *text, size_t begin, size_t offset, size_t *bytes);
/* Start of the code point around offset; never below begin. */
size_t sx_code_point_start(const char *text, size_t begin, size_t end, size_t offset);

/* The last place in (begin, offset] where a cut splits no grapheme cluster (UAX #29) and no CR LF; when there is none near, the
 * last code-point boundary there; begin when there is none either. */
size_t sx_grapheme_back(const char *text, size_t begin, size_t end, size_t offset);

/* How good a place is to cut: the separators of recursive splitting, and among lines those that begin an item of a list. */
typedef enum sx_cut { SX_CUT_NONE, SX_CUT_WORD, SX_CUT_SENTENCE, SX_CUT_LINE, SX_CUT_ITEM, SX_CUT_PARAGRAPH } sx_cut;
/* For an offset > begin where no blank stands: how it may serve as the beginning of a new chunk. */
sx_cut sx_cut_at(const char *text, size_t begin, size_t end, size_t offset);
/* A sentence (UAX #29 in spirit, with abbreviations) begins at offset, which is non-blank and has blanks or an ideographic full
 * stop before it. */
bool sx_sentence_begins(const char *text, size_t begin, size_t end, size_t offset);
/* A full stop that needs no blank after it, and its closing brackets: U+3002 and its like. */
bool sx_is_ideographic_stop(int32_t code_point);
bool sx_is_closing(int32_t code_point);

/* ---- Sections (chunk_headings.c) ------------------------------------------------------------------------------------------ */

/* A heading and what follows it up to the next heading. Section 0 is what stands before the first heading; it may be empty. */
typedef struct sx_section {
    size_t start, body, end; /* body: the first non-blank byte after the heading's own range */
    const char *heading;     /* trimmed words, "" for none */
    const char *const *path; /* made when first asked for */
    uint32_t path_count;
    uint32_t parent;         /* section; section 0 is its own */
    uint8_t level;
    bool has_body;
} sx_section;

typedef struct sx_header {
    const char *text;        /* "" for none; in the list's arena */
    size_t length;
    size_t tokens;
    const char *const *headings;
    uint32_t heading_count;
    const sx_symbol *symbols;    /* of code: what is defined in the chunk */
    uint32_t symbol_count;
} sx_header;

typedef struct sx_chunker {
    const sx_document *document;
    const char *text;
    size_t length;
    const sx_chunk_plan *plan;
    const sx_chunk_context *context; /* never NULL */
    sx_chunk_method method;
    const sx_token_counter *counter; /* NULL: characters only */
    sx_chunk_list *list;
    size_t capacity;                 /* of list->chunks */
    sx_error *error;

    size_t unit_budget;              /* most code points (SIZE_MAX: any number) */
    size_t most_tokens;              /* most tokens of all that is embedded for a chunk (SIZE_MAX: any number) */
    size_t taken_tokens;             /* of these, special tokens and prompt: an estimate, as tokens are no sum of their parts' */
    size_t token_budget;             /* what is left for header and text (SIZE_MAX: any number) */
    sx_marks characters, tokens;     /* each only made when its budget is finite */

    sx_section *sections;
    size_t section_count;
    uint64_t *block_starts;          /* where a block other than the first of its section begins, unless it follows a heading */
    size_t block_count;

    sx_code_outline outline;         /* of the strategy code; empty when the text was not parsed */
    uint32_t cached_first, cached_last; /* the items of a chunk of code that cached_header was made for */

    sx_header cached_header;
    uint32_t cached_section;         /* what cached_header was made for; UINT32_MAX: nothing */
    size_t cached_outside;           /* path elements that stand before the chunk */
    bool cached_title;

    size_t cap;                      /* bytes a chunk may span after a counter's estimates proved wrong */
    size_t line_start, line_start_number, line_end, line_end_number; /* chunk_lines.c */
    sx_buffer scratch;
} sx_chunker;

sx_status sx_sections_find(sx_chunker *chunker);
/* The section offset lies in. */
uint32_t sx_section_at(const sx_chunker *chunker, size_t offset);
/* `ancestor` is section or above it. */
bool sx_section_is_under(const sx_chunker *chunker, uint32_t section, uint32_t ancestor);
/* Headings and header of a chunk [start, end). The result is valid until the next call, its strings as long as the list. */
sx_status sx_header_make(sx_chunker *chunker, size_t start, size_t end, const sx_header **header);

/* ---- Budget (chunk_budget.c)
 * -------------------------------------------------------------------------------------------------- */

sx_status sx_budget_open(sx_chunker *chunker);
void sx_budget_close(sx_chunker *chunker);
/* Estimated size of [start, end) in what limits chunks most naturally: tokens when the plan counts tokens, else code points. */
uint64_t sx_budget_cost(const sx_chunker *chunker, size_t start, size_t end);
/* That measure's marks, or NULL when nothing limits chunks; *budget is what a chunk may have of it. */
const sx_marks *sx_budget_marks(const sx_chunker *chunker, uint64_t *budget);

/* The furthest end up to hard_end that is estimated to fit after a header of so many tokens. Besides tokens and code points, bytes are
 * limited: a tokenizer may make one token of any number of them ("[UNK]" for a word too long), and a chunk of megabytes is no use to
 * anybody. */
size_t sx_budget_ceiling(const sx_chunker *chunker, size_t start, size_t hard_end, size_t header_tokens);

/* Chooses where the chunk from start ends: in (fresh, ceiling]; 0: nothing before the ceiling will do. ceiling <
 * hard_end, or equal. */
typedef size_t (*sx_end_chooser)(const sx_chunker *chunker, size_t start, size_t fresh, size_t ceiling, size_t hard_end,
                                 const void *context);
/* Places the next chunk: from *start (its overlap) over *fresh (the first byte no chunk has yet) to at most hard_end, by
 * `choose` and by count. On return *start is where it begins (the overlap may have been dropped) and *end where it was
 * cut; [*fresh, *end) is done. There must be something non-blank in [*fresh, hard_end). */
sx_status sx_chunk_place(sx_chunker *chunker, size_t *start, size_t fresh, size_t hard_end, sx_end_chooser choose,
                         const void *context, size_t *end);
/* Where a chunk after one of [start, end) begins to repeat `overlap` units of it: in (start, end]. Exact, without
 * looking at words. */
size_t sx_overlap_start(const sx_chunker *chunker, size_t start, size_t end);

/* ---- Strategies
 * ------------------------------------------------------------------------------------------------------------------- */

typedef struct sx_recursive_context {
    bool use_blocks; /* cut at headings and blocks before all else */
    bool balance;    /* into even pieces */
} sx_recursive_context;
/* The end that recursive splitting takes; context is a sx_recursive_context. */
size_t sx_recursive_end(const sx_chunker *chunker, size_t start, size_t fresh, size_t ceiling, size_t hard_end,
                        const void *context);
/* Chunks [start, end), which holds something non-blank, with overlap between its pieces. */
sx_status sx_chunk_recursively(sx_chunker *chunker, size_t start, size_t end, const sx_recursive_context *context);
/* Chunks [start, end) from left to right, each ending where `choose` says, with overlap between them. */
sx_status sx_chunk_from_left(sx_chunker *chunker, size_t start, size_t end, sx_end_chooser choose, const void *context);
sx_status sx_chunk_windows(sx_chunker *chunker);
sx_status sx_chunk_units(sx_chunker *chunker);
sx_status sx_chunk_sections(sx_chunker *chunker);
sx_status sx_chunk_code(sx_chunker *chunker);
sx_status sx_chunk_semantically(sx_chunker *chunker);

/* Sentences (or paragraphs), one after another. Zero-initialise; entries not yet passed. */
typedef struct sx_unit_walk {
    size_t block, section;
} sx_unit_walk;
/* The beginning of the sentence or paragraph after the one at `start`, or the text's end; starts come in ascending order. */
size_t sx_unit_next(const sx_chunker *chunker, sx_unit_walk *walk, bool sentences, size_t start);

/* ---- Headers of code, and templates (chunk_header.c) ------------------------------------------------------------------------ */

/* As sx_header_make, for a document with an outline. */
sx_status sx_code_header_make(sx_chunker *chunker, size_t start, size_t end, const sx_header **header);
/* The items that begin in [start, end): [*first, *last). */
void sx_code_items_in(const sx_chunker *chunker, size_t start, size_t end, uint32_t *first, uint32_t *last);
/* The header that a template makes of what is known about a chunk, into scratch; cut to what is allowed. */
typedef struct sx_header_facts {
    const char *name, *kind, *signature, *scope, *symbol, *heading, *headings;
} sx_header_facts;
sx_status sx_header_fill(sx_chunker *chunker, const sx_header_facts *facts, sx_header *header);
/* Joins the parts with " > " from the innermost outwards while they are short enough, so that the outermost go first. */
sx_status sx_header_join(sx_chunker *chunker, const char *const *parts, size_t count, sx_header *header);
/* Whether a header may be so long; its tokens are counted into *tokens. */
sx_status sx_header_measure(sx_chunker *chunker, const char *text, size_t length, size_t *tokens, bool *is_short);
/* Checks a template: names of values, braces. */
sx_status sx_header_template_check(const char *text, sx_error *error);

/* ---- Lines (chunk_lines.c)
 * --------------------------------------------------------------------------------------------------------- */

/* Sets the lines of a chunk whose start and end are not before those of the last call's. */
void sx_chunk_lines(sx_chunker *chunker, sx_chunk *chunk);

#endif
