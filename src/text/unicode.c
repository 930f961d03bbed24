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

/* What version 8 of the standard, the one tokenizers takes categories from, had not assigned. Between two punctuation characters,
 * format characters or non-spacing marks of that version one range covers everything, since other categories do not matter;
 * and it covers what is still free today, so that a newer utf8proc changes nothing. */
static const code_range unassigned[] = {
    {0x0378, 0x0379}, {0x0380, 0x0383}, {0x038b, 0x03a2}, {0x0530, 0x0558}, {0x058b, 0x0590}, {0x05c8, 0x05ee},
    {0x05f5, 0x05ff}, {0x061d, 0x061d}, {0x070e, 0x070e}, {0x074b, 0x074c}, {0x07b2, 0x07bf}, {0x07fb, 0x07fd},
    {0x082e, 0x082f}, {0x083f, 0x083f}, {0x085c, 0x085d}, {0x085f, 0x08e2}, {0x0984, 0x09bb}, {0x09c5, 0x09ca},
    {0x09cf, 0x09de}, {0x09e4, 0x0a00}, {0x0a04, 0x0a3b}, {0x0a3d, 0x0a3d}, {0x0a43, 0x0a46}, {0x0a49, 0x0a4a},
    {0x0a4e, 0x0a50}, {0x0a52, 0x0a65}, {0x0a76, 0x0a80}, {0x0a84, 0x0abb}, {0x0ac6, 0x0ac6}, {0x0aca, 0x0aca},
    {0x0ace, 0x0adf}, {0x0ae4, 0x0ae5}, {0x0af2, 0x0b00}, {0x0b04, 0x0b3b}, {0x0b45, 0x0b4a}, {0x0b4e, 0x0b55},
    {0x0b58, 0x0b5e}, {0x0b64, 0x0b81}, {0x0b84, 0x0bbd}, {0x0bc3, 0x0bc9}, {0x0bce, 0x0bff}, {0x0c04, 0x0c3c},
    {0x0c45, 0x0c45}, {0x0c49, 0x0c49}, {0x0c4e, 0x0c54}, {0x0c57, 0x0c5f}, {0x0c64, 0x0c77}, {0x0c84, 0x0cbb},
    {0x0cc5, 0x0cc5}, {0x0cc9, 0x0cc9}, {0x0cce, 0x0cdf}, {0x0ce4, 0x0d00}, {0x0d0d, 0x0d3c}, {0x0d45, 0x0d49},
    {0x0d50, 0x0d53}, {0x0d64, 0x0dc9}, {0x0dcb, 0x0dce}, {0x0dd5, 0x0dd5}, {0x0dd7, 0x0df1}, {0x0df5, 0x0e00},
    {0x0e3b, 0x0e3e}, {0x0e5c, 0x0ea6}, {0x0eba, 0x0eba}, {0x0ebe, 0x0ec7}, {0x0ece, 0x0eff}, {0x0f48, 0x0f70},
    {0x0f98, 0x0f98}, {0x0fbd, 0x0fbd}, {0x0fcd, 0x0fcd}, {0x0fdb, 0x0fff}, {0x10c6, 0x10cf}, {0x1249, 0x135c},
    {0x137d, 0x13ff}, {0x169d, 0x169f}, {0x16f9, 0x16ff}, {0x1716, 0x171e}, {0x1737, 0x173f}, {0x1754, 0x1771},
    {0x1774, 0x177f}, {0x17de, 0x17ff}, {0x180f, 0x1886}, {0x18ab, 0x191f}, {0x192c, 0x192f}, {0x193c, 0x1943},
    {0x196e, 0x19dd}, {0x1a1c, 0x1a1d}, {0x1a5f, 0x1a5f}, {0x1a7d, 0x1a7e}, {0x1a8a, 0x1a9f}, {0x1aae, 0x1aaf},
    {0x1abf, 0x1aff}, {0x1b4d, 0x1b4f}, {0x1b7d, 0x1b7f}, {0x1bf4, 0x1bfb}, {0x1c38, 0x1c3a}, {0x1c4a, 0x1c4c},
    {0x1c89, 0x1cbc}, {0x1cc8, 0x1ccf}, {0x1cfb, 0x1cff}, {0x1df6, 0x1dfb}, {0x1f16, 0x1fff}, {0x2065, 0x2065},
    {0x2072, 0x2073}, {0x208f, 0x20cf}, {0x20f1, 0x218f}, {0x2427, 0x245f}, {0x2b74, 0x2b96}, {0x2cf4, 0x2cf8},
    {0x2d26, 0x2d6e}, {0x2d71, 0x2d7e}, {0x2d97, 0x2ddf}, {0x2e43, 0x2fff}, {0x3040, 0x3098}, {0x3100, 0xa4cf},
    {0xa62c, 0xa63f}, {0xa6f8, 0xa7f1}, {0xa82c, 0xa83f}, {0xa878, 0xa87f}, {0xa8c5, 0xa8cd}, {0xa8da, 0xa8df},
    {0xa8ff, 0xa8ff}, {0xa954, 0xa95e}, {0xa97d, 0xa97f}, {0xa9bd, 0xa9bd}, {0xa9ce, 0xa9dd}, {0xa9ff, 0xa9ff},
    {0xaa37, 0xaa3f}, {0xaa4e, 0xaa5b}, {0xaac3, 0xaada}, {0xaaf7, 0xab6f}, {0xabee, 0xfb1c}, {0xfb37, 0xfbd2},
    {0xfd90, 0xfdef}, {0xfe1a, 0xfe1f}, {0xfe53, 0xfe53}, {0xfe67, 0xfe67}, {0xfe6c, 0xfefe}, {0xff00, 0xff00},
    {0xffbf, 0xfff8}, {0xfffe, 0x100ff}, {0x10103, 0x101cf}, {0x101fe, 0x102df}, {0x102fc, 0x1034f}, {0x1037b, 0x1039e},
    {0x103c4, 0x103c7}, {0x103d6, 0x1056e}, {0x1057b, 0x10856}, {0x1089f, 0x1091e}, {0x1093a, 0x1093e}, {0x10940, 0x109d1},
    {0x10a04, 0x10a04}, {0x10a07, 0x10a0b}, {0x10a14, 0x10a37}, {0x10a3b, 0x10a3e}, {0x10a49, 0x10a4f}, {0x10a59, 0x10a5f},
    {0x10aa0, 0x10abf}, {0x10ae7, 0x10aea}, {0x10af7, 0x10b38}, {0x10b56, 0x10b98}, {0x10b9d, 0x10fff}, {0x1104e, 0x1107e},
    {0x110c2, 0x110ff}, {0x11135, 0x11135}, {0x11148, 0x1114f}, {0x11177, 0x1117f}, {0x111cf, 0x111cf}, {0x111e0, 0x11212},
    {0x1123e, 0x1129e}, {0x112aa, 0x112af}, {0x112eb, 0x112ff}, {0x11304, 0x1133b}, {0x11345, 0x11365}, {0x1136d, 0x1136f},
    {0x11375, 0x1147f}, {0x114c8, 0x1157f}, {0x115b6, 0x115b7}, {0x115de, 0x115ff}, {0x11645, 0x1167f}, {0x116b9, 0x1171c},
    {0x1172c, 0x1172f}, {0x11747, 0x1246f}, {0x12475, 0x16a6d}, {0x16abf, 0x16aef}, {0x16af6, 0x16aff}, {0x16b46, 0x16f8e},
    {0x16fa0, 0x1bc9b}, {0x1bca4, 0x1d128}, {0x1d1eb, 0x1d1ff}, {0x1d246, 0x1d7cd}, {0x1da8c, 0x1da9a}, {0x1daa0, 0x1daa0},
    {0x1dab0, 0x1e8c6}, {0x1e8d7, 0xe0000}, {0xe0002, 0xe001f}, {0xe0080, 0xe00ff}, {0xe01f0, 0x10ffff},
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
    unsigned classes = sx_unicode_classes(code);
    if (classes & (SX_CLASS_LETTER | SX_CLASS_MARK))
        return true;
    if (classes & SX_CLASS_NUMBER)
        return category(code) != UTF8PROC_CATEGORY_NO;
    if (classes & SX_CLASS_PUNCTUATION)
        return category(code) == UTF8PROC_CATEGORY_PC;
    /* Circled and squared Latin letters are alphabetic symbols. */
    return (code >= 0x24b6 && code <= 0x24e9) || (code >= 0x1f130 && code <= 0x1f149) ||
           (code >= 0x1f150 && code <= 0x1f169) || (code >= 0x1f170 && code <= 0x1f189);
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
