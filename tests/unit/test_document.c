/* test_document.c - readers: expected blocks, media types, refusals, hostile HTML, and random mutations of small documents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buffer.h"
#include "doc/document.h"
#include "text/encoding.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A document and its blocks, one a line: kind letter, level of headings, '|', the text with line ends as '\'. For headings the
 * words follow after '='. */
typedef struct expectation {
    const char *media_type, *source, *title, *language, *blocks;
} expectation;

static const expectation documents[] = {
    {"text/plain", "one\ntwo\n\n  three\n\n\n", "", "", "P|one\\two\nP|  three\n"},
    {"text/plain", "dos\r\nline\r\n\r\nnext\r\n", "", "", "P|dos\\line\nP|next\n"},
    {"text/plain", "mac\rline\r\rnext", "", "", "P|mac\\line\nP|next\n"},

    {"text/markdown", "# Title\n\nWords\nmore.\n\n## Sub ##\ntext\n", "Title", "",
     "H1|# Title=Title\nP|Words\\more.\nH2|## Sub ##=Sub\nP|text\n"},
    {"text/markdown", "\xef\xbb\xbf# Marked\n", "Marked", "", "H1|\xef\xbb\xbf# Marked=Marked\n"},
    {"text/markdown", "Title\n=====\n\nTwo\nlines\n-----\nx\n", "Title", "",
     "H1|Title\\====="
     "=Title\nH2|Two\\lines\\-----=Two lines\nP|x\n"},
    {"text/markdown", "#no heading\n\n####### seven\n\n#\n", "", "", "P|#no heading\nP|####### seven\nH1|#=\n"},
    {"text/markdown", "```py\n# no heading\n\nx = 1\n```\nafter\n", "", "", "C|```py\\# no heading\\\\x = 1\\```\nP|after\n"},
    {"text/markdown", "~~~~\n~~~\n# in\n~~~~\n# out\n", "out", "", "C|~~~~\\~~~\\# in\\~~~~\nH1|# out=out\n"},
    {"text/markdown", "```\nnever closed\n\n# in\n", "", "", "C|```\\never closed\\\\# in\n"},
    {"text/markdown", "para\n    still para\n\n    code\n\n    more\n\ntext\n", "", "",
     "P|para\\    still para\nC|    code\\\\    more\nP|text\n"},
    {"text/markdown", "- a\n- b\n  c\n\n  d\n\n1. x\n2. y\n\nend\n", "", "", "L|- a\\- b\\  c\\\\  d\\\\1. x\\2. y\nP|end\n"},
    {"text/markdown", "text\n2. no list\n- list\n", "", "", "P|text\\2. no list\nL|- list\n"},
    {"text/markdown", "- item\n\n  ```\n  # code\n  ```\n\n# Out\n", "Out", "",
     "L|- item\nC|  ```\\  # code\\  ```\nH1|# Out=Out\n"},
    {"text/markdown", "before\n| a | b |\n|---|:-:|\n| 1 | 2 |\n\nafter\n", "", "",
     "P|before\nT|| a | b |\\|---|:-:|\\| 1 | 2 |\nP|after\n"},
    {"text/markdown", "---\ntitle: \"From the top\"\nlang: en-GB\n---\n# Other\n", "From the top", "en",
     "O|---\\title: \"From the top\"\\lang: en-GB\\---\nH1|# Other=Other\n"},
    {"text/markdown", "+++\ntitle = 'T'\n+++\nx\n", "T", "", "O|+++\\title = 'T'\\+++\nP|x\n"},
    {"text/markdown", "---\n\nno front matter\n\n---\n", "", "", "O|---\nP|no front matter\nO|---\n"},
    {"text/markdown", "<div>\n# not\n</div>\n\n<!-- # no\n\n# no\n-->\n# yes\n", "yes", "",
     "O|<div>\\# not\\</div>\nO|<!-- # no\\\\# no\\-->\nH1|# yes=yes\n"},
    {"text/markdown", "> quote\n> # not\n\n***\n\nx\n", "", "", "P|> quote\\> # not\nO|***\nP|x\n"},
    {"text/markdown", "!!! note\n\n    # of the note\n\ntext\n", "", "", "P|!!! note\nP|    # of the note\nP|text\n"},
    {"text/markdown", "# A *b* **c** `d*` [e](f \"g\") ![h](i) \\* &amp; <b>j</b> {#k}\n", "A b c d* e h * & j", "",
     "H1|# A *b* **c** `d*` [e](f \"g\") ![h](i) \\* &amp; <b>j</b> {#k}=A b c d* e h * & j\n"},
    {"text/markdown", "## snake_case a * b _em_ [x] [l][r] <https://e.org> C#\n", "", "",
     "H2|## snake_case a * b _em_ [x] [l][r] <https://e.org> C#=snake_case a * b em [x] l https://e.org C#\n"},

    {"text/x-rst", "=====\nTitle\n=====\n\nPara\ntwo.\n\nSub\n---\n\nx\n\nSubsub\n^^^^^^\n\nOther\n-----\n", "Title", "",
     "H1|=====\\Title\\======Title\nP|Para\\two.\nH2|Sub\\---=Sub\nP|x\nH3|Subsub\\^^^^^^=Subsub\nH2|Other\\-----=Other\n"},
    {"text/x-rst", "Code::\n\n    a = 1\n\n    b\n\nafter\n", "", "", "P|Code::\nC|    a = 1\\\\    b\nP|after\n"},
    {"text/x-rst",
     ".. code-block:: c\n   :linenos:\n\n   int x;\n\n.. note:: Mind\n   this.\n\n.. _target:\n\n.. A comment\n   of two "
     "lines\n\ntext\n",
     "", "",
     "C|.. code-block:: c\\   :linenos:\\\\   int x;\nP|.. note:: Mind\\   this.\nO|.. _target:\nO|.. A comment\\   of two "
     "lines\nP|text\n"},
    {"text/x-rst", ":author: x\n:date: y\n\n- a\n- b\n\n  c\n\n1. d\n\n>>> 1 + 1\n2\n\nend\n", "", "",
     "O|:author: x\\:date: y\nL|- a\\- b\\\\  c\\\\1. d\nC|>>> 1 + 1\\2\nP|end\n"},
    {"text/x-rst", "+---+---+\n| a | b |\n+===+===+\n| c | d |\n+---+---+\n\n== ==\na  b\n== ==\n1  2\n\n3  4\n== ==\n\nx\n", "",
     "", "T|+---+---+\\| a | b |\\+===+===+\\| c | d |\\+---+---+\nT|== ==\\a  b\\== ==\\1  2\\\\3  4\\== ==\nP|x\n"},
    {"text/x-rst", "== ==\nnever closed\n\nTitle\n=====\n", "Title", "", "T|== ==\\never closed\nH1|Title\\======Title\n"},
    {"text/x-rst", "a\n\n----------\n\nb\n", "", "", "P|a\nO|----------\nP|b\n"},
    {"text/x-rst", "two\nlines\n-----\n", "", "", "P|two\\lines\\-----\n"},
    {"text/x-rst",
     ":func:`f <a.b>` :class:`~x.y.Z` ``co*de`` *e* **s** `link <u>`_ ref_ \\*\n======================================\n",
     "f Z co*de e s link ref *", "",
     "H1|:func:`f <a.b>` :class:`~x.y.Z` ``co*de`` *e* **s** `link <u>`_ ref_ \\*\\======================================="
     "f Z co*de e s link ref *\n"},

    {"text/html",
     "<html lang='en-US'><head><title> The\n title </title><style>p{}</style></head><body><h1>Head <em>line</em></h1>"
     "<p>One  two<br>three<p>four<script>var x = '<p>no</p>'</script></body></html>",
     "The title", "en", "H1|Head line=Head line\nP|One two\\three\nP|four\n"},
    {"text/html", "<ul><li>a<li>b <b>c</b><ul><li>d</ul></ul><p>x", "", "", "L|- a\\- b c\\- d\nP|x\n"},
    {"text/html", "<table><tr><th>a<th>b<tr><td>1<td></td><td>3</table>y", "", "", "T|a | b\\1 |  | 3\nP|y\n"},
    {"text/html", "<p>a</p><pre>\n  x\n\n    y &lt; z\n</pre><p>b", "", "", "P|a\nC|  x\\\\    y < z\nP|b\n"},
    {"text/html", "<nav>menu menu</nav><h2>T</h2>text<template>no</template><noscript>no</noscript>", "", "", "H2|T=T\nP|text\n"},
    {"text/html",
     "<div>side bar</div><main><h1>M</h1><p>The main part of this page says a number of things at some length, more than eighty "
     "bytes.</p></main><div>foot</div>",
     "M", "", "H1|M=M\nP|The main part of this page says a number of things at some length, more than eighty bytes.\n"},
    {"text/html", "<p>kept</p><main>x</main>", "", "", "P|kept\nP|x\n"},
    {"text/html", "<p>caf&eacute;&nbsp;&amp; &unknown; &#8364; \xe2\x82\xac", "", "",
     "P|caf\xc3\xa9 & &unknown; \xe2\x82\xac \xe2\x82\xac\n"},
    {"text/html", "<h1>Unclosed <p>A <b>and <i>nested <table><tr><td>cell<script>var x=\"<p>no</p>\"", "Unclosed", "",
     "H1|Unclosed=Unclosed\nP|A and nested\nT|cell\n"},
    {"text/html", "<meta charset=windows-1251><p>\xcf\xf0\xe8", "", "", "P|\xd0\x9f\xd1\x80\xd0\xb8\n"},
    {"text/html", "<p>a\0b" /* the NUL ends this literal: read as "<p>a" */, "", "", "P|a\n"},
};

