/* secrets.c - files whose names say that they hold keys or passwords.
 *
 * Only names are looked at: it must be cheap, explainable in a report, and never read what it protects. Templates that are
 * meant to be published (.env.example) and public halves of keys are none, nor are documents and programs about credentials. */
#include "secrets.h"

#include "glob.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { LONGEST_NAME = 255 };

static const char *const no_secrets[] = {
    "*.example",
    "*.sample",
    "*.template",
    "*.tmpl",
    "*.dist",
    "*.defaults",
    "*.pub",
    "example.env",
    "sample.env",
    "template.env",
    "credentials*.md",
    "credentials*.rst",
    "credentials*.html",
    "credentials*.htm",
    "credentials*.adoc",
    "credentials*.tex",
    "credentials*.c",
    "credentials*.h",
    "credentials*.cc",
    "credentials*.cpp",
    "credentials*.cs",
    "credentials*.go",
    "credentials*.java",
    "credentials*.js",
    "credentials*.jsx",
    "credentials*.kt",
    "credentials*.php",
    "credentials*.py",
    "credentials*.rb",
    "credentials*.rs",
    "credentials*.scala",
    "credentials*.swift",
    "credentials*.ts",
    "credentials*.tsx",
};

static const char *const secrets[] = {
    ".env",         ".env.*",
    "*.env",        ".envrc",
    "*.pem",        "*.key",
    "*.p8",         "*.p12",
    "*.pfx",        "*.jks",
    "*.keystore",   "*.kdb",
    "*.kdbx",       "*.ppk",
    "*.asc.key",    "id_rsa*",
    "id_dsa*",      "id_ecdsa*",
    "id_ed25519*",  ".netrc",
    "_netrc",       ".npmrc",
    ".pypirc",      ".pgpass",
    ".my.cnf",      ".git-credentials",
    ".htpasswd",    ".dockercfg",
    ".s3cfg",       ".boto",
    "credentials*", "client_secret*.json",
    "*.ovpn",
};

const char *sx_secret_rule(const char *name)
{
    char lower[LONGEST_NAME + 1];
    size_t length = strlen(name);
    if (length > LONGEST_NAME)
        return NULL;
    for (size_t i = 0; i <= length; i++)
        lower[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] | 0x20 : name[i]);
    for (size_t i = 0; i < sizeof no_secrets / sizeof no_secrets[0]; i++)
        if (sx_glob_match(no_secrets[i], strlen(no_secrets[i]), lower, length))
            return NULL;
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
        if (sx_glob_match(secrets[i], strlen(secrets[i]), lower, length))
            return secrets[i];
    return NULL;
}
