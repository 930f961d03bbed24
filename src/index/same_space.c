/* same_space.c - finding out whether two sources give the same vectors: texts are embedded with both and compared.
 *
 * What must pass: the arithmetic of another machine, floats rounded to halves, another order of sums. What must not: another
 * model, another pooling, a prompt that one of them puts before, a tokenizer that differs, a text that one of them cuts.
 * docs/providers.md has the measured figures of both kinds that the tolerance lies between.
 */
#include "../base/error.h"
#include "../base/memory.h"
#include "../store/spaces.h"
#include "embedder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double least_cosine = 0.999, largest_difference = 0.02, length_tolerance = 0.01;

static const char *const probes[] = {
    "boat",
    "When do the boats come in?",
    "query: how is a password reset?",
    "The harbour lies in the north of the town, and the fishing boats come in with the evening tide.",
    "THE HARBOUR LIES IN THE NORTH of the town -- and, at 17:45, the 3rd boat (of 12) comes in!",
    "Der Hafen liegt im Norden der Stadt; \xc3\xbc" "ber die gro\xc3\x9f" "e Br\xc3\xbc" "cke f\xc3\xa4hrt kein Zug mehr.",
    "Le port est au nord de la ville, et les bateaux rentrent avec la mar\xc3\xa9" "e du soir, sauf en \xc3\xa9t\xc3\xa9.",
    "El puerto est\xc3\xa1 al norte; \xc2\xbf" "cu\xc3\xa1ndo vuelven los barcos ma\xc3\xb1" "ana por la ma\xc3\xb1" "ana?",
    "\xd0\x9f\xd0\xbe\xd1\x80\xd1\x82 \xd0\xbd\xd0\xb0\xd1\x85\xd0\xbe\xd0\xb4\xd0\xb8\xd1\x82\xd1\x81\xd1\x8f \xd0\xbd\xd0\xb0 "
    "\xd1\x81\xd0\xb5\xd0\xb2\xd0\xb5\xd1\x80\xd0\xb5 \xd0\xb3\xd0\xbe\xd1\x80\xd0\xbe\xd0\xb4\xd0\xb0.",
    "\xe6\xb8\xaf\xe5\x8f\xa3\xe5\x9c\xa8\xe5\x9f\x8e\xe5\xb8\x82\xe7\x9a\x84\xe5\x8c\x97\xe8\xbe\xb9\xe3\x80\x82",
    "\xe6\xb8\xaf\xe3\x81\xaf\xe7\x94\xba\xe3\x81\xae\xe5\x8c\x97\xe3\x81\xab\xe3\x81\x82\xe3\x82\x8a\xe3\x81\xbe"
    "\xe3\x81\x99\xe3\x80\x82",
    "\xd8\xa7\xd9\x84\xd9\x85\xd9\x8a\xd9\x86\xd8\xa7\xd8\xa1 \xd9\x81\xd9\x8a \xd8\xb4\xd9\x85\xd8\xa7\xd9\x84 "
    "\xd8\xa7\xd9\x84\xd9\x85\xd8\xaf\xd9\x8a\xd9\x86\xd8\xa9",
    "cafe\xcc\x81 \xef\xac\x81" "ne \xe2\x82\xac" "12.50 \xf0\x9f\x9a\xa2\xf0\x9f\x8c\x8a",
    "def binary_search(items, wanted):\n    low, high = 0, len(items)\n    while low < high:\n"
    "        middle = (low + high) // 2\n        if items[middle] < wanted:\n            low = middle + 1\n"
    "        else:\n            high = middle\n    return low\n",
    "for (size_t i = 0; i < count; i++) total += values[i] * weights[i];",
    "SELECT name, count(*) FROM orders WHERE day >= '2024-01-01' GROUP BY name HAVING count(*) > 10;",
    "{\"name\": \"harbour\", \"boats\": [1, 2, 3], \"open\": true, \"depth\": 7.25}",
    "Traceback (most recent call last): File \"boats.py\", line 12, in <module>: ValueError: invalid literal for int()",
    "a b c d e f g h i j k l m n o p q r s t u v w x y z 0 1 2 3 4 5 6 7 8 9",
    "Fishing boats are built of wood, steel or plastic. Wood needs care every year, steel needs paint, and plastic needs little "
    "but breaks on rocks. Most boats of the town are of wood, since the yard behind the harbour has built nothing else for a hundred "
    "years. Its master learned from his father, who learned from his; the drawings are in their heads. When a boat is ordered, "
    "planks are chosen in winter, dried until spring, and bent over steam. By summer the hull is closed, by autumn it floats.",
};
enum { PROBES = sizeof probes / sizeof *probes };

