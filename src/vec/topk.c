/* topk.c - the k best of many scored ids: a binary heap (Williams 1964) with the worst item on top, sorted in place at the end.
 */
#include "topk.h"

#include "../base/memory.h"

#include <math.h>
#include <stdlib.h>

bool sx_topk_open(sx_topk *topk, size_t capacity)
{
    *topk = (sx_topk){.items = sx_calloc(capacity, sizeof(sx_ranked)), .capacity = capacity};
    return topk->items != NULL;
}

void sx_topk_close(sx_topk *topk)
{
    free(topk->items);
    *topk = (sx_topk){0};
}

void sx_topk_reset(sx_topk *topk)
{
    topk->count = 0;
}

/* Puts the item where it belongs on the way down from `at`: no child may rank after its parent. */
static void sift_down(sx_ranked *items, size_t count, size_t at, sx_ranked item)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count)
            break;
        if (child + 1 < count && sx_ranks_before(items[child], items[child + 1]))
            child++;
        if (!sx_ranks_before(item, items[child]))
            break;
        items[at] = items[child];
        at = child;
    }
    items[at] = item;
}

void sx_topk_offer(sx_topk *topk, int64_t id, float score)
{
    sx_ranked item = {id, score};
    if (isnan(score) || !topk->capacity)
        return;
    if (topk->count < topk->capacity) {
        size_t at = topk->count++;
        while (at > 0 && sx_ranks_before(topk->items[(at - 1) / 2], item)) {
            topk->items[at] = topk->items[(at - 1) / 2];
            at = (at - 1) / 2;
        }
        topk->items[at] = item;
    } else if (sx_ranks_before(item, topk->items[0])) {
        sift_down(topk->items, topk->count, 0, item);
    }
}

void sx_topk_sort(sx_topk *topk)
{
    for (size_t left = topk->count; left > 1; left--) {
        sx_ranked last = topk->items[left - 1];
        topk->items[left - 1] = topk->items[0];
        sift_down(topk->items, left - 1, 0, last);
    }
}
