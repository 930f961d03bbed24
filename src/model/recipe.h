/* recipe.h - which vectors may be compared (the space) and exactly how one is made (the recipe), as canonical JSON.
 *
 * Canonical: keys in ascending order, no white space, so the SHA-256 of the string names the thing. The instruction set is not
 * part of it: levels differ by rounding only. The precision class is: "f32", the reference; "f32/f16w" when some matrix that was
 * not published in halves is held, rounded, in them (halves of a file held as halves give the bits of f32, so they are f32);
 * "int8/2" for 8-bit products, the number being the revision of how they are quantised.
 */
#ifndef SX_MODEL_RECIPE_H
#define SX_MODEL_RECIPE_H

#include "sextant.h"

/* prompt NULL: the folder's default. Both strings are malloc'ed, the caller's; free() them. */
sx_status sx_recipe_describe(const sx_model *model, const char *prompt, char **space_json, char **recipe_json,
                             sx_error *error);

#endif
