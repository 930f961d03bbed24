/* stroke_font.c - a small font of strokes for pictures without a font file: a letter is a few lines, some of them bent.
 *
 * A stroke is a row of points, two digits to the base 36 each: x from the left, y from the lowest descender; the baseline is at
 * 6, small letters reach 16, capitals 22. A stroke that begins with ~ is bent: a curve through its points (Catmull and Rom 1974).
 */
#include "stroke_font.h"

#include "../text/unicode.h"
#include "../text/utf8.h"

#include <stdbool.h>
#include <string.h>

enum { GAP = 4, SPACE = 7, STEPS = 6, MOST_POINTS = 16, FIRST = '!', LAST = '~' };

/* From '!' to '~'. */
static const char *const letters[] = {
    "0m0b 0607",                              /* ! */
    "0m0i 4m4i",                              /* " */
    "3k17 9k77 0faf 0aaa",                    /* # */
    "5n55 ~aj5l1j1h5e9c9a5708",               /* $ */
    "9m06 ~2m0k2i4k2m ~7a5876987a",           /* % */
    "c63h ~3h4l7l7i2e0a2667ac",               /* & */
    "0m0i",                                   /* ' */
    "~4n1h0d1943",                            /* ( */
    "~0n3h4d3903",                            /* ) */
    "4m4e 0k8g 8k0g",                         /* * */
    "5g58 0cac",                              /* + */
    "1704",                                   /* , */
    "0c6c",                                   /* - */
    "0607",                                   /* . */
    "039n",                                   /* / */
    "~5m1j0e195699ae9j5m",                    /* 0 */
    "0j4m46",                                 /* 1 */
    "~0i2l5m9l9h5c06 06a6",                   /* 2 */
    "~0k4m8l9i8g4e ~4e9ca95608",              /* 3 */
    "8m0aba 8m86",                            /* 4 */
    "9m1m0e ~0e5gacaa5608",                   /* 5 */
    "~8m2h0b0958569aab9d5f1e0b",              /* 6 */
    "0mam36",                                 /* 7 */
    "~5m1l0i1f5e9f9i9l5m ~5e0b0857a8ab5e",    /* 8 */
    "~2688ahaj8m5m1j0h1e5d9eah",              /* 9 */
    "0607 0f0g",                              /* : */
    "1704 1f1g",                              /* ; */
    "9h0c97",                                 /* < */
    "0e9e 0a9a",                              /* = */
    "0h9c07",                                 /* > */
    "~0j2m6m8j7g4d4b 4647",                   /* ? */
    "~bbac7d5b6889abbbcd ~cdbi6l1i0c275394",  /* @ */
    "067me6 2cbc",                            /* A */
    "0m06 ~0m7mbkbh7f0f ~0f8fccc98606",       /* B */
    "~ck7m2j0e2976c8",                        /* C */
    "0m06 ~0m6mbjdeb96606",                   /* D */
    "am0m06a6 0e8e",                          /* E */
    "am0m06 0e8e",                            /* F */
    "~ck7m2j0e2976c9 c9cd7d",                 /* G */
    "0m06 cmc6 0ece",                         /* H */
    "0m06",                                   /* I */
    "8m8a ~8a7646260919",                     /* J */
    "0m06 bm0c 4fb6",                         /* K */
    "0m06a6",                                 /* L */
    "060m7beme6",                             /* M */
    "060mc6cm",                               /* N */
    "~7m2j0e2976c9eecj7m",                    /* O */
    "060m ~0m7mbkbg7e0e",                     /* P */
    "~7m2j0e2976c9eecj7m 8ae4",               /* Q */
    "060m ~0m7mbkbg7e0e 5eb6",                /* R */
    "~ak6m1l1g5eaca85619",                    /* S */
    "0mcm 6m66",                              /* T */
    "0m0b ~0b1866a8bb bbbm",                  /* U */
    "0m66cm",                                 /* V */
    "0m468mc6gm",                             /* W */
    "0mb6 bm06",                              /* X */
    "0m5dam 5d56",                            /* Y */
    "0mbm06b6",                               /* Z */
    "4n0n0343",                               /* [ */
    "0n93",                                   /* \ */
    "0n4n4303",                               /* ] */
    "0g4m8g",                                 /* ^ */
    "03b3",                                   /* _ */
    "0m3j",                                   /* ` */
    "aga6 ~ad8f5g1e0b185687a9",               /* a */
    "0m06 ~0d2f5g9eab98562709",               /* b */
    "~ae5g1e0b1856a8",                        /* c */
    "ama6 ~ad8f5g1e0b185687a9",               /* d */
    "0bab ~abae5g1e0b1856a8",                 /* e */
    "~7m4m2k2h 2h26 0g6g",                    /* f */
    "aga4 ~a4815122 ~ad8f5g1e0b185687a9",     /* g */
    "0m06 ~0d3f5g8f9c 9c96",                  /* h */
    "0g06 0k0l",                              /* i */
    "3g34 ~341100 3k3l",                      /* j */
    "0m06 8g0a 3c96",                         /* k */
    "0m06",                                   /* l */
    "0g06 ~0d2f4g7f8c 8c86 ~8dafcgffgc gcg6", /* m */
    "0g06 ~0d3f5g8f9c 9c96",                  /* n */
    "~5g1e0b185698ab9e5g",                    /* o */
    "0g00 ~0d2f5g9eab98562709",               /* p */
    "aga0 ~ad8f5g1e0b185687a9",               /* q */
    "0g06 ~0d2f4g6g",                         /* r */
    "~8e4g0e2c6a884608",                      /* s */
    "3l39 ~394667 0g7g",                      /* t */
    "0g0a ~0a17465688 9g96",                  /* u */
    "0g56ag",                                 /* v */
    "0g468gc6gg",                             /* w */
    "0g96 9g06",                              /* x */
    "0g56 ag20",                              /* y */
    "0g9g0696",                               /* z */
    "~4n2l2f0d2b2543",                        /* { */
    "0n03",                                   /* | */
    "~0n2l2f4d2b2503",                        /* } */
    "~0b2d5b8d",                              /* ~ */
};

