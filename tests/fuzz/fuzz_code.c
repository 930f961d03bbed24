/* fuzz_code.c - bytes become a source file in one of the languages, whose chunks keep chunk.h's promises.
 *
 * The first byte chooses the language, the second the size of chunks; the rest is the text, in which what is not ASCII is replaced.
 * The grammars are those that SX_TEST_GRAMMARS names; without, the way without a syntax tree is tried. */
#include "../unit/chunk_documents.h"
#include "doc/code_outline.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const languages[] = {"python", "c", "cpp", "javascript", "typescript", "go", "rust", "java", "csharp",
                                            "ruby", "php", "shell", "kotlin", "swift", "sql", "lua"};
    static const char *const headers[] = {NULL, "tags", "[{project}] {symbol}: {signature}"};
    static sx_grammars *grammars;
    static int looked;
    sx_error error;
    if (!looked) {
        const char *path = getenv("SX_TEST_GRAMMARS");
        if (path && sx_grammars_open(path, &grammars, &error) != SX_OK)
            abort();
        looked = 1;
    }
    if (size < 3 || size > 1 << 16)
        return 0;
    size_t length = size - 2;
    char *text = malloc(length);
    if (!text)
        abort();
    for (size_t i = 0; i < length; i++)
        text[i] = data[i + 2] < 0x80 ? (char)data[i + 2] : '?';
    sx_document document;
    make_document(text, length, "", false, &document);
    document.language = languages[data[0] % 16];
    sx_token_counter counter = make_counter((counter_kind)0, 2, 0, 0);
    sx_chunk_context context = {.grammars = grammars, .path = "a/b", .project = "p"};
    sx_chunk_options options = {.size = sizeof options, .strategy = "code", .chunk_size = 8u + data[1],
                                .header = headers[data[0] / 16 % 3]};
    sx_chunk_plan plan;
    sx_chunk_list list;
    if (sx_chunk_plan_make_for(&options, &document, &context, &counter, &plan, &error) != SX_OK ||
        sx_chunk_document_in(&document, &plan, &context, &counter, &list, &error) != SX_OK ||
        broken_promise(&document, &plan, &counter, &list))
        abort();
    sx_chunk_list_clear(&list);
    free(text);
    return 0;
}
