/* unicode_classes.c - general categories as bits, of one version of Unicode whatever utf8proc is installed.
 *
 * Splitting patterns name categories, and token ids must not depend on who knows more characters. utf8proc 2.8 has version 15
 * of the standard; the table below adds what version 16 assigned and takes away what came after it, for newer utf8procs.
 * Found by asking tokenizers 0.22.2, tokenizers 0.23.3 and tiktoken 0.14.0 about every code point; they agree. */
#include "unicode.h"

#include "utf8.h"

#include <stddef.h>
#include <utf8proc.h>

/* Code points that version 15 has not assigned but later ones have; 0: later than version 16. */
static const struct {
    uint32_t first, last;
    unsigned classes;
} later[] = {
    {0x0558, 0x0558, 0}, {0x058b, 0x058c, 0}, {0x05c8, 0x05c9, 0}, {0x088f, 0x088f, 0}, {0x0897, 0x0897, SX_CLASS_MARK},
    {0x0b53, 0x0b54, 0}, {0x0c5c, 0x0c5c, 0}, {0x0cdc, 0x0cdc, 0}, {0x1acf, 0x1af0, 0}, {0x1b4e, 0x1b4f, SX_CLASS_PUNCTUATION},
    {0x1b7f, 0x1b7f, SX_CLASS_PUNCTUATION}, {0x1c89, 0x1c89, SX_CLASS_UPPER}, {0x1c8a, 0x1c8a, SX_CLASS_LOWER},
    {0x208f, 0x208f, 0}, {0x209d, 0x209f, 0}, {0x20c1, 0x20c4, 0}, {0x2427, 0x2429, SX_CLASS_SYMBOL}, {0x2b96, 0x2b96, 0},
    {0x2e60, 0x2e63, 0}, {0x2ffc, 0x2fff, SX_CLASS_SYMBOL}, {0x31e4, 0x31e5, SX_CLASS_SYMBOL},
    {0x31ef, 0x31ef, SX_CLASS_SYMBOL}, {0xa7cb, 0xa7cc, SX_CLASS_UPPER}, {0xa7cd, 0xa7cd, SX_CLASS_LOWER}, {0xa7ce, 0xa7cf, 0},
    {0xa7d2, 0xa7d2, 0}, {0xa7d4, 0xa7d4, 0}, {0xa7da, 0xa7da, SX_CLASS_UPPER}, {0xa7db, 0xa7db, SX_CLASS_LOWER},
    {0xa7dc, 0xa7dc, SX_CLASS_UPPER}, {0xa7dd, 0xa7dd, 0}, {0xa7e2, 0xa7e2, 0}, {0xa7f1, 0xa7f1, 0}, {0xab6c, 0xab6d, 0},
    {0xfbc3, 0xfbd2, 0}, {0xfd90, 0xfd91, 0}, {0xfdc8, 0xfdce, 0}, {0x105c0, 0x105f3, SX_CLASS_OTHER}, {0x107bb, 0x107bf, 0},
    {0x10940, 0x10959, 0}, {0x10d40, 0x10d49, SX_CLASS_NUMBER}, {0x10d4a, 0x10d4d, SX_CLASS_OTHER},
    {0x10d4e, 0x10d4e, SX_CLASS_MODIFIER}, {0x10d4f, 0x10d4f, SX_CLASS_OTHER}, {0x10d50, 0x10d65, SX_CLASS_UPPER},
    {0x10d69, 0x10d6d, SX_CLASS_MARK}, {0x10d6e, 0x10d6e, SX_CLASS_PUNCTUATION}, {0x10d6f, 0x10d6f, SX_CLASS_MODIFIER},
    {0x10d70, 0x10d85, SX_CLASS_LOWER}, {0x10d8e, 0x10d8f, SX_CLASS_SYMBOL}, {0x10ec2, 0x10ec4, SX_CLASS_OTHER},
    {0x10ec5, 0x10ec7, 0}, {0x10ec9, 0x10eee, 0}, {0x10ef0, 0x10efb, 0}, {0x10efc, 0x10efc, SX_CLASS_MARK},
    {0x11380, 0x11389, SX_CLASS_OTHER}, {0x1138b, 0x1138b, SX_CLASS_OTHER}, {0x1138e, 0x1138e, SX_CLASS_OTHER},
    {0x11390, 0x113b5, SX_CLASS_OTHER}, {0x113b7, 0x113b7, SX_CLASS_OTHER}, {0x113b8, 0x113c0, SX_CLASS_MARK},
    {0x113c2, 0x113c2, SX_CLASS_MARK}, {0x113c5, 0x113c5, SX_CLASS_MARK}, {0x113c7, 0x113ca, SX_CLASS_MARK},
    {0x113cc, 0x113d0, SX_CLASS_MARK}, {0x113d1, 0x113d1, SX_CLASS_OTHER}, {0x113d2, 0x113d2, SX_CLASS_MARK},
    {0x113d3, 0x113d3, SX_CLASS_OTHER}, {0x113d4, 0x113d5, SX_CLASS_PUNCTUATION}, {0x113d7, 0x113d8, SX_CLASS_PUNCTUATION},
    {0x113e1, 0x113e2, SX_CLASS_MARK}, {0x116d0, 0x116e3, SX_CLASS_NUMBER}, {0x11b0a, 0x11b0a, 0}, {0x11b60, 0x11b67, 0},
    {0x11bc0, 0x11be0, SX_CLASS_OTHER}, {0x11be1, 0x11be1, SX_CLASS_PUNCTUATION}, {0x11bf0, 0x11bf9, SX_CLASS_NUMBER},
    {0x11db0, 0x11ddb, 0}, {0x11de0, 0x11de9, 0}, {0x11df0, 0x11df1, 0}, {0x11f5a, 0x11f5a, SX_CLASS_MARK},
    {0x1246f, 0x1246f, 0}, {0x12475, 0x1247f, 0}, {0x12550, 0x12686, 0}, {0x13460, 0x143fa, SX_CLASS_OTHER},
    {0x16100, 0x1611d, SX_CLASS_OTHER}, {0x1611e, 0x1612f, SX_CLASS_MARK}, {0x16130, 0x16139, SX_CLASS_NUMBER},
    {0x16d40, 0x16d42, SX_CLASS_MODIFIER}, {0x16d43, 0x16d6a, SX_CLASS_OTHER}, {0x16d6b, 0x16d6c, SX_CLASS_MODIFIER},
    {0x16d6d, 0x16d6f, SX_CLASS_PUNCTUATION}, {0x16d70, 0x16d79, SX_CLASS_NUMBER}, {0x16ea0, 0x16eb8, 0}, {0x16ebb, 0x16ed3, 0},
    {0x16ff2, 0x16ff6, 0}, {0x187f8, 0x187ff, 0}, {0x18cd6, 0x18cda, 0}, {0x18cff, 0x18cff, SX_CLASS_OTHER},
    {0x18d09, 0x18d20, 0}, {0x18d80, 0x18df2, 0}, {0x18e00, 0x19191, 0}, {0x191a0, 0x191d2, 0}, {0x1b123, 0x1b128, 0},
    {0x1b168, 0x1b168, 0}, {0x1cc00, 0x1ccef, SX_CLASS_SYMBOL}, {0x1ccf0, 0x1ccf9, SX_CLASS_NUMBER}, {0x1ccfa, 0x1ccfc, 0},
    {0x1cd00, 0x1ceb3, SX_CLASS_SYMBOL}, {0x1ceba, 0x1ced0, 0}, {0x1ced2, 0x1ced4, 0}, {0x1cedd, 0x1cefd, 0},
    {0x1d127, 0x1d128, 0}, {0x1d1eb, 0x1d1ff, 0}, {0x1d250, 0x1d281, 0}, {0x1d6a6, 0x1d6a6, 0}, {0x1db00, 0x1db1c, 0},
    {0x1df1f, 0x1df24, 0}, {0x1df2b, 0x1df81, 0}, {0x1df90, 0x1df96, 0}, {0x1dfcd, 0x1dfff, 0},
    {0x1e5d0, 0x1e5ed, SX_CLASS_OTHER}, {0x1e5ee, 0x1e5ef, SX_CLASS_MARK}, {0x1e5f0, 0x1e5f0, SX_CLASS_OTHER},
    {0x1e5f1, 0x1e5fa, SX_CLASS_NUMBER}, {0x1e5ff, 0x1e5ff, SX_CLASS_PUNCTUATION}, {0x1e6c0, 0x1e6de, 0}, {0x1e6e0, 0x1e6f5, 0},
    {0x1e6fe, 0x1e6ff, 0}, {0x1f1ae, 0x1f1ae, 0}, {0x1f6d8, 0x1f6d9, 0}, {0x1f777, 0x1f77a, 0}, {0x1f7da, 0x1f7db, 0},
    {0x1f7f1, 0x1f7ff, 0}, {0x1f8b2, 0x1f8bb, SX_CLASS_SYMBOL}, {0x1f8c0, 0x1f8c1, SX_CLASS_SYMBOL}, {0x1f8d0, 0x1f8d8, 0},
    {0x1fa54, 0x1fa57, 0}, {0x1fa89, 0x1fa89, SX_CLASS_SYMBOL}, {0x1fa8a, 0x1fa8e, 0}, {0x1fa8f, 0x1fa8f, SX_CLASS_SYMBOL},
    {0x1fabe, 0x1fabe, SX_CLASS_SYMBOL}, {0x1fac6, 0x1fac6, SX_CLASS_SYMBOL}, {0x1fac8, 0x1fac8, 0}, {0x1facc, 0x1facd, 0},
    {0x1fadc, 0x1fadc, SX_CLASS_SYMBOL}, {0x1fadd, 0x1fadd, 0}, {0x1fadf, 0x1fadf, SX_CLASS_SYMBOL},
    {0x1fae9, 0x1fae9, SX_CLASS_SYMBOL}, {0x1faea, 0x1faeb, 0}, {0x1faef, 0x1faef, 0}, {0x1faf9, 0x1fafa, 0},
    {0x1fbcb, 0x1fbef, SX_CLASS_SYMBOL}, {0x1fbfa, 0x1fbfa, 0}, {0x2b73a, 0x2b73f, 0}, {0x2b81e, 0x2b81e, 0},
    {0x2cea2, 0x2cead, 0}, {0x2ebf0, 0x2ee5d, SX_CLASS_OTHER}, {0x323b0, 0x33479, 0}, {0x3d000, 0x3fc3f, 0},
};

