/* mailbox.c - the messages of an mbox file (RFC 4155): each begins with a line "From ADDRESS DATE" at the file's beginning or
 * behind a blank line.
 *
 * Not all programs mark such lines in the text of a message (with '>'), so one counts only if a month, a time of day and a year
 * stand in it: programs differ in all else they write there (zones, "remote from HOST", "-" for the address). */
#include "mailbox.h"

#include "reader.h"

#include <string.h>

const char sx_mailbox_media_type[] = "application/mbox";
const char sx_mail_media_type[] = "message/rfc822";

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_month(const char *word)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (size_t i = 0; i + 3 < sizeof months; i += 3)
        if (!memcmp(months + i, word, 3))
            return true;
    return false;
}

static bool is_time(const char *word, size_t length)
{
    const char *colon = memchr(word, ':', length < 3 ? length : 3);
    size_t after = colon ? (size_t)(colon - word) + 1 : length;
    return colon && colon > word && is_digit(word[0]) && is_digit(colon[-1]) && after + 1 < length && is_digit(word[after]) &&
           is_digit(word[after + 1]);
}

static bool begins_message(const char *line, size_t length)
{
    bool month = false, time = false, year = false;
    if (length < 15 || memcmp(line, "From ", 5))
        return false;
    for (size_t at = 5, end; at < length; at = end + 1) {
        const char *space = memchr(line + at, ' ', length - at);
        end = space ? (size_t)(space - line) : length;
        const char *word = line + at;
        size_t size = end - at;
        month = month || (size == 3 && is_month(word));
        time = time || is_time(word, size);
        year = year || (size == 4 && is_digit(word[0]) && is_digit(word[1]) && is_digit(word[2]) && is_digit(word[3]));
    }
    return month && time && year;
}

bool sx_mailbox_next(const char *text, size_t length, size_t *at, sx_text *message)
{
    sx_line line;
    size_t place = *at;
    /* *at is 0 or the place of a "From " line. */
    while (sx_line_at(text, length, place, &line) && line.blank)
        place = line.next;
    if (place >= length || !begins_message(text + line.content, line.end - line.content))
        return false;
    size_t start = line.next;
    bool blank = false;
    for (place = start; sx_line_at(text, length, place, &line); place = line.next) {
        if (blank && begins_message(text + line.start, line.end - line.start))
            break;
        blank = line.blank;
    }
    *at = place;
    *message = (sx_text){text + start, place - start};
    return true;
}