static void describe(const sx_document *document, sx_buffer *out)
{
    for (size_t i = 0; i < document->block_count; i++) {
        const sx_block *block = &document->blocks[i];
        sx_buffer_append_byte(out, "HPCLTO"[block->kind]);
        if (block->kind == SX_BLOCK_HEADING)
            sx_buffer_printf(out, "%d", block->level);
        sx_buffer_append_byte(out, '|');
        for (uint64_t at = block->start; at < block->end; at++) {
            char byte = document->text[at];
            bool crlf = byte == '\r' && at + 1 < block->end && document->text[at + 1] == '\n';
            if (!crlf)
                sx_buffer_append_byte(out, byte == '\n' || byte == '\r' ? '\\' : byte);
        }
        if (block->heading)
            sx_buffer_printf(out, "=%s", block->heading);
        sx_buffer_append_byte(out, '\n');
    }
}

static void test_expected_blocks(void **state)
{
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++) {
        const expectation *e = &documents[i];
        sx_document document;
        sx_error error = {0};
        sx_buffer got = {0};
        if (sx_document_parse(e->source, strlen(e->source), e->media_type, &document, &error))
            fail_msg("document %zu: %s", i, error.message);
        describe(&document, &got);
        if (strcmp(got.data ? got.data : "", e->blocks) || strcmp(document.title, e->title) ||
            strcmp(document.language, e->language))
            fail_msg("document %zu\n%s\ngot title [%s] language [%s]\n%sexpected\n%s", i, e->source, document.title,
                     document.language, got.data, e->blocks);
        bool same = document.length == strlen(e->source) && !memcmp(document.text, e->source, document.length);
        assert_int_equal(document.is_file_bytes, strcmp(e->media_type, "text/html") != 0);
        assert_true(same || !document.is_file_bytes);
        sx_buffer_clear(&got);
        sx_document_clear(&document);
    }
}

