/* secret_patterns.c - keys and passwords inside of texts, found by their form.
 *
 * Only forms that hardly anything else has: a prefix that the issuer chose to be recognised by, an alphabet and a length. What
 * follows a prefix must look random (enough different characters, both letters and digits where the issuer's keys have them),
 * so that placeholders ("sk-xxxxxxxx", "AKIAIOSFODNN7EXAMPLE") and names that begin alike are none. Private keys need their data,
 * not only the line that announces it, and JSON Web Tokens a head that decodes to what it must be. Forms as documented by the
 * issuers: AWS "Understanding unique ID prefixes" (IAM user guide), GitHub "Token formats", Slack "Token types", RFC 7468 and
 * RFC 7519.
 */
#include "secret_patterns.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum {
    MOST_KEY_BYTES = 1 << 16,    /* of a private key: OpenPGP's can be long */
    LEAST_KEY_DATA = 40,         /* characters of base64; an Ed25519 key in PKCS #8 has 64 */
    LEAST_DIFFERENT_PERCENT = 25 /* of the first characters of a body; random ones have twice that */
};

/* ---- Alphabets ---- */

typedef enum alphabet { UPPER_BASE32, ALNUM, ALNUM_DASH, HEX, BASE64, ALNUM_HYPHEN, PATH } alphabet;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_alnum(char c)
{
    return is_digit(c) || is_upper(c) || is_lower(c);
}

static bool is_in(char c, alphabet which)
{
    switch (which) {
    case UPPER_BASE32: return is_upper(c) || (c >= '2' && c <= '7');
    case ALNUM: return is_alnum(c);
    case ALNUM_DASH: return is_alnum(c) || c == '-' || c == '_';
    case HEX: return is_digit(c) || (c >= 'a' && c <= 'f');
    case BASE64: return is_alnum(c) || c == '+' || c == '/';
    case ALNUM_HYPHEN: return is_alnum(c) || c == '-';
    case PATH: return is_alnum(c) || c == '/';
    }
    return false;
}

/* ---- Prefixes ---- */

typedef struct pattern {
    const char *prefix, *kind;
    alphabet body;
    size_t least, most;   /* characters of the body; longer ones are none */
    const char *inside;   /* stands somewhere in the body, or NULL */
    bool digits, letters; /* must be among the body */
    bool mixed;           /* letters of both cases must */
} pattern;

static const pattern patterns[] = {
    {"AKIA", "AWS access key id", UPPER_BASE32, 16, 16, NULL, false, true, false},
    {"ASIA", "AWS access key id", UPPER_BASE32, 16, 16, NULL, false, true, false},
    {"ghp_", "GitHub token", ALNUM, 36, 255, NULL, true, true, true},
    {"gho_", "GitHub token", ALNUM, 36, 255, NULL, true, true, true},
    {"ghu_", "GitHub token", ALNUM, 36, 255, NULL, true, true, true},
    {"ghs_", "GitHub token", ALNUM, 36, 255, NULL, true, true, true},
    {"ghr_", "GitHub token", ALNUM, 36, 255, NULL, true, true, true},
    {"github_pat_", "GitHub token", ALNUM_DASH, 82, 255, NULL, true, true, true},
    {"glpat-", "GitLab token", ALNUM_DASH, 20, 64, NULL, false, true, true},
    {"sk-ant-", "Anthropic API key", ALNUM_DASH, 40, 255, NULL, true, true, true},
    {"sk-proj-", "OpenAI API key", ALNUM_DASH, 40, 255, NULL, true, true, true},
    {"sk-svcacct-", "OpenAI API key", ALNUM_DASH, 40, 255, NULL, true, true, true},
    {"sk-admin-", "OpenAI API key", ALNUM_DASH, 40, 255, NULL, true, true, true},
    {"sk-or-v1-", "OpenRouter API key", HEX, 64, 64, NULL, true, true, false},
    {"sk-", "API key", ALNUM, 32, 128, NULL, true, true, false},
    {"sk_live_", "Stripe key", ALNUM, 24, 255, NULL, true, true, true},
    {"rk_live_", "Stripe key", ALNUM, 24, 255, NULL, true, true, true},
    {"xoxb-", "Slack token", ALNUM_HYPHEN, 30, 255, "-", true, true, false},
    {"xoxp-", "Slack token", ALNUM_HYPHEN, 30, 255, "-", true, true, false},
    {"xoxa-", "Slack token", ALNUM_HYPHEN, 30, 255, "-", true, true, false},
    {"xoxr-", "Slack token", ALNUM_HYPHEN, 30, 255, "-", true, true, false},
    {"xoxs-", "Slack token", ALNUM_HYPHEN, 30, 255, "-", true, true, false},
    {"xapp-", "Slack token", ALNUM_HYPHEN, 40, 255, "-", true, true, false},
    {"hooks.slack.com/services/T", "Slack webhook", PATH, 30, 90, "/B", true, true, false},
    {"AIza", "Google API key", ALNUM_DASH, 35, 35, NULL, true, true, true},
    {"GOCSPX-", "Google client secret", ALNUM_DASH, 28, 28, NULL, false, true, true},
    {"hf_", "Hugging Face token", ALNUM, 34, 40, NULL, false, true, true},
    {"npm_", "npm token", ALNUM, 36, 36, NULL, true, true, true},
    {"pypi-AgEI", "PyPI token", ALNUM_DASH, 60, 255, NULL, true, true, true},
    {"dop_v1_", "DigitalOcean token", HEX, 64, 64, NULL, true, true, false},
    {"pa-", "Voyage API key", ALNUM_DASH, 43, 43, NULL, true, true, true},
    {"jina_", "Jina API key", ALNUM_DASH, 60, 60, NULL, true, true, true},
};

