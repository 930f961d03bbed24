/* test_mail.c - e-mail: what is read of messages and mailboxes, the lines it stands on, hostile nesting and sizes, random mutations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buffer.h"
#include "doc/document.h"
#include "doc/mailbox.h"
#include "doc/mime_body.h"
#include "doc/mime_header.h"
#include "text/encoding.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char mail_type[] = "message/rfc822", box_type[] = "application/mbox";

typedef struct expectation {
    const char *media_type, *source;
    const char *text, *title, *author, *date, *metadata, *note, *encoding;
    const char *lines; /* "words=line ...": the line of the source that a line of the text with these words stands on */
} expectation;

#define PARTS "From: a@b.c\nSubject: Parts\nMIME-Version: 1.0\nContent-Type: multipart/"

static const expectation messages[] = {
    {mail_type,
     "Received: from x\n\tby y; Mon\r\nFrom: \"Ada Example\" <ada@example.org>\nTo: Bo <bo@example.org>,\n Cy <cy@example.org>\nSubject: The "
     "harbour\n  plan\nDate: Tue, 1 Jul 2003 10:52:37 +0200\nMessage-ID: <1@example.org>\n\nDear Bo,\n\nit opens\nat six.\n\n\n-- \nAda\n",
     "The harbour plan\n\nFrom: \"Ada Example\" <ada@example.org>\nTo: Bo <bo@example.org>, Cy <cy@example.org>\nDate: Tue, 1 Jul 2003 "
     "10:52:37 +0200\n\nDear Bo,\n\nit opens\nat six.\n\n-- \nAda",
     "The harbour plan", "Ada Example", "2003-07-01",
     "{\"subject\":\"The harbour plan\",\"from\":\"\\\"Ada Example\\\" <ada@example.org>\",\"to\":\"Bo <bo@example.org>, Cy "
     "<cy@example.org>\",\"message_id\":\"<1@example.org>\"}",
     "", "utf-8", "harbour=6 From=3 To=4 Date=8 Dear=11 opens=13 six=14 Ada$=18"},
    {mail_type, "From: b@c.d\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nCaf=E9 is a =\nlong "
                "line.  \nNext =\n=3D end.\n",
     "From: b@c.d\n\nCaf\xc3\xa9 is a long line.\nNext = end.", "", "b@c.d", "", "{\"from\":\"b@c.d\"}", "", "windows-1252", "long=5 Next=7"},
    {mail_type, "Subject: =?utf-8?B?SGFmZW4gw7ZmZm5ldA==?= =?utf-8?q?_um_?=\n =?ISO-8859-1?Q?f=FCnf?= (now)\nContent-Transfer-Encoding: "
                "base64\n\nT25lIGxpbmUKYW5kIGFub3RoZXIu\n",
     "Hafen \xc3\xb6" "ffnet um f\xc3\xbcnf (now)\n\nOne line\nand another.", "Hafen \xc3\xb6" "ffnet um f\xc3\xbcnf (now)", "", "",
     "{\"subject\":\"Hafen \xc3\xb6" "ffnet um f\xc3\xbcnf (now)\"}", "", "utf-8", "Hafen=1 One=5"},
    {mail_type,
     PARTS "alternative; boundary=\"x y\"\n\npreamble\n--x y\nContent-Type: text/html\n\n<p>Rich\n--x "
           "y\n\nPlain\n--x y--\nepilogue\n",
     "Parts\n\nFrom: a@b.c\n\nPlain", "Parts", "a@b.c", "", "{\"subject\":\"Parts\",\"from\":\"a@b.c\"}", "", "utf-8", "Plain=13"},
    {mail_type, PARTS "alternative; boundary=x\n\n--x\n\n  \n--x\nContent-Type: text/html; charset=utf-8\n\n<h2>Rich</h2><p>Text\n--x--\n",
     "Parts\n\nFrom: a@b.c\n\nRich\n\nText", "Parts", "a@b.c", "", "{\"subject\":\"Parts\",\"from\":\"a@b.c\"}", "", "utf-8", "Rich=12 Text=12"},
    {mail_type,
     PARTS "mixed; boundary=x\n\n--x\n\nSee below.\n--x\nContent-Type: application/pdf; name=old.pdf\nContent-Disposition: attachment;\n "
           "filename*0*=utf-8'en'Pl%C3%A4; filename*1=\"ne.pdf\"\nContent-Transfer-Encoding: base64\n\nAAAA\n--x\nContent-Type: text/plain; "
           "name=notes.txt\nContent-Disposition: attachment\n\nhidden words\n--x--\n",
     "Parts\n\nFrom: a@b.c\n\nSee below.\n\nnotes.txt\n\nhidden words", "Parts", "a@b.c", "",
     "{\"subject\":\"Parts\",\"from\":\"a@b.c\",\"attachments\":\"Pl\xc3\xa4ne.pdf, notes.txt\"}",
     "1 attachment is not read: Pl\xc3\xa4ne.pdf (not a PDF: it does not begin with %PDF-)", "utf-8", "See=8 notes=17 hidden=20"},
    /* Attachments come behind the text, whatever they are sent as; what is no text, has no words or is not read is named. */
    {mail_type,
     PARTS "mixed; boundary=x\n\n--x\nContent-Type: application/octet-stream; name=\"log.md\"\nContent-Transfer-Encoding: base64\n\n"
           "IyBMb2cKCm9uZSB3b3JkCg==\n--x\n\nBelow.\n--x\nContent-Type: image/png; name=p.png\n\nx\n--x\nContent-Type: "
           "application/octet-stream\n\nx\n--x\nContent-Type: text/plain; name=blank.txt\nContent-Disposition: attachment\n\n \n--x\n"
           "Content-Type: application/octet-stream; name=bytes.txt\nContent-Transfer-Encoding: base64\n\nAAECAwAB\n--x\nContent-Type: "
           "text/html; name=page.html\nContent-Disposition: attachment\n\n<h1>Rich</h1><p>page\n--x\nContent-Type: message/rfc822\n"
           "Content-Disposition: attachment\n\nSubject: Inner\n\nInner text\n--x--\n",
     "Parts\n\nFrom: a@b.c\n\nBelow.\n\nInner\n\nInner text\n\nlog.md\n\n# Log\n\none word\n\npage.html\n\nRich\n\npage", "Parts", "a@b.c", "",
     "{\"subject\":\"Parts\",\"from\":\"a@b.c\",\"attachments\":\"log.md, p.png, application/octet-stream, blank.txt, bytes.txt, page.html\"}",
     "4 attachments are not read: p.png (image/png), application/octet-stream, blank.txt (text/plain), bytes.txt "
     "(application/octet-stream)",
     "utf-8", "Below=13 text=43 log=7 one=10 page$=36"},
    {mail_type,
     PARTS "mixed; boundary=x\n\n--x\n\nForwarded:\n--x\nContent-Type: message/rfc822\n\nSubject: Inner\nFrom: c@d.e\n\nInner "
           "text\n--x--\n",
     "Parts\n\nFrom: a@b.c\n\nForwarded:\n\nInner\n\nFrom: c@d.e\n\nInner text", "Parts", "a@b.c", "",
     "{\"subject\":\"Parts\",\"from\":\"a@b.c\"}", "", "utf-8", "Inner$=12 text=15"},
    /* As found in the wild: no boundary, none that occurs, an unknown encoding, no blank line, only carriage returns. */
    {mail_type, PARTS "mixed\n\ntext all the same\n", "Parts\n\nFrom: a@b.c\n\ntext all the same", "Parts", "a@b.c", "",
     "{\"subject\":\"Parts\",\"from\":\"a@b.c\"}", "", "utf-8", "same=6"},
    {mail_type, "From: a@b.c\nContent-Transfer-Encoding: x-uuencode\n\nbegin 644 x\n", "From: a@b.c", "", "a@b.c", "",
     "{\"from\":\"a@b.c\",\"attachments\":\"text/plain\"}", "1 attachment is not read: text/plain", "utf-8", ""},
    {mail_type, "\nFrom joe Mon Jan  1 00:00:00 2001\nSubject: x\nthis is no field\nmore\n", "x\n\nthis is no field\nmore", "x", "", "",
     "{\"subject\":\"x\"}", "", "utf-8", "field=4 more=5"},
    {mail_type, "Subject: x\rDate: 3 Feb 99 1:2:3\r\rbody\r", "x\n\nDate: 3 Feb 99 1:2:3\n\nbody", "x", "", "1999-02-03", "{\"subject\":\"x\"}", "",
     "utf-8", ""},
    {box_type,
     "From ada Mon Jan  1 00:00:00 2001\nSubject: One\n\nfirst\n\nFrom here on it is text\n\nFrom bo Mon Jan  1 00:00:00 2001\nSubject: "
     "Two\n\nsecond\n",
     "One\n\nfirst\n\nFrom here on it is text\n\nTwo\n\nsecond", "One", "", "", "", "", "utf-8", "first=4 here=6 Two=9 second=11"},
};