static void test_media_types(void **state)
{
    static const struct {
        const char *path, *media_type, *why;
    } rows[] = {
        {"a.md", "text/markdown", NULL},
        {"x/README.MD", "text/markdown", NULL},
        {"a.rst", "text/x-rst", NULL},
        {"a.htm", "text/html", NULL},
        {"a.txt", "text/plain", NULL},
        {"a.py", "text/plain", NULL},
        {"LICENSE", "text/plain", NULL},
        {"x.d/noext", "text/plain", NULL},
        {"a.json", "text/plain", NULL},
        {".pdf", "text/plain", NULL},
        {"a.unknown", "text/plain", NULL},
        {"a.pdf", "application/pdf", NULL},
        {"a.PDF", "application/pdf", NULL},
        {"a.png", NULL, "image"},
        {"a.tar.gz", NULL, "archive"},
        {"a.o", NULL, "compiled program"},
        {"a.ipynb", "application/x-ipynb+json", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *why = "unset", *media_type = sx_media_type_of(rows[i].path, &why);
        if ((media_type && rows[i].media_type) ? strcmp(media_type, rows[i].media_type) != 0 : media_type != rows[i].media_type)
            fail_msg("%s: %s", rows[i].path, media_type ? media_type : why);
        if (rows[i].why)
            assert_string_equal(why, rows[i].why);
        else
            assert_null(why);
    }
    assert_null(sx_media_type_of("a.zip", NULL));
}

static void expect_refused(const char *data, size_t length, const char *media_type, sx_status status, const char *message)
{
    sx_document document;
    sx_error error = {0};
    assert_int_equal(sx_document_parse(data, length, media_type, &document, &error), status);
    assert_string_equal(error.message, message);
    assert_null(document.owned);
    sx_document_clear(&document);
}

static void test_refusals(void **state)
{
    expect_refused("", 0, "text/plain", SX_E_UNSUPPORTED, "empty file");
    expect_refused(" \n\t\xef\xbb\xbf", 6, "text/markdown", SX_E_UNSUPPORTED, "empty file");
    expect_refused("\xff\xfe", 2, "text/plain", SX_E_UNSUPPORTED, "empty file");
    expect_refused("a\0b", 3, "text/plain", SX_E_UNSUPPORTED, "binary file (NUL byte at 1)");
    expect_refused("<p><script>x</script>", 21, "text/html", SX_E_UNSUPPORTED, "HTML without text");
    expect_refused("x", 1, "image/png", SX_E_UNSUPPORTED, "no reader for image/png");
}

static void test_reading_files(void **state)
{
    char path[] = "/tmp/sx-document-XXXXXX.py";
    int descriptor = mkstemps(path, 3);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, "def f():\n    pass\n", 17), 17);
    close(descriptor);
    sx_document document;
    sx_error error = {0};
    struct stat status;
    assert_int_equal(sx_document_read(path, 1000, &document, &status, &error), SX_OK);
    assert_string_equal(document.language, "python");
    assert_string_equal(document.encoding, "utf-8");
    assert_int_equal(document.blocks[0].kind, SX_BLOCK_CODE);
    assert_int_equal(status.st_size, 17);
    sx_sha256 expected;
    sx_sha256_of("def f():\n    pass\n", 17, &expected);
    assert_memory_equal(&document.content, &expected, sizeof expected);
    sx_document_clear(&document);
    assert_int_equal(sx_document_read(path, 16, &document, NULL, &error), SX_E_LIMIT);
    unlink(path);
    assert_int_equal(sx_document_read(path, 16, &document, NULL, &error), SX_E_NOT_FOUND);
    assert_int_equal(sx_document_read("x.png", 16, &document, NULL, &error), SX_E_UNSUPPORTED);
    assert_string_equal(error.message, "image");
    assert_int_equal(sx_document_read("/tmp", 16, &document, NULL, &error), SX_E_FORMAT);
}

