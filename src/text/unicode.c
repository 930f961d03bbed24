/* unicode.c - character classes and mappings over utf8proc's tables (Unicode Standard Annexes 15 and 44).
 *
 * tests/unit/test_text.c compares the outcome for every code point with what the tokenizers library did. */
#include "unicode.h"

#include "utf8.h"

#include <stddef.h>
#include <utf8proc.h>

typedef struct code_range {
    uint32_t first, last;
} code_range;

/* Where punctuation, format characters and non-spacing marks were added behind version 8 of the standard. tokenizers, whose
 * categories are of that version, takes them for unassigned. Characters of other categories inside a range do not matter. */
static const code_range unassigned[] = {
    {0x061d, 0x061d}, {0x07fd, 0x07fd}, {0x0890, 0x08e2}, {0x09fd, 0x09fe}, {0x0a76, 0x0a76}, {0x0afa, 0x0aff},
    {0x0b55, 0x0b55}, {0x0c04, 0x0c3c}, {0x0c77, 0x0c77}, {0x0c84, 0x0c84}, {0x0d00, 0x0d00}, {0x0d3b, 0x0d3c},
    {0x0d81, 0x0d81}, {0x0eba, 0x0eba}, {0x180f, 0x1886}, {0x1abf, 0x1ace}, {0x1b7d, 0x1b7e}, {0x1df6, 0x1dfb},
    {0x2e43, 0x2e5d}, {0xa82c, 0xa82c}, {0xa8c5, 0xa8c5}, {0xa8ff, 0xa8ff}, {0xa9bd, 0xa9bd}, {0x10d24, 0x10f89},
    {0x11070, 0x11074}, {0x110c2, 0x110cd}, {0x111cf, 0x111cf}, {0x1123e, 0x1123e}, {0x1133b, 0x1133b}, {0x11438, 0x1145e},
    {0x11660, 0x1166c}, {0x116b9, 0x116b9}, {0x1182f, 0x11fff}, {0x12ff1, 0x13438}, {0x16e97, 0x16f4f}, {0x16fe2, 0x16fe4},
    {0x1cf00, 0x1cf46}, {0x1e000, 0x1e2ef}, {0x1e944, 0x1e95f},
};

/* Letters whose lower case came with versions 15 to 17 of the standard; `distance` leads from one to the other. */
static const struct {
    uint32_t first, last;
    int32_t distance;
} later_lower[] = {
    {0x1c89, 0x1c89, 1},      {0xa7cb, 0xa7cb, 0x264 - 0xa7cb}, {0xa7cc, 0xa7cc, 1}, {0xa7ce, 0xa7ce, 1},
    {0xa7d2, 0xa7d2, 1},      {0xa7d4, 0xa7d4, 1},              {0xa7da, 0xa7da, 1}, {0xa7dc, 0xa7dc, 0x19b - 0xa7dc},
    {0x10d50, 0x10d65, 0x20}, {0x16ea0, 0x16eb8, 0x1b},
};

/* Canadian syllabics chi sign and Sharada sandhi mark were punctuation, Hanunoo pamudpod a non-spacing mark; Dives Akuru vowel
 * sign au has no decomposition before version 13. */
enum { CANADIAN_CHI = 0x166d, SHARADA_SANDHI = 0x111c9, HANUNOO_PAMUDPOD = 0x1734, DIVES_AKURU_AU = 0x11938 };