enum { LATER_COUNT = sizeof later / sizeof later[0] };

static unsigned classes_of_category(uint32_t code)
{
    switch (utf8proc_category((utf8proc_int32_t)code)) {
    case UTF8PROC_CATEGORY_LU:
        return SX_CLASS_UPPER;
    case UTF8PROC_CATEGORY_LL:
        return SX_CLASS_LOWER;
    case UTF8PROC_CATEGORY_LT:
        return SX_CLASS_TITLE;
    case UTF8PROC_CATEGORY_LM:
        return SX_CLASS_MODIFIER;
    case UTF8PROC_CATEGORY_LO:
        return SX_CLASS_OTHER;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
        return SX_CLASS_MARK;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return SX_CLASS_NUMBER;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
        return SX_CLASS_PUNCTUATION;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
        return SX_CLASS_SYMBOL;
    default:
        return 0;
    }
}

unsigned sx_unicode_classes(uint32_t code)
{
    if (code == '\n' || code == '\r')
        return SX_CLASS_SPACE | SX_CLASS_NEWLINE;
    if (sx_unicode_is_space(code))
        return SX_CLASS_SPACE;
    if ((code >= 0x4e00 && code <= 0x9fff) || (code >= 0xac00 && code <= 0xd7a3)) /* most of the text beyond Europe */
        return SX_CLASS_OTHER;
    if (code > SX_LAST_CODE_POINT)
        return 0;
    if (code >= later[0].first) {
        size_t low = 0, high = LATER_COUNT;
        while (low < high) {
            size_t middle = (low + high) / 2;
            if (code > later[middle].last)
                low = middle + 1;
            else
                high = middle;
        }
        if (low < LATER_COUNT && code >= later[low].first)
            return later[low].classes;
    }
    return classes_of_category(code);
}

bool sx_unicode_is_numeric(uint32_t code)
{
    if (code < 0x80)
        return code >= '0' && code <= '9';
    /* Digits of Tolong Siki and three Chinese small numbers came with version 17. */
    if ((code >= 0x11de0 && code <= 0x11de9) || (code >= 0x16ff4 && code <= 0x16ff6))
        return true;
    return sx_unicode_classes(code) & SX_CLASS_NUMBER;
}