static char *repeat(const char *prefix, const char *part, size_t count, const char *suffix, size_t *length)
{
    sx_buffer buffer = {0};
    sx_buffer_append_string(&buffer, prefix);
    for (size_t i = 0; i < count; i++)
        sx_buffer_append_string(&buffer, part);
    sx_buffer_append_string(&buffer, suffix);
    *length = buffer.length;
    return sx_buffer_take(&buffer);
}

static void test_hostile_sizes_are_bounded_in_time(void **state)
{
    static const struct {
        const char *media_type, *prefix, *part, *suffix;
        size_t count;
    } rows[] = {
        {"text/html", "", "<div>", "deep words", 200000}, {"text/html", "", "<b><p>", "x", 50000},
        {"text/html", "<p>x<a ", "a=1 ", ">", 300000},    {"text/html", "<p>x", "<!--", "", 300000},
        {"text/html", "", "<ul><li>x", "", 50000},        {"text/html", "", "<table><tr><td>x", "", 50000},
        {"text/markdown", "# ", "[", "", 500000},         {"text/markdown", "# ", "*a ", "", 300000},
        {"text/markdown", "", "| a\n|-\n", "", 200000},   {"text/markdown", "", "> ", "", 500000},
        {"text/markdown", "# ", "{", "}", 500000},        {"text/x-rst", "", "== ==\nx\n\n", "", 100000},
        {"text/x-rst", "", "=====\n", "", 200000},        {"text/x-rst", "x", "`", "\n=====\n", 500000},
        {"text/plain", "", "a\n\n", "", 300000},        {"text/plain", "", "a\r", "", 4000000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t length;
        char *source = repeat(rows[i].prefix, rows[i].part, rows[i].count, rows[i].suffix, &length);
        sx_document document;
        sx_error error = {0};
        clock_t begin = clock();
        sx_status status = sx_document_parse(source, length, rows[i].media_type, &document, &error);
        double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
        if (seconds >= 2.0)
            fail_msg("row %zu took %.1f s", i, seconds);
        assert_true(status == SX_OK || status == SX_E_LIMIT);
        if (i == 0)
            assert_string_equal(document.text, "deep words");
        sx_document_clear(&document);
        free(source);
    }
}

/* What every reader promises, whatever the input. */
static void check_promises(const sx_document *document, const char *source, size_t length)
{
    uint64_t at = 0;
    assert_int_equal(sx_encoding_utf8_prefix(document->text, document->length), document->length);
    if (document->is_file_bytes)
        assert_true(document->length == length && !memcmp(document->text, source, length));
    for (size_t i = 0; i < document->block_count; i++) {
        const sx_block *block = &document->blocks[i];
        assert_true(block->start >= at && block->start < block->end && block->end <= document->length);
        if (!sx_encoding_is_blank(document->text + at, block->start - at))
            fail_msg("text between blocks at %zu: %.*s", (size_t)at, (int)(block->start - at), document->text + at);
        assert_int_equal(block->kind == SX_BLOCK_HEADING, block->heading != NULL);
        if (block->heading)
            assert_true(block->level > 0 &&
                        sx_encoding_utf8_prefix(block->heading, strlen(block->heading)) == strlen(block->heading));
        at = block->end;
    }
    assert_true(sx_encoding_is_blank(document->text + at, document->length - at));
}

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

static void test_mutated_documents_keep_the_promises(void **state)
{
    static const char pieces[] = "\n\n#=-`~*<>|:.+ \t_[]()\\&\r\0\xff\xc3\xa9";
    uint64_t seed = 99;
    char mutated[1024];
    for (int round = 0; round < 20000; round++) {
        const expectation *e = &documents[next_random(&seed) % (sizeof documents / sizeof documents[0])];
        const char *media_type =
            round % 4 ? e->media_type : documents[next_random(&seed) % (sizeof documents / sizeof documents[0])].media_type;
        size_t length = strlen(e->source);
        memcpy(mutated, e->source, length);
        for (uint64_t n = 1 + next_random(&seed) % 6; n && length; n--) {
            size_t at = next_random(&seed) % length;
            switch (next_random(&seed) % 4) {
            case 0: mutated[at] = pieces[next_random(&seed) % (sizeof pieces - 1)]; break;
            case 1: length = at; break;
            case 2:
                memmove(mutated + at, mutated + at + 1, length - at - 1);
                length--;
                break;
            default:
                memmove(mutated + at + 1, mutated + at, length - at);
                mutated[at] = pieces[next_random(&seed) % (sizeof pieces - 1)];
                length++;
            }
        }
        sx_document document;
        sx_error error = {0};
        sx_status status = sx_document_parse(mutated, length, media_type, &document, &error);
        if (status)
            assert_true(status == SX_E_UNSUPPORTED && error.message[0]);
        else
            check_promises(&document, mutated, length);
        sx_document_clear(&document);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expected_blocks),
        cmocka_unit_test(test_media_types),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_reading_files),
        cmocka_unit_test(test_hostile_sizes_are_bounded_in_time),
        cmocka_unit_test(test_mutated_documents_keep_the_promises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
