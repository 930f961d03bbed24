/* remote_choice.h - models that run elsewhere: what flags and settings say about them. */
#ifndef SX_CLI_REMOTE_CHOICE_H
#define SX_CLI_REMOTE_CHOICE_H

#include "cli.h"

/* Fills the options for a remote reference; for a local one size stays 0. Strings live as long as the settings. */
sx_status sx_cli_read_remote(sx_cli *cli, const char *reference, sx_remote_options *options, sx_error *error);
/* The name of the setting that holds the key of a remote reference's service; "" for a service that is not known. */
const char *sx_cli_key_setting(const char *reference);
/* The options of --fallback and --split; its strings live as long as the command line and settings. */
sx_status sx_cli_read_fallback(sx_cli *cli, sx_embedder_options *options, sx_error *error);
/* Refuses a password in --shared-cache, where everyone on the machine can read it. */
sx_status sx_cli_check_shared_cache(const sx_cli *cli, sx_error *error);
/* What EMBEDDING_PROVIDER makes of EMBEDDING_MODEL, malloc'ed; NULL when it makes nothing of it. */
sx_status sx_cli_provider_reference(sx_cli *cli, char **reference, sx_error *error);
/* SX_E_UNSUPPORTED for a remote reference. */
sx_status sx_cli_require_local(const char *reference, sx_error *error);

#endif