typedef struct pen {
    sx_stroke_line line;
    void *user;
    float widest;
} pen;

static float digit(char c)
{
    return c >= 'a' ? (float)(c - 'a' + 10) : (float)(c - '0');
}

static void draw_line(pen *with, const float a[2], const float b[2])
{
    if (with->line)
        with->line(with->user, a[0], a[1], b[0], b[1]);
}

static void draw_curve(pen *with, float points[][2], size_t count)
{
    for (size_t i = 0; i + 1 < count; i++) {
        const float *before = points[i ? i - 1 : 0], *from = points[i], *to = points[i + 1];
        const float *after = points[i + 2 < count ? i + 2 : count - 1];
        float last[2] = {from[0], from[1]};
        for (int step = 1; step <= STEPS; step++) {
            float t = (float)step / STEPS, next[2];
            for (int axis = 0; axis < 2; axis++) {
                float p = before[axis], q = from[axis], r = to[axis], s = after[axis];
                next[axis] =
                    0.5f * (2 * q + (r - p) * t + (2 * p - 5 * q + 4 * r - s) * t * t + (3 * q - p - 3 * r + s) * t * t * t);
            }
            draw_line(with, last, next);
            last[0] = next[0];
            last[1] = next[1];
        }
    }
}

static void draw_stroke(pen *with, const char *stroke, size_t length)
{
    float points[MOST_POINTS][2];
    size_t count = 0;
    bool bent = stroke[0] == '~';
    for (size_t i = bent; i + 1 < length && count < MOST_POINTS; i += 2, count++) {
        points[count][0] = digit(stroke[i]);
        points[count][1] = digit(stroke[i + 1]) - SX_STROKE_BASELINE;
        with->widest = points[count][0] > with->widest ? points[count][0] : with->widest;
    }
    if (bent)
        draw_curve(with, points, count);
    else
        for (size_t i = 0; i + 1 < count; i++)
            draw_line(with, points[i], points[i + 1]);
}

float sx_stroke_letter(uint32_t code, sx_stroke_line line, void *user)
{
    pen with = {line, user, 0};
    if (code == ' ' || sx_unicode_is_space(code))
        return SPACE;
    if (code > LAST) {
        uint32_t parts[SX_MOST_DECOMPOSED];
        if (sx_unicode_decompose(code, parts))
            code = parts[0];
    }
    const char *strokes = code >= FIRST && code <= LAST ? letters[code - FIRST] : "060m8m8606";
    while (*strokes) {
        size_t length = strcspn(strokes, " ");
        draw_stroke(&with, strokes, length);
        strokes += length + (strokes[length] == ' ');
    }
    return with.widest + GAP;
}

float sx_stroke_width(const char *text, size_t length)
{
    float width = 0;
    for (size_t at = 0; at < length;) {
        sx_code_point next = sx_utf8_decode(text + at, length - at);
        width += sx_stroke_letter(next.code, NULL, NULL);
        at += next.length;
    }
    return width > 0 ? width - GAP : 0;
}