/* Different characters among the body's; and no word that says it is a sample. */
static bool looks_random(const char *body, size_t length)
{
    static const char *const samples[] = {"EXAMPLE", "example", "Example", "xxxx", "XXXX", "your", "YOUR", "0123456",
                                          "placeholder", "PLACEHOLDER", "abcdefgh", "ABCDEFGH", "redacted", "REDACTED"};
    uint64_t seen[2] = {0};
    size_t different = 0, counted = length < 40 ? length : 40;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        if (memmem(body, length, samples[i], strlen(samples[i])))
            return false;
    for (size_t i = 0; i < counted; i++) {
        unsigned char c = (unsigned char)body[i] & 0x7f;
        if (!(seen[c >> 6] >> (c & 63) & 1))
            different++;
        seen[c >> 6] |= (uint64_t)1 << (c & 63);
    }
    /* Hexadecimal bodies have sixteen at most. */
    return different * 100 >= counted * LEAST_DIFFERENT_PERCENT || different >= 12;
}

static bool match_pattern(const pattern *how, const char *text, size_t length, size_t start, sx_secret *found)
{
    size_t prefix = strlen(how->prefix), end = start + prefix;
    bool digits = false, upper = false, lower = false;
    if (length - start < prefix + how->least || memcmp(text + start, how->prefix, prefix) != 0)
        return false;
    for (; end < length && end - start - prefix <= how->most && is_in(text[end], how->body); end++) {
        digits |= is_digit(text[end]);
        upper |= is_upper(text[end]);
        lower |= is_lower(text[end]);
    }
    const char *body = text + start + prefix;
    size_t count = end - start - prefix;
    while (count && (body[count - 1] == '-' || body[count - 1] == '/')) /* the sentence's or the path's, not the key's */
        count--;
    if (count < how->least || count > how->most || (how->digits && !digits) || (how->letters && !upper && !lower) ||
        (how->mixed && !(upper && lower)))
        return false;
    /* A key of a fixed alphabet inside of a longer word is none. */
    if (start + prefix + count < length && is_alnum(text[start + prefix + count]))
        return false;
    if ((how->inside && !memmem(body, count, how->inside, strlen(how->inside))) || !looks_random(body, count))
        return false;
    *found = (sx_secret){how->kind, start, start + prefix + count};
    return true;
}

/* ---- AWS secret access keys: 40 characters that only their name tells from others ---- */