static sx_status embed(sx_database *database, sx_embedder *embedder, float *vectors, sx_error *error)
{
    sx_pipeline_item items[PROBES] = {0};
    sx_pipeline *pipeline;
    size_t width = embedder->info.dimensions;
    sx_status status = sx_embedder_pipeline(embedder, NULL, NULL, NULL, &pipeline, error);
    if (status)
        return status;
    sx_pipeline_name(pipeline, "spaces prove", "", false);
    if (embedder->provider->info.remote)
        sx_pipeline_ledger(pipeline, database);
    for (size_t i = 0; i < PROBES; i++)
        items[i] = (sx_pipeline_item){.text = {probes[i], strlen(probes[i])}, .vector = vectors + i * width};
    status = sx_pipeline_run(pipeline, items, PROBES, NULL, error);
    for (size_t i = 0; !status && i < PROBES; i++)
        if (items[i].receipt.status)
            status = sx_fail(error, items[i].receipt.status, "%s: probe %zu: %s", embedder->model, i + 1,
                             items[i].receipt.message ? items[i].receipt.message : "no vector could be made");
    sx_pipeline_close(pipeline);
    return status;
}

static double length_of(const float *vector, size_t width)
{
    double square = 0;
    for (size_t i = 0; i < width; i++)
        square += (double)vector[i] * vector[i];
    return sqrt(square);
}

/* Adds a pair to the figures; false when the lengths are too different. */
static bool compare(const float *one, const float *other, size_t width, sx_space_proof *proof)
{
    double a = length_of(one, width), b = length_of(other, width), dot = 0;
    for (size_t i = 0; i < width; i++) {
        double difference = fabs(one[i] / a - other[i] / b);
        dot += one[i] / a * (other[i] / b);
        proof->largest_difference = fmax(proof->largest_difference, difference);
    }
    proof->least_cosine = fmin(proof->least_cosine, dot);
    return fabs(a - b) <= length_tolerance * fmax(a, b);
}

