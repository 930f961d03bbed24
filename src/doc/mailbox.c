/* mailbox.c - the messages of an mbox file (RFC 4155): each begins with a line "From ADDRESS DATE" at the file's beginning or behind a
 * blank line.
 *
 * Not all programs mark such lines in the text of a message (with '>'), so one counts only if it has a time of day in it. */
#include "mailbox.h"

#include "reader.h"

#include <string.h>

const char sx_mailbox_media_type[] = "application/mbox";
const char sx_mail_media_type[] = "message/rfc822";

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool begins_message(const char *line, size_t length)
{
    if (length < 15 || memcmp(line, "From ", 5))
        return false;
    for (size_t i = 7; i + 2 < length; i++)
        if (line[i] == ':' && is_digit(line[i - 1]) && is_digit(line[i + 1]) && is_digit(line[i + 2]))
            return true;
    return false;
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
