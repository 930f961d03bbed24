/* test_ask.c - the parts of ask: event streams in any pieces, and citations in any form. */
#include "index/ask_citations.h"
#include "net/event_stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static sx_status gather(void *user, const char *data, size_t length, sx_error *error)
{
    sx_buffer *all = user;
    (void)error;
    sx_buffer_append_byte(all, '<');
    sx_buffer_append(all, data, length);
    sx_buffer_append_byte(all, '>');
    return SX_OK;
}

static const struct {
    const char *bytes, *events; /* NULL: refused */
} streams[] = {
    {"data: a\n\n", "<a>"},
    {"data:a\n\ndata:  b\n\n", "<a>< b>"},
    {"data: a\ndata: b\n\n", "<a\nb>"},
    {"\xef\xbb\xbf" "data: a\r\n\r\ndata: b\r\rdata: c\n\n", "<a><b><c>"},
    {": comment\n\nevent: x\nid: 1\nretry: 5\ndata\n\n", "<>"},
    {"data: a\n", ""},
    {"\n\n\n", ""},
    {"", ""},
    {"data: a\n\nhello\n\n", NULL},
    {"<html>\n", NULL},
};

static void streams_in_any_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++)
        for (size_t step = 1; step < 12; step++) {
            sx_buffer all = {0};
            sx_error error;
            sx_event_stream stream = {.take = gather, .user = &all};
            sx_status status = SX_OK;
            size_t length = strlen(streams[i].bytes);
            sx_buffer_append(&all, "", 0);
            for (size_t at = 0; at < length && !status; at += step)
                status = sx_event_stream_feed(&stream, streams[i].bytes + at, length - at < step ? length - at : step, &error);
            assert_int_equal(status, streams[i].events ? SX_OK : SX_E_FORMAT);
            if (streams[i].events)
                assert_string_equal(all.data ? all.data : "", streams[i].events);
            sx_event_stream_clear(&stream);
            sx_buffer_clear(&all);
        }
}

static void endless_lines_are_refused(void **state)
{
    (void)state;
    sx_buffer all = {0};
    sx_error error;
    sx_event_stream stream = {.take = gather, .user = &all};
    char block[4096];
    sx_status status = SX_OK;
    memset(block, 'x', sizeof block);
    for (int i = 0; i < 300 && !status; i++)
        status = sx_event_stream_feed(&stream, block, sizeof block, &error);
    assert_int_equal(status, SX_E_LIMIT);
    sx_event_stream_clear(&stream);
    stream = (sx_event_stream){.take = gather, .user = &all};
    status = SX_OK;
    memcpy(block, "data:", 5);
    block[sizeof block - 1] = '\n';
    for (int i = 0; i < 300 && !status; i++)
        status = sx_event_stream_feed(&stream, block, sizeof block, &error);
    assert_int_equal(status, SX_E_LIMIT);
    sx_event_stream_clear(&stream);
    sx_buffer_clear(&all);
}

static const struct {
    const char *text, *cited; /* of four sources; x: there is none such */
} answers[] = {
    {"", ""}, {"none", ""}, {"[Source 1]", "1 "}, {"[source 2][SOURCE 1]", "2 1 "}, {"[Source 1, 3]", "1 3 "}, {"[Sources 1-3]", "1 2 3 "},
    {"[Sources 2\xe2\x80\x93" "4]", "2 3 4 "}, {"[Source 1; Source 2 and 3]", "1 2 3 "}, {"[Source 1 & 2]", "1 2 "}, {"[Source 5]", "5x "},
    {"[Source 0]", "0x "}, {"[Source 3-9]", "3 4 9x "}, {"[Source 9-3]", "9x 3 "}, {"[Source 1] and again [Source 1]", "1 "},
    {"[Source one] [Sourcery 1] [1] [Source]", ""}, {"[Source 1 says so]", ""}, {"[[Source 2]]", "2 "}, {"[Source 1", ""},
    {"[Source 99999999999999999999]", "1000000000x "}, {"[Sources 1-99999999999]", "1 2 3 4 1000000000x "}, {"[Source #2]", "2 "},
    {"[see [Source 4]]", "4 "},
};

static void citations_in_any_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        sx_citation *citations;
        size_t count;
        sx_error error;
        char got[256] = "";
        assert_int_equal(sx_ask_citations(answers[i].text, strlen(answers[i].text), 4, &citations, &count, &error), SX_OK);
        for (size_t j = 0; j < count; j++)
            snprintf(got + strlen(got), sizeof got - strlen(got), "%u%s ", citations[j].source, citations[j].valid ? "" : "x");
        if (strcmp(got, answers[i].cited) != 0)
            fail_msg("%s: %s, not %s", answers[i].text, got, answers[i].cited);
        free(citations);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_in_any_pieces),
        cmocka_unit_test(endless_lines_are_refused),
        cmocka_unit_test(citations_in_any_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