static void check_lines(const sx_document *document, const expectation *e)
{
    for (const char *at = e->lines; *at;) {
        size_t length = strcspn(at, "=");
        char words[32], *end;
        memcpy(words, at, length);
        bool at_end = words[length - 1] == '$';
        words[length - at_end] = '\0';
        unsigned long wanted = strtoul(at + length + 1, &end, 10);
        at = end + (*end == ' ');
        const char *found = document->text;
        do {
            found = strstr(found, words);
            if (!found)
                fail_msg("%s is not in %s", words, document->text);
        } while (at_end && found[strlen(words)] && found[strlen(words)] != '\n' && found++);
        uint64_t place = (uint64_t)(found - document->text);
        size_t i = document->source_place_count;
        while (i && document->source_places[i - 1].start > place)
            i--;
        assert_true(i > 0);
        const sx_source_place *source = &document->source_places[i - 1];
        unsigned long line = source->line;
        for (uint64_t j = source->start; j < place && !source->fixed; j++)
            line += document->text[j] == '\n';
        if (line != wanted)
            fail_msg("%s: line %lu, not %lu, of\n%s", words, line, wanted, e->source);
    }
}

static void test_messages(void **state)
{
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        const expectation *e = &messages[i];
        sx_document document;
        sx_error error = {0};
        if (sx_document_parse(e->source, strlen(e->source), e->media_type, &document, &error))
            fail_msg("message %zu: %s", i, error.message);
        assert_string_equal(document.text, e->text);
        assert_string_equal(document.title, e->title);
        assert_string_equal(document.author, e->author);
        assert_string_equal(document.date, e->date);
        assert_string_equal(document.metadata, e->metadata);
        assert_string_equal(document.note, e->note);
        assert_string_equal(document.encoding, e->encoding);
        check_lines(&document, e);
        sx_document_clear(&document);
    }
}

