/* label.c - what somebody says blocks hold: two bytes a block, and a table of the labels that were given. */
#include "heap/heap.h"

#include <stdlib.h>

#define LABELS_MAX 65534u

struct hs_labels {
    uint16_t *numbers; /* a block: index into labels + 1, 0 for none */
    struct hs_label *labels;
    uint16_t *types; /* a label: the first label of the same type */
    size_t count, capacity;
    struct hs_arena arena;
};

void hs_labels_destroy(struct hs_labels *labels)
{
    if (!labels)
        return;
    free(labels->numbers);
    free(labels->labels);
    free(labels->types);
    hs_arena_deinit(&labels->arena);
    free(labels);
}

static struct hs_labels *create(uint32_t block_count, unsigned thread_count)
{
    struct hs_labels *labels = calloc(1, sizeof *labels);

    if (!labels)
        return NULL;
    hs_arena_init(&labels->arena);
    labels->numbers = hs_alloc_touched(thread_count, ((size_t)block_count + 1) * sizeof *labels->numbers);
    if (!labels->numbers) {
        hs_labels_destroy(labels);
        return NULL;
    }
    return labels;
}

static bool grow(struct hs_labels *labels)
{
    size_t wanted = labels->capacity ? labels->capacity * 2 : 32;
    struct hs_label *grown;
    uint16_t *types;

    if (labels->count < labels->capacity)
        return true;
    grown = realloc(labels->labels, wanted * sizeof *grown);
    if (!grown)
        return false;
    labels->labels = grown;
    types = realloc(labels->types, wanted * sizeof *types);
    if (!types)
        return false;
    labels->types = types;
    labels->capacity = wanted;
    return true;
}

enum hs_status hs_blocks_add_label(struct hs_blocks *blocks, const struct hs_label *label, unsigned thread_count,
                                   uint16_t *number_ret, struct hs_error *err)
{
    struct hs_labels *labels = blocks->labels;
    struct hs_label kept = {.confidence = label->confidence};
    size_t type = 0;

    if (!labels)
        labels = blocks->labels = create(blocks->count, thread_count);
    if (!labels || !grow(labels))
        return hs_fail_memory(err, "labels");
    if (labels->count == LABELS_MAX)
        return hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA, "more than %u labels on one dump", LABELS_MAX);
    kept.type = hs_arena_string(&labels->arena, label->type);
    kept.evidence = hs_arena_string(&labels->arena, label->evidence ? label->evidence : "");
    kept.source = hs_arena_string(&labels->arena, label->source ? label->source : "");
    if (!kept.type || !kept.evidence || !kept.source)
        return hs_fail_memory(err, "a label");
    while (type < labels->count && strcmp(labels->labels[type].type, kept.type) != 0)
        type++;
    labels->types[labels->count] = (uint16_t)type;
    labels->labels[labels->count++] = kept;
    *number_ret = (uint16_t)labels->count;
    return HS_OK;
}

/* Whether label `a` is to be kept rather than `b`. */
static bool is_better(const struct hs_label *a, const struct hs_label *b)
{
    if (a->confidence > b->confidence || a->confidence < b->confidence)
        return a->confidence > b->confidence;
    return strcmp(a->source, b->source) < 0;
}

void hs_blocks_set_label(struct hs_blocks *blocks, uint32_t id, uint16_t number)
{
    struct hs_labels *labels = blocks->labels;
    uint16_t present = labels->numbers[id];

    if (!present || is_better(&labels->labels[number - 1], &labels->labels[present - 1]))
        labels->numbers[id] = number;
}

const uint16_t *hs_blocks_label_numbers(const struct hs_blocks *blocks)
{
    return blocks->labels ? blocks->labels->numbers : NULL;
}

uint16_t hs_blocks_label_number(const struct hs_blocks *blocks, uint32_t id)
{
    return blocks->labels ? blocks->labels->numbers[id] : 0;
}

uint16_t hs_blocks_label_count(const struct hs_blocks *blocks)
{
    return blocks->labels ? (uint16_t)blocks->labels->count : 0;
}

const struct hs_label *hs_blocks_label(const struct hs_blocks *blocks, uint16_t number)
{
    return number && number <= hs_blocks_label_count(blocks) ? &blocks->labels->labels[number - 1] : NULL;
}

uint16_t hs_blocks_label_type(const struct hs_blocks *blocks, uint16_t number)
{
    return blocks->labels->types[number - 1];
}

const uint16_t *hs_blocks_label_types(const struct hs_blocks *blocks)
{
    return blocks->labels ? blocks->labels->types : NULL;
}

const struct hs_label *hs_block_label(const struct hs_blocks *blocks, uint32_t id)
{
    return id < blocks->count ? hs_blocks_label(blocks, hs_blocks_label_number(blocks, id)) : NULL;
}

const char *hs_label_type(const struct hs_blocks *blocks, uint64_t key)
{
    return key < hs_blocks_label_count(blocks) ? blocks->labels->labels[key].type : NULL;
}