sx_status sx_space_prove(sx_database *database, sx_embedder *embedder, sx_embedder *other, sx_space_proof *out, sx_error *error)
{
    if (!database || !embedder || !other)
        return sx_fail(error, SX_E_INVALID, "sx_space_prove: database, embedder or other is NULL");
    size_t width = embedder->info.dimensions;
    sx_space_proof proof = {.dimensions = (uint32_t)width, .probes = PROBES, .least_cosine = 1};
    memcpy(proof.recipes[0], embedder->recipe_hex, sizeof embedder->recipe_hex);
    memcpy(proof.recipes[1], other->recipe_hex, sizeof other->recipe_hex);
    if (out)
        *out = proof;
    if (width != other->info.dimensions)
        return sx_fail(error, SX_E_MISMATCH, "%s gives %zu dimensions, %s %u: they are not of one space", embedder->model, width,
                       other->model, other->info.dimensions);
    if (!strcmp(embedder->space_hex, other->space_hex))
        return sx_fail(error, SX_E_EXISTS, "%s and %s are of one space by their making: there is nothing to prove",
                       embedder->model, other->model);
    int64_t unused;
    bool same_length = true;
    float *vectors = sx_calloc(2 * PROBES, width * sizeof *vectors);
    sx_status status = vectors ? embed(database, embedder, vectors, error) : sx_fail_nomem(error, 2 * PROBES * width * 4);
    if (!status)
        status = embed(database, other, vectors + PROBES * width, error);
    for (size_t i = 0; !status && i < PROBES; i++)
        same_length &= compare(vectors + i * width, vectors + (PROBES + i) * width, width, &proof);
    free(vectors);
    if (status)
        return status;
    proof.proven_ns = embedder->clock.wall_ns(embedder->clock.user);
    if (out)
        *out = proof;
    if (!(proof.least_cosine >= least_cosine) || !(proof.largest_difference <= largest_difference) || !same_length) {
        sx_fail(error, SX_E_MISMATCH, "%s and %s are not of one space: least cosine %.6f (at least %g), greatest difference %.6f "
                "(at most %g)%s", embedder->model, other->model, proof.least_cosine, least_cosine, proof.largest_difference,
                largest_difference, same_length ? "" : ", lengths differ");
        sx_hint(error, "another model, prompt, pooling or precision; move with `sextant migrate --to` instead");
        return SX_E_MISMATCH;
    }
    sx_space_row row = {
        .recipes = {embedder->recipe, other->recipe},
        .spaces = {embedder->space, other->space},
        .models = {embedder->model, other->model},
        .dimensions = proof.dimensions,
        .probes = proof.probes,
        .least_cosine = proof.least_cosine,
        .largest_difference = proof.largest_difference,
        .proven_ns = proof.proven_ns,
    };
    status = sx_embedder_recipe(embedder, database, &unused, error); /* what the hashes stand for is kept with them */
    if (!status)
        status = sx_embedder_recipe(other, database, &unused, error);
    return status ? status : sx_store_space_add(database, &row, error);
}

/* ---- What was proven ---- */

typedef struct proof_list {
    sx_space_proof *proofs;
    size_t count, capacity;
} proof_list;

static sx_status collect(const sx_space_row *row, void *user, sx_error *error)
{
    proof_list *list = user;
    if (!sx_reserve((void **)&list->proofs, &list->capacity, list->count + 1, sizeof *list->proofs))
        return sx_fail_nomem(error, (list->count + 1) * sizeof *list->proofs);
    sx_space_proof *proof = &list->proofs[list->count++];
    *proof = (sx_space_proof){
        .models = {sx_strdup(row->models[0]), sx_strdup(row->models[1])},
        .dimensions = row->dimensions,
        .probes = row->probes,
        .least_cosine = row->least_cosine,
        .largest_difference = row->largest_difference,
        .proven_ns = row->proven_ns,
    };
    for (int i = 0; i < 2; i++)
        sx_sha256_hex(&row->recipes[i], proof->recipes[i]);
    return proof->models[0] && proof->models[1] ? SX_OK : sx_fail_nomem(error, 256);
}

sx_status sx_space_list(sx_database *database, sx_space_proof **out, size_t *count, sx_error *error)
{
    if (!database || !out || !count)
        return sx_fail(error, SX_E_INVALID, "sx_space_list: database, list or count is NULL");
    proof_list list = {0};
    *out = NULL;
    *count = 0;
    sx_status status = sx_store_spaces(database, collect, &list, error);
    if (status) {
        sx_space_list_free(list.proofs, list.count);
        return status;
    }
    *out = list.proofs;
    *count = list.count;
    return SX_OK;
}

void sx_space_list_free(sx_space_proof *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(list[i].models[0]);
        free(list[i].models[1]);
    }
    free(list);
}

sx_status sx_space_forget(sx_database *database, const char *model, const char *other, uint64_t *chunks, sx_error *error)
{
    uint64_t removed = 0, unused;
    if (!database || !model || !other)
        return sx_fail(error, SX_E_INVALID, "sx_space_forget: database, model or other is NULL");
    sx_status status = sx_store_space_users(database, model, other, chunks ? chunks : &unused, error);
    if (!status)
        status = sx_store_space_forget(database, model, other, &removed, error);
    if (!status && !removed)
        status = sx_fail(error, SX_E_NOT_FOUND, "%s and %s: nothing was proven of them", model, other);
    return status;
}
