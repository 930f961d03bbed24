/* provider_open.c - from a model reference to the provider that serves it: remote services, a table of prefixes, the local engine
 * last. */
#include "provider_classes.h"
#include "wire.h"

#include "../base/error.h"

#include <stdbool.h>
#include <string.h>

static const struct {
    const char *prefix;
    sx_status (*open)(const sx_embedder_options *options, const sx_clock *clock, sx_provider **out, sx_error *error);
} openers[] = {
    {"fake:", sx_provider_fake_open},
    {"", sx_provider_local_open}, /* a folder, an alias, org/name */
};

sx_status sx_provider_open(const sx_embedder_options *options, const sx_clock *clock, sx_provider **out,
                           sx_error *error)
{
    *out = NULL;
    if (!options->model || !options->model[0])
        return sx_fail(error, SX_E_INVALID, "sx_embedder_options: model is not set");
    bool remote = sx_wire_is_remote(options->model);
    if (remote && ((options->precision && strcmp(options->precision, "f32") != 0) || options->storage))
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: precision and storage are for local models; a service decides for itself",
                       options->model);
    if (remote)
        return sx_provider_remote_open(options, NULL, clock ? clock : &sx_system_clock, out, error);
    size_t i = 0;
    while (strncmp(options->model, openers[i].prefix, strlen(openers[i].prefix)) != 0)
        i++;
    return openers[i].open(options, clock ? clock : &sx_system_clock, out, error);
}

sx_status sx_provider_open_away(const sx_embedder_options *options, const sx_provider_known *known, const sx_clock *clock,
                                sx_provider **out, sx_error *error)
{
    *out = NULL;
    if (!sx_wire_is_remote(options->model))
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: it is no remote model", options->model);
    return sx_provider_remote_open(options, known, clock ? clock : &sx_system_clock, out, error);
}

void sx_provider_close(sx_provider *provider)
{
    if (provider)
        provider->class->close(provider);
}
