/* test_stack_trace.c - stack traces as interpreters, runtimes and debuggers print them: which frames and exceptions are read, and in which
 * order; and that any text is read, mutated traces among them. */
#include "index/stack_trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Frames as FILE:LINE SYMBOL, innermost first, then exceptions as !NAME: MESSAGE. */
static const struct {
    const char *what, *text, *expected;
} cases[] = {
#include "stack_traces.h"
};
enum { CASES = sizeof cases / sizeof *cases };

static char *print(const sx_stack_trace *trace)
{
    sx_buffer out = {0};
    for (size_t i = 0; i < trace->frame_count; i++) {
        const sx_trace_frame *frame = &trace->frames[i];
        sx_buffer_append(&out, frame->file.data, frame->file.length);
        sx_buffer_printf(&out, ":%u ", frame->line);
        sx_buffer_append(&out, frame->symbol.data, frame->symbol.length);
        sx_buffer_append_byte(&out, '\n');
    }
    for (size_t i = 0; i < trace->error_count; i++) {
        sx_buffer_printf(&out, "!%.*s: ", (int)trace->errors[i].name.length, trace->errors[i].name.data);
        sx_buffer_append(&out, trace->errors[i].message.data, trace->errors[i].message.length);
        sx_buffer_append_byte(&out, '\n');
    }
    sx_buffer_append_string(&out, "");
    return sx_buffer_take(&out);
}

static void traces_are_read(void **state)
{
    bool wrong = false;
    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        sx_error error;
        sx_stack_trace trace;
        assert_int_equal(sx_stack_trace_read((sx_text){cases[i].text, strlen(cases[i].text)}, &trace, &error), SX_OK);
        char *found = print(&trace);
        assert_non_null(found);
        if (strcmp(found, cases[i].expected) != 0) {
            print_message("%s: expected\n%sbut found\n%s\n", cases[i].what, cases[i].expected, found);
            wrong = true;
        }
        free(found);
        sx_stack_trace_clear(&trace);
    }
    assert_false(wrong);
}

static void what_is_told(void **state)
{
    static const char text[] = "the nightly export fails since Monday\n"
                               "Traceback (most recent call last):\n"
                               "  File \"/srv/app/export.py\", line 12, in <module>\n"
                               "    main()\n"
                               "  File \"/srv/app/table.py\", line 80, in write_rows\n"
                               "    out.write(row[3])\n"
                               "              ~~~^^^\n"
                               "IndexError: list index out of range\n"
                               "exporter exited\n";
    sx_error error;
    sx_stack_trace trace;
    (void)state;
    assert_int_equal(sx_stack_trace_read((sx_text){text, strlen(text)}, &trace, &error), SX_OK);
    assert_string_equal(trace.told.data, "the nightly export fails since Monday\n"
                                         "IndexError: list index out of range\n"
                                         "write_rows table.py out.write(row[3])\n"
                                         " export.py main()\n"
                                         "exporter exited\n");
    assert_int_equal(trace.frames[0].code.length, strlen("out.write(row[3])"));
    sx_stack_trace_clear(&trace);
    /* No trace: nothing is taken from it. */
    assert_int_equal(sx_stack_trace_read((sx_text){"how are two processes kept apart", 32}, &trace, &error), SX_OK);
    assert_int_equal(trace.frame_count, 0);
    sx_stack_trace_clear(&trace);
    assert_int_equal(sx_stack_trace_read((sx_text){NULL, 0}, &trace, &error), SX_OK);
    sx_stack_trace_clear(&trace);
}

/* ---- Any text ---- */

static uint64_t random_state = 20261121;

static uint32_t next_random(uint32_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % below;
}