static void expect_refused(const char *source, const char *media_type, const char *message)
{
    sx_document document;
    sx_error error = {0};
    assert_int_equal(sx_document_parse(source, strlen(source), media_type, &document, &error), SX_E_UNSUPPORTED);
    assert_string_equal(error.message, message);
}

static void test_refusals(void **state)
{
    expect_refused("just words\n\nand more", mail_type, "not an e-mail: it has no field From, Subject or Date");
    expect_refused("MIME-Version: 1.0\nContent-Type: image/png\n\nxyz", mail_type, "e-mail without text");
    expect_refused("Subject: x\n\nno box", box_type, "not a mailbox: it does not begin with a line \"From ADDRESS DATE\"");
}

static void test_words(void **state)
{
    static const struct {
        const char *value, *words;
    } rows[] = {
        {"plain", "plain"},
        {"=?us-ascii?q?a?=  =?us-ascii?q?b?=", "ab"},
        {"=?utf-8?b?w?=\n =?utf-8?b?6Q==?=", "\xc3\xa9"}, /* one character in two words */
        {"a =?utf-8?q?b?= c", "a b c"},
        {"=?utf-8*en?Q?x=20y?=", "x y"},
        {"=?x?y?=", "=?x?y?="},
        {"=?utf-8?q?open", "=?utf-8?q?open"},
        {"=?koi8-r?B?8NLJ18XU?=", "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82"},
        {"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "\xe6\x97\xa5\xe6\x9c\xac"},
        {"\xe9t\xe9", "\xc3\xa9t\xc3\xa9"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        sx_buffer words = {0};
        sx_mime_words((sx_text){rows[i].value, strlen(rows[i].value)}, &words);
        assert_string_equal(words.data, rows[i].words);
        sx_buffer_clear(&words);
    }
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

/* 10,000 parts in one another, each with its own boundary. */
static char *nest(size_t *length)
{
    sx_buffer buffer = {0};
    sx_buffer_append_string(&buffer, "Subject: deep\n");
    for (unsigned i = 0; i < 10000; i++)
        sx_buffer_printf(&buffer, "Content-Type: multipart/mixed; boundary=b%u\n\n--b%u\n", i, i);
    sx_buffer_append_string(&buffer, "\ndeep words\n");
    *length = buffer.length;
    return sx_buffer_take(&buffer);
}

static void test_hostile_mail_is_bounded_in_time(void **state)
{
    static const struct {
        const char *media_type, *prefix, *part, *suffix;
        size_t count;
        const char *note;
    } rows[] = {
        {mail_type, NULL, NULL, NULL, 0, "parts nested more than 32 deep are not read"},
        {mail_type, "Subject: ", "very ", "\n\nbody", 4000000, ""},
        {mail_type, "Subject: x\n", "X-Filler: y\n", "\nbody", 1000000, ""},
        {mail_type, "Subject: ", "=?utf-8?q?a?= ", "\n\nbody", 1000000, ""},
        {mail_type, "Subject: ", "=?", "\n\nbody", 2000000, ""},
        {mail_type, "Subject: x\nContent-Type: text/plain", "; a=b", "\n\nbody", 1000000, ""},
        {mail_type, "Subject: x\nContent-Type: text/plain; a=", "(", "\n\nbody", 2000000, ""},
        {mail_type, "Subject: x\n\n", "a\r", "", 4000000, ""},
        {mail_type, "Subject: x\nContent-Type: multipart/mixed; boundary=b\n\nbody\n", "--b\n\nx\n", "", 300000,
         "of more than 10000 parts the rest is not read"},
        {mail_type, "Subject: x\nContent-Type: multipart/mixed; boundary=b\n\nbody\n", "--b", "", 2000000, ""},
        {mail_type, "Subject: x\nContent-Type: multipart/digest; boundary=b\n\n", "--b\n\n", "", 300000,
         "of more than 10000 parts the rest is not read"},
        {mail_type, "Subject: x\n\n", "a =?\n\n", "", 500000, ""},
        {box_type, "", "From a Mon Jan  1 00:00:00 2001\nSubject: x\n\n", "", 100000, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t length;
        char *source = rows[i].part ? repeat(rows[i].prefix, rows[i].part, rows[i].count, rows[i].suffix, &length) : nest(&length);
        sx_document document;
        sx_error error = {0};
        clock_t begin = clock();
        sx_status status = sx_document_parse(source, length, rows[i].media_type, &document, &error);
        double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
        if (seconds >= 3.0)
            fail_msg("row %zu took %.1f s", i, seconds);
        if (status)
            fail_msg("row %zu: %s", i, error.message);
        assert_string_equal(document.note, rows[i].note);
        sx_document_clear(&document);
        free(source);
    }
}

static void check_promises(const sx_document *document, uint32_t lines)
{
    uint64_t at = 0;
    assert_int_equal(sx_encoding_utf8_prefix(document->text, document->length), document->length);
    for (size_t i = 0; i < document->block_count; i++) {
        const sx_block *block = &document->blocks[i];
        assert_true(block->start >= at && block->start < block->end && block->end <= document->length);
        assert_true(sx_encoding_is_blank(document->text + at, block->start - at));
        at = block->end;
    }
    assert_true(sx_encoding_is_blank(document->text + at, document->length - at));
    for (size_t i = 0; i < document->source_place_count; i++) {
        const sx_source_place *place = &document->source_places[i];
        assert_true(place->start < document->length && place->line >= 1 && place->line <= lines);
        assert_true(!i || place[-1].start < place->start);
    }
}

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

static void test_mutated_mail_keeps_the_promises(void **state)
{
    static const char pieces[] = "\n\n\n--=?;:\"()\\ \t<>%*'\r\0\xff\xc3\xa9";
    uint64_t seed = 7;
    char mutated[2048];
    size_t read = 0;
    for (int round = 0; round < 30000; round++) {
        const expectation *e = &messages[next_random(&seed) % (sizeof messages / sizeof *messages)];
        size_t length = strlen(e->source);
        memcpy(mutated, e->source, length);
        for (uint64_t n = 1 + next_random(&seed) % 6; n && length; n--) {
            size_t at = next_random(&seed) % length;
            switch (next_random(&seed) % 4) {
            case 0: mutated[at] = pieces[next_random(&seed) % (sizeof pieces - 1)]; break;
            case 1: length = length - at > 40 ? length - next_random(&seed) % 40 : at; break;
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
        uint32_t lines = 1;
        for (size_t i = 0; i < length; i++)
            lines += mutated[i] == '\n';
        sx_status status = sx_document_parse(mutated, length, e->media_type, &document, &error);
        if (status)
            assert_true(status == SX_E_UNSUPPORTED && error.message[0]);
        else
            check_promises(&document, lines);
        read += !status;
        sx_document_clear(&document);
    }
    assert_true(read > 15000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_hostile_mail_is_bounded_in_time),
        cmocka_unit_test(test_mutated_mail_keeps_the_promises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
