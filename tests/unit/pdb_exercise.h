/* pdb_exercise.h - asks a PDB everything that can be asked, within bounds, and makes one number of the answers. For unit
 * tests and for the fuzz target. */
#ifndef PDB_EXERCISE_H
#define PDB_EXERCISE_H

#include "image/image.h"

#define EXERCISE_SYMBOLS 20000u
#define EXERCISE_TYPES 5000u
#define EXERCISE_MEMBERS 20000u

struct pdb_answers {
    uint64_t hash; /* of all names, addresses, sizes, types, members */
    size_t symbols, functions, types, members;
};

static inline void mix(struct pdb_answers *answers, uint64_t value)
{
    answers->hash = (answers->hash ^ value) * UINT64_C(0x100000001b3);
}

static inline void mix_text(struct pdb_answers *answers, const char *text)
{
    for (; *text; text++)
        mix(answers, (unsigned char)*text);
    mix(answers, 0x100);
}

static inline void ask_symbols(struct hs_pdb *pdb, struct pdb_answers *answers)
{
    struct hs_pdb_cursor cursor = {0};
    struct hs_pdb_symbol symbol, found;
    uint32_t offset;
    bool is_near;

    while (answers->symbols < EXERCISE_SYMBOLS && hs_pdb_next(pdb, &cursor, &symbol)) {
        answers->symbols++;
        answers->functions += symbol.has_size;
        mix_text(answers, symbol.name);
        mix(answers, symbol.rva);
        mix(answers, symbol.size);
        for (uint32_t step = 0; step < 3; step++) {
            if (!hs_pdb_at(pdb, symbol.rva + step * (symbol.size / 2), &found, &offset, &is_near))
                continue;
            mix_text(answers, found.name);
            mix(answers, offset);
            mix(answers, is_near);
        }
        if (hs_pdb_named(pdb, symbol.name, &found))
            mix(answers, found.rva);
    }
    (void)hs_pdb_at(pdb, 0, &found, &offset, &is_near);
    (void)hs_pdb_at(pdb, UINT32_MAX, &found, &offset, &is_near);
    (void)hs_pdb_named(pdb, "", &found);
}

static inline void ask_type(struct hs_pdb *pdb, const struct hs_type *type, struct pdb_answers *answers)
{
    struct hs_member_cursor place = {0};
    struct hs_member member;
    struct hs_type other;

    mix_text(answers, type->name);
    mix(answers, type->id);
    mix(answers, type->size);
    mix(answers, type->kind);
    while (answers->members < EXERCISE_MEMBERS && hs_pdb_next_member(pdb, type, &place, &member)) {
        answers->members++;
        mix_text(answers, member.name);
        mix(answers, member.offset);
        mix(answers, (uint64_t)member.value);
        mix(answers, member.bit_position + 256u * member.bit_width);
        if (hs_pdb_type(pdb, member.type, &other)) {
            mix(answers, other.id);
            mix(answers, other.size);
            mix(answers, other.count);
        }
    }
}

static inline void ask_types(struct hs_pdb *pdb, struct pdb_answers *answers)
{
    struct hs_type_cursor cursor = {0};
    struct hs_type type, found;

    while (answers->types < EXERCISE_TYPES && hs_pdb_next_type(pdb, &cursor, &type)) {
        answers->types++;
        ask_type(pdb, &type, answers);
        if (answers->types < 200 && hs_pdb_type_named(pdb, type.name, &found))
            mix(answers, found.id);
    }
    for (uint32_t id = 0; id < 0x1400; id++)
        if (hs_pdb_type(pdb, id, &type))
            mix(answers, type.size + type.id);
    (void)hs_pdb_type(pdb, UINT32_MAX, &type);
    (void)hs_pdb_type_named(pdb, "no such type", &type);
}

/* HS_OK, or why it cannot be opened. */
static inline enum hs_status ask_pdb(struct hs_span bytes, struct pdb_answers *answers)
{
    struct hs_error err = {0};
    struct hs_pdb *pdb;
    enum hs_status status = hs_pdb_open_bytes(bytes, &pdb, &err);

    *answers = (struct pdb_answers){.hash = UINT64_C(0xcbf29ce484222325)};
    if (status != HS_OK)
        return err.text[0] ? status : HS_NOT_FOUND; /* a failure without a text would be a fault */
    (void)hs_pdb_matches(pdb, hs_pdb_id(pdb));
    ask_symbols(pdb, answers);
    ask_types(pdb, answers);
    hs_pdb_close(pdb);
    return HS_OK;
}

#endif