static void check(const char *text, size_t length)
{
    sx_error error;
    sx_stack_trace first, second;
    char *exact = malloc(length ? length : 1); /* so that what is read behind it is noticed */
    assert_non_null(exact);
    memcpy(exact, text, length);
    assert_int_equal(sx_stack_trace_read((sx_text){exact, length}, &first, &error), SX_OK);
    assert_int_equal(sx_stack_trace_read((sx_text){exact, length}, &second, &error), SX_OK);
    free(exact);
    assert_true(first.frame_count <= SX_TRACE_MOST_FRAMES);
    char *once = print(&first), *twice = print(&second);
    assert_string_equal(once, twice);
    for (size_t i = 0; i < first.frame_count; i++) {
        const sx_trace_frame *frame = &first.frames[i];
        assert_true(frame->file.length || frame->symbol.length);
        assert_null(frame->file.length ? memchr(frame->file.data, '\\', frame->file.length) : NULL);
        for (size_t j = 0; j < i; j++)
            assert_false(first.frames[j].line == frame->line && first.frames[j].file.length == frame->file.length &&
                         first.frames[j].symbol.length == frame->symbol.length &&
                         memcmp(first.frames[j].file.data, frame->file.data, frame->file.length) == 0 &&
                         memcmp(first.frames[j].symbol.data, frame->symbol.data, frame->symbol.length) == 0);
    }
    free(once);
    free(twice);
    sx_stack_trace_clear(&first);
    sx_stack_trace_clear(&second);
}

static void any_text_is_read(void **state)
{
    static const char bytes[] = "#:()<>{}@'`\"/\\.\n\r\t |+=*$-0 1at in line";
    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        size_t length = strlen(cases[i].text);
        char *text = malloc(2 * length + 2);
        assert_non_null(text);
        for (unsigned round = 0; round < 60; round++) {
            memcpy(text, cases[i].text, length);
            size_t now = length;
            for (unsigned change = 1 + next_random(8); change && now; change--) {
                size_t at = next_random((uint32_t)now), count = 1 + next_random(12);
                count = count < now - at ? count : now - at;
                switch (next_random(4)) {
                case 0: text[at] = bytes[next_random(sizeof bytes - 1)]; break;
                case 1: text[at] = (char)next_random(256); break;
                case 2: memmove(text + at, text + at + count, now - at - count); now -= count; break;
                default: now = at; break;
                }
            }
            check(text, now);
        }
        free(text);
    }
    for (unsigned round = 0; round < 300; round++) {
        char text[400];
        size_t length = next_random(sizeof text);
        for (size_t i = 0; i < length; i++)
            text[i] = next_random(10) ? bytes[next_random(sizeof bytes - 1)] : (char)next_random(256);
        check(text, length);
    }
}

/* Recursion fills a trace with the same few frames; what it began with and ended with stays. */
static void endless_traces_end(void **state)
{
    sx_buffer text = {0};
    sx_error error;
    sx_stack_trace trace;
    (void)state;
    sx_buffer_append_string(&text, "Exception in thread \"main\" java.lang.StackOverflowError\n");
    for (int i = 0; i < 50000; i++)
        sx_buffer_printf(&text, "\tat com.acme.Tree.%s(Tree.java:%d)\n", i % 2 ? "left" : "right", 10 + i % 2);
    sx_buffer_append_string(&text, "\tat com.acme.Main.main(Main.java:3)\n");
    assert_false(text.failed);
    assert_int_equal(sx_stack_trace_read((sx_text){text.data, text.length}, &trace, &error), SX_OK);
    assert_int_equal(trace.frame_count, 3);
    assert_string_equal(trace.frames[2].symbol.data, "Main.main");
    sx_stack_trace_clear(&trace);
    sx_buffer_reset(&text);
    for (int i = 0; i < 100000; i++)
        sx_buffer_printf(&text, "src/a%d.c:%d: warning\n", i, i + 1);
    assert_int_equal(sx_stack_trace_read((sx_text){text.data, text.length}, &trace, &error), SX_OK);
    assert_int_equal(trace.frame_count, SX_TRACE_MOST_FRAMES);
    sx_stack_trace_clear(&trace);
    sx_buffer_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(traces_are_read),
        cmocka_unit_test(what_is_told),
        cmocka_unit_test(any_text_is_read),
        cmocka_unit_test(endless_traces_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