static bool match_aws_secret(const char *text, size_t length, size_t start, sx_secret *found)
{
    static const char name[] = "secret_access_key", camel[] = "secretaccesskey";
    size_t at = start;
    const char *names[] = {name, camel};
    for (size_t i = 0; i < 2 && at == start; i++) {
        size_t count = strlen(names[i]);
        bool same = length - start >= count;
        for (size_t j = 0; same && j < count; j++)
            same = (text[start + j] | 0x20) == (names[i][j] | 0x20);
        if (same)
            at += count;
    }
    if (at == start)
        return false;
    size_t gap = at;
    bool assigned = false;
    for (; gap < length && gap - at < 12 && memchr(" \t\"'=:>", text[gap], 7); gap++)
        assigned |= text[gap] == '=' || text[gap] == ':';
    size_t end = gap;
    bool digits = false, upper = false, lower = false;
    for (; end < length && end - gap <= 40 && is_in(text[end], BASE64); end++) {
        digits |= is_digit(text[end]);
        upper |= is_upper(text[end]);
        lower |= is_lower(text[end]);
    }
    if (!assigned || end - gap != 40 || !digits || !upper || !lower || !looks_random(text + gap, 40))
        return false;
    *found = (sx_secret){"AWS secret access key", start, end};
    return true;
}

/* ---- Azure storage keys ---- */

static bool match_azure_key(const char *text, size_t length, size_t start, sx_secret *found)
{
    static const char name[] = "AccountKey=";
    size_t prefix = sizeof name - 1, end = start + prefix;
    if (length - start < prefix + 88 || memcmp(text + start, name, prefix) != 0)
        return false;
    while (end < length && end - start - prefix <= 86 && is_in(text[end], BASE64))
        end++;
    if (end - start - prefix != 86 || memcmp(text + end, "==", 2) != 0 || !looks_random(text + start + prefix, 86))
        return false;
    *found = (sx_secret){"Azure storage key", start, end + 2};
    return true;
}

/* ---- Private keys: the announcing line and data behind it, also with line ends written as \n ---- */

static size_t skip_line_end(const char *text, size_t length, size_t at)
{
    for (;;) {
        if (at < length && (text[at] == '\n' || text[at] == '\r' || text[at] == ' ' || text[at] == '\t' || text[at] == '"' ||
                            text[at] == ',' || text[at] == '+' || text[at] == '\''))
            at++;
        else if (at + 1 < length && text[at] == '\\' && (text[at + 1] == 'n' || text[at + 1] == 'r'))
            at += 2;
        else
            return at;
    }
}

static bool match_private_key(const char *text, size_t length, size_t start, sx_secret *found)
{
    static const char begin[] = "-----BEGIN ", finish[] = "-----END ";
    if (length - start < sizeof begin - 1 || memcmp(text + start, begin, sizeof begin - 1) != 0)
        return false;
    size_t at = start + sizeof begin - 1, label = at;
    while (at < length && at - label < 40 && (is_upper(text[at]) || is_digit(text[at]) || text[at] == ' '))
        at++;
    if (!memmem(text + label, at - label, "PRIVATE KEY", 11) || length - at < 5 || memcmp(text + at, "-----", 5) != 0)
        return false;
    at += 5;
    size_t limit = length - start > MOST_KEY_BYTES ? start + MOST_KEY_BYTES : length;
    size_t data = 0, last = at;
    while (at < limit) {
        size_t next = skip_line_end(text, limit, at), run = next;
        while (run < limit && (is_in(text[run], BASE64) || text[run] == '='))
            run++;
        if (limit - run >= 2 && text[run] == ':' && run > next) { /* "Proc-Type: ...", "Version: ..." before the data */
            while (run < limit && text[run] != '\n')
                run++;
            at = run;
            continue;
        }
        if (limit - run >= sizeof finish - 1 && !memcmp(text + run, finish, sizeof finish - 1)) {
            data += run - next;
            last = run + sizeof finish - 1;
            while (last < limit && text[last] != '\n' && text[last] != '\\')
                last++;
            break;
        }
        if (run < limit && text[run] == '-' && run > next) { /* a head's name with a dash in it */
            while (run < limit && text[run] != '\n')
                run++;
            at = run;
            continue;
        }
        if (run - next < 16 && run < limit) /* words: the key ends here, or never was one */
            break;
        data += run - next;
        last = at = run;
        if (run == next)
            break;
    }
    if (data < LEAST_KEY_DATA)
        return false;
    *found = (sx_secret){"private key", start, last};
    return true;
}