static bool is_unassigned(uint32_t code)
{
    size_t low = 0, high = sizeof unassigned / sizeof unassigned[0];
    if (code < unassigned[0].first)
        return false;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (code > unassigned[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < sizeof unassigned / sizeof unassigned[0] && code >= unassigned[low].first;
}

static utf8proc_category_t category(uint32_t code)
{
    return code > SX_LAST_CODE_POINT ? UTF8PROC_CATEGORY_CN : utf8proc_category((utf8proc_int32_t)code);
}

bool sx_unicode_is_other(uint32_t code)
{
    utf8proc_category_t kind = category(code);
    if (kind == UTF8PROC_CATEGORY_CC || kind == UTF8PROC_CATEGORY_CO || kind == UTF8PROC_CATEGORY_CS)
        return true;
    return kind == UTF8PROC_CATEGORY_CF && !is_unassigned(code);
}

bool sx_unicode_is_nonspacing_mark(uint32_t code)
{
    if (code < 0x300)
        return false;
    if (code == HANUNOO_PAMUDPOD)
        return true;
    return category(code) == UTF8PROC_CATEGORY_MN && code != SHARADA_SANDHI && !is_unassigned(code);
}

bool sx_unicode_is_punctuation(uint32_t code)
{
    if (code == CANADIAN_CHI || code == SHARADA_SANDHI)
        return true;
    utf8proc_category_t kind = category(code);
    return kind >= UTF8PROC_CATEGORY_PC && kind <= UTF8PROC_CATEGORY_PO && !is_unassigned(code);
}

bool sx_unicode_is_space(uint32_t code)
{
    if (code < 0x80)
        return code == ' ' || (code >= 9 && code <= 13);
    return code == 0x85 || code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 ||
           code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

bool sx_unicode_is_python_space(uint32_t code)
{
    return sx_unicode_is_space(code) || (code >= 0x1c && code <= 0x1f);
}

bool sx_unicode_is_word(uint32_t code)
{
    if (code == 0x200c || code == 0x200d)
        return true;
    switch (category(code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    case UTF8PROC_CATEGORY_SO: /* circled and squared Latin letters are alphabetic */
        return (code >= 0x24b6 && code <= 0x24e9) || (code >= 0x1f130 && code <= 0x1f149) ||
               (code >= 0x1f150 && code <= 0x1f169) || (code >= 0x1f170 && code <= 0x1f189);
    default:
        return false;
    }
}

bool sx_unicode_is_chinese(uint32_t code)
{
    if (code < 0x3400)
        return false;
    if (code < 0x10000)
        return code <= 0x4dbf || (code >= 0x4e00 && code <= 0x9fff) || (code >= 0xf900 && code <= 0xfaff);
    /* Extension E begins at U+2B820; tokenizers begins 0x100 later, and its ids are what counts. */
    return (code >= 0x20000 && code <= 0x2a6df) || (code >= 0x2a700 && code <= 0x2b73f) ||
           (code >= 0x2b740 && code <= 0x2b81f) || (code >= 0x2b920 && code <= 0x2ceaf) ||
           (code >= 0x2f800 && code <= 0x2fa1f);
}

unsigned sx_unicode_combining_class(uint32_t code)
{
    if (code < 0x300 || code > SX_LAST_CODE_POINT)
        return 0;
    return (unsigned)utf8proc_get_property((utf8proc_int32_t)code)->combining_class;
}

unsigned sx_unicode_decompose(uint32_t code, uint32_t to[SX_MOST_DECOMPOSED])
{
    utf8proc_int32_t decomposed[SX_MOST_DECOMPOSED];
    int boundary = 0;
    to[0] = code;
    if (code < 0xc0 || code == DIVES_AKURU_AU || code > SX_LAST_CODE_POINT)
        return 1;
    utf8proc_ssize_t count = utf8proc_decompose_char((utf8proc_int32_t)code, decomposed, SX_MOST_DECOMPOSED,
                                                     UTF8PROC_DECOMPOSE, &boundary);
    if (count < 1 || count > SX_MOST_DECOMPOSED)
        return 1;
    for (utf8proc_ssize_t i = 0; i < count; i++)
        to[i] = (uint32_t)decomposed[i];
    return (unsigned)count;
}

unsigned sx_unicode_lower(uint32_t code, uint32_t to[2])
{
    to[0] = code;
    if (code < 0x80) {
        if (code >= 'A' && code <= 'Z')
            to[0] = code + ('a' - 'A');
        return 1;
    }
    if (code == 0x130) { /* I with dot above: the one letter whose lower case is two code points */
        to[0] = 'i';
        to[1] = 0x307;
        return 2;
    }
    if (code > SX_LAST_CODE_POINT)
        return 1;
    to[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)code);
    if (to[0] == code && code >= later_lower[0].first)
        for (size_t i = 0; i < sizeof later_lower / sizeof later_lower[0]; i++)
            if (code >= later_lower[i].first && code <= later_lower[i].last)
                to[0] = (uint32_t)((int32_t)code + later_lower[i].distance);
    return 1;
}
