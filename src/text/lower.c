/* lower.c - lower case by Unicode's SpecialCasing: code point by code point, but for the Greek sigma.
 *
 * U+03A3 becomes the final form where a word ends (Unicode 15, section 3.13, condition Final_Sigma): a cased letter stands
 * before it and none behind it, characters that case ignores (accents, apostrophes, soft hyphens) not counted.
 */
#include "lower.h"

#include "unicode.h"
#include "utf8.h"

#include <utf8proc.h>

enum { CAPITAL_SIGMA = 0x03a3, SMALL_SIGMA = 0x03c3, FINAL_SIGMA = 0x03c2 };

/* Word_Break MidLetter, MidNumLet and Single_Quote: ignored by case, whatever their category. */
static bool joins_words(uint32_t code)
{
    static const uint32_t codes[] = {0x27,   0x2e,   0x3a,   0xb7,   0x387,  0x55f,  0x5f4,  0x2018, 0x2019, 0x2024,
                                     0x2027, 0xfe13, 0xfe52, 0xfe55, 0xff07, 0xff0e, 0xff1a};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i] == code)
            return true;
    return false;
}

static bool is_ignored(uint32_t code)
{
    switch (utf8proc_category((utf8proc_int32_t)code)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
        return true;
    default:
        return joins_words(code);
    }
}

static bool is_cased(uint32_t code)
{
    switch (utf8proc_category((utf8proc_int32_t)code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
        return true;
    default: /* Other_Lowercase and Other_Uppercase, as far as they are not ignored anyway */
        return code == 0xaa || code == 0xba || (code >= 0x2160 && code <= 0x217f) || (code >= 0x24b6 && code <= 0x24e9) ||
               (code >= 0x1f130 && code <= 0x1f149) || (code >= 0x1f150 && code <= 0x1f169) ||
               (code >= 0x1f170 && code <= 0x1f189);
    }
}

/* Whether a cased letter comes next, over what is ignored. */
static bool cased_follows(const char *text, size_t length, size_t position)
{
    while (position < length) {
        sx_code_point point = sx_utf8_decode(text + position, length - position);
        if (!is_ignored(point.code))
            return is_cased(point.code);
        position += point.length;
    }
    return false;
}

bool sx_text_lower(const char *text, size_t length, sx_buffer *buffer)
{
    bool after_cased = false; /* the last character that is not ignored is a cased letter */
    for (size_t i = 0; i < length;) {
        sx_code_point point = sx_utf8_decode(text + i, length - i);
        uint32_t lower[2];
        unsigned count = 1;
        char bytes[4];
        i += point.length;
        if (point.code == CAPITAL_SIGMA)
            lower[0] = after_cased && !cased_follows(text, length, i) ? FINAL_SIGMA : SMALL_SIGMA;
        else
            count = sx_unicode_lower(point.code, lower);
        if (!is_ignored(point.code))
            after_cased = is_cased(point.code);
        for (unsigned j = 0; j < count; j++)
            sx_buffer_append(buffer, bytes, sx_utf8_encode(lower[j], bytes));
    }
    return !buffer->failed;
}