/* ---- JSON Web Tokens ---- */

static int base64_value(char c)
{
    if (is_upper(c))
        return c - 'A';
    if (is_lower(c))
        return c - 'a' + 26;
    if (is_digit(c))
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* Whether a part decodes to text that holds the word. */
static bool decodes_to(const char *part, size_t length, const char *word)
{
    char decoded[384];
    size_t count = 0;
    unsigned bits = 0, have = 0;
    for (size_t i = 0; i < length && count < sizeof decoded; i++) {
        bits = bits << 6 | (unsigned)base64_value(part[i]);
        have += 6;
        if (have >= 8) {
            have -= 8;
            decoded[count++] = (char)(bits >> have & 0xff);
        }
    }
    return count && memmem(decoded, count, word, strlen(word));
}

static bool match_web_token(const char *text, size_t length, size_t start, sx_secret *found)
{
    size_t starts[3], ends[3], at = start;
    for (int i = 0; i < 3; i++) {
        starts[i] = at;
        while (at < length && base64_value(text[at]) >= 0)
            at++;
        ends[i] = at;
        if (i < 2 && (at >= length || text[at++] != '.'))
            return false;
    }
    if (ends[0] - starts[0] < 16 || ends[1] - starts[1] < 16 || ends[2] - starts[2] < 32 ||
        !decodes_to(text + starts[0], ends[0] - starts[0], "\"alg\"") || memcmp(text + starts[1], "eyJ", 3) != 0 ||
        !looks_random(text + starts[2], ends[2] - starts[2]))
        return false;
    *found = (sx_secret){"JSON Web Token", start, ends[2]};
    return true;
}

/* ---- Search ---- */

static bool match_at(const char *text, size_t length, size_t start, sx_secret *found)
{
    switch (text[start]) {
    case '-': return match_private_key(text, length, start, found);
    case 's':
    case 'S':
        if (match_aws_secret(text, length, start, found))
            return true;
        break;
    case 'e':
        if (length - start > 4 && text[start + 1] == 'y' && text[start + 2] == 'J' &&
            match_web_token(text, length, start, found))
            return true;
        break;
    case 'A':
        if (match_azure_key(text, length, start, found))
            return true;
        break;
    default: break;
    }
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        if (patterns[i].prefix[0] == text[start] && match_pattern(&patterns[i], text, length, start, found))
            return true;
    return false;
}

bool sx_secret_find(const char *text, size_t length, size_t from, sx_secret *found)
{
    static const char first[] = "-sSeAghxGnpdj"; /* what anything above begins with */
    bool begins[256] = {false};
    for (size_t i = 0; i < sizeof first - 1; i++)
        begins[(unsigned char)first[i]] = true;
    for (size_t at = from; at < length; at++) {
        if (!begins[(unsigned char)text[at]])
            continue;
        /* Prefixes stand at the beginning of a word; names of settings may stand in the middle of one (AWS_SECRET_...). */
        bool inside = at > 0 && (is_alnum(text[at - 1]) || text[at - 1] == '_' || text[at - 1] == '-');
        if (inside && text[at] != 's' && text[at] != 'S' && text[at] != '-')
            continue;
        if (inside && text[at] != '-' ? match_aws_secret(text, length, at, found) : match_at(text, length, at, found))
            return true;
    }
    return false;
}

void sx_secret_reason(const char *kind, size_t line, const char *provider, char *reason, size_t size)
{
    snprintf(reason, size, "held back: %s in line %zu (not sent to %s)", kind, line, provider);
}

size_t sx_secret_line(const char *text, size_t place)
{
    size_t line = 1;
    for (const char *at = text, *end = text + place; (at = memchr(at, '\n', (size_t)(end - at))); at++)
        line++;
    return line;
}
