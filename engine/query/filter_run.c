/* filter_run.c - runs the programs of filter.c on one block. */
#include "query/filter.h"

#include "query/candidate.h"
#include "query/scan.h"

struct value {
    int64_t number;
    uint64_t missing; /* 0 or 1; as wide as the number, so that what was just stored can be loaded without a wait */
};

static const struct value missing = {0, 1};

static struct value present(uint64_t number)
{
    return (struct value){(int64_t)number, 0};
}

static inline struct value read_user(const struct hs_filter *filter, const struct hs_spot *spot, int64_t off,
                                     int64_t size_signed)
{
    const struct hs_heaps *heaps = filter->blocks->heaps;
    const struct hs_extent *extent = spot->extent;
    unsigned size = (unsigned)(size_signed < 0 ? -size_signed : size_signed);
    uint64_t number;

    if (off < 0 || spot->brief.size < size || (uint64_t)off > spot->brief.size - size)
        return missing;
    if (spot->user)
        number = hs_filter_load(spot->user + off, size);
    else if (extent->kind == HS_EXTENT_HOLE ||
             !hs_space_uint(heaps->process->space, extent->va + hs_spot_user_off(heaps, spot) + (uint64_t)off, size,
                            &number))
        return missing;
    if (size_signed < 0 && size < 8 && number >> (8 * size - 1))
        number |= UINT64_MAX << (8 * size);
    return present(number);
}

/* Printable ASCII, a tab or the end of a line. */
static inline bool is_letter(unsigned unit)
{
    return unit - 0x20 <= 0x7e - 0x20 || unit == '\t' || unit == '\n' || unit == '\r';
}

/* A UTF-16 unit of the scripts in use. */
static inline bool is_unit(unsigned unit)
{
    return is_letter(unit) || (unit >= 0xa0 && unit <= 0x1fff) || (unit >= 0x2010 && unit <= 0x20cf) ||
           (unit >= 0x3000 && unit <= 0x9fff) || (unit >= 0xac00 && unit <= 0xd7a3);
}

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* How many of 8 bytes are printable ASCII before one that is not (which a look of its own may find to be a letter). */
static inline unsigned printable(uint64_t bytes)
{
    /* In a byte below 0x80, adding 0x60 makes the top bit of 0x20 and more, adding 1 only that of 0x7f. */
    uint64_t low = bytes & EACH_BYTE(0x7f);
    uint64_t others = (bytes | ~(low + EACH_BYTE(0x60)) | (low + EACH_BYTE(1))) & EACH_BYTE(0x80);

    return others ? (unsigned)__builtin_ctzll(others) / 8 : 8;
}

/* Characters of 1 byte. */
static uint64_t ascii_run(const uint8_t *bytes, uint64_t size)
{
    uint64_t count = 0;

    for (;;) {
        while (count + 8 <= size) {
            unsigned here = printable(hs_load_u64(bytes + count));

            count += here;
            if (here < 8)
                break;
        }
        if (count == size || !is_letter(bytes[count]))
            return count;
        count++;
    }
}

/* Characters of 2 bytes. */
static uint64_t utf16_run(const uint8_t *bytes, uint64_t size)
{
    uint64_t count = 0;

    for (;;) {
        /* Four of ASCII at once: their low bytes are printable, and so is a space in the place of a high one of 0. */
        while (2 * count + 8 <= size) {
            uint64_t units = hs_load_u64(bytes + 2 * count);

            if ((units & UINT64_C(0xff00ff00ff00ff00)) || printable(units | UINT64_C(0x2000200020002000)) < 8)
                break;
            count += 4;
        }
        if (2 * count + 1 >= size || !is_unit(hs_load_u16(bytes + 2 * count)))
            return count;
        count++;
    }
}

/* Length of the text at user offset `off`, in characters of `width` bytes; see HS_FILTER_ASCII and HS_FILTER_UTF16. Only
 * what is mapped together with the header is looked at. */
static struct value text_run(const struct hs_filter *filter, const struct hs_spot *spot, int64_t off, unsigned width)
{
    const struct hs_extent *extent = spot->extent;
    const uint8_t *bytes;
    uint64_t at, size, count;

    if (extent->kind != HS_EXTENT_RUN || off < 0 || (uint64_t)off > spot->brief.size)
        return missing;
    at = hs_spot_user_off(filter->blocks->heaps, spot) + (uint64_t)off;
    size = spot->brief.size - (uint64_t)off;
    if (at >= extent->size)
        return missing;
    if (size > extent->size - at)
        size = extent->size - at;
    bytes = extent->bytes + at;
    if (width == 1) {
        count = ascii_run(bytes, size);
        return present(count == size || bytes[count] == 0 ? count : 0);
    }
    count = utf16_run(bytes, size);
    return present(2 * count + 1 >= size || hs_load_u16(bytes + 2 * count) == 0 ? count : 0);
}

bool hs_filter_among_sorted(const struct hs_instruction *at, int64_t number)
{
    const struct hs_filter_text *sorted = at->text;
    size_t low = 0, high = sorted->size / 8;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int64_t found = (int64_t)hs_load_u64(sorted->bytes + middle * 8);

        if (found == number)
            return true;
        if (found < number)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static bool contains(const struct hs_filter *filter, const struct hs_spot *spot, const struct hs_filter_text *text)
{
    const struct hs_space *space = filter->blocks->heaps->process->space;
    const struct hs_extent *extent = spot->extent;
    uint64_t at = hs_spot_user_off(filter->blocks->heaps, spot);
    hs_va user = extent->va + at, found;

    if (extent->kind == HS_EXTENT_HOLE || text->size == 0 || spot->brief.size < text->size)
        return false;
    if (extent->kind == HS_EXTENT_RUN && at + spot->brief.size <= extent->size)
        return memmem(extent->bytes + at, spot->brief.size, text->bytes, text->size) != NULL;
    return hs_space_find(space, text->bytes, text->size, user, user + spot->brief.size, 1, NULL, &found) == HS_OK;
}

static struct value trace_of(const struct hs_filter *filter, const struct hs_spot *spot)
{
    const uint32_t *traces = filter->dump->block_traces;

    return traces && traces[spot->id] != UINT32_MAX ? present(traces[spot->id]) : missing;
}

static struct value number_of(const struct hs_column *column, uint32_t id)
{
    int64_t number;

    return hs_column_get(column, id, &number) ? present((uint64_t)number) : missing;
}

static uint32_t stored_of(const struct hs_filter *filter, const struct hs_spot *spot)
{
    return spot->extent ? hs_block_stored(filter->blocks->heaps, spot->extent, spot->off, &spot->brief)
                        : hs_summary_stored(spot->summary);
}

static struct value field_of(const struct hs_filter *filter, const struct hs_spot *spot, int field)
{
    const struct hs_heaps *heaps = filter->blocks->heaps;
    const struct hs_extent *extent = spot->extent;
    struct hs_block block;
    uint32_t stored;

    switch ((enum hs_block_field)field) {
    case HS_BLOCK_FIELD_SIZE: return present(spot->brief.size);
    case HS_BLOCK_FIELD_TOTAL: return present(spot->brief.total);
    case HS_BLOCK_FIELD_FLAGS: return present(spot->brief.flags);
    case HS_BLOCK_FIELD_STATE: return present((uint64_t)spot->brief.state);
    case HS_BLOCK_FIELD_HEAP: return present(heaps->heaps[extent->heap_idx].va);
    case HS_BLOCK_FIELD_LARGE: return present(extent->kind == HS_EXTENT_LARGE);
    case HS_BLOCK_FIELD_ID: return present(spot->id);
    case HS_BLOCK_FIELD_TRACE: return trace_of(filter, spot);
    case HS_BLOCK_FIELD_SEGMENT:
        return extent->kind == HS_EXTENT_LARGE
                   ? missing
                   : present(extent->segment_idx - heaps->first_segment[extent->heap_idx] + 1);
    case HS_BLOCK_FIELD_STORED:
        stored = stored_of(filter, spot);
        return stored == UINT32_MAX ? missing : present(stored);
    case HS_BLOCK_FIELD_FILL: return present((uint64_t)hs_block_fill_of(heaps, extent, spot->off, &spot->brief));
    case HS_BLOCK_FIELD_FIRST_WORD: return read_user(filter, spot, 0, heaps->process->space->pointer_size);
    case HS_BLOCK_FIELD_USER:
        return present(extent->va + (extent->kind == HS_EXTENT_HOLE ? 0 : hs_spot_user_off(heaps, spot)));
    case HS_BLOCK_FIELD_ADDRESS: /* the header's last unit lies before the user bytes, also in a large block */
        return present(extent->va + (extent->kind == HS_EXTENT_HOLE ? 0 : hs_spot_user_off(heaps, spot) - heaps->unit));
    case HS_BLOCK_FIELD_TAG:
    case HS_BLOCK_FIELD_UNUSED:
    case HS_BLOCK_FIELD_PREVIOUS:
    case HS_BLOCK_FIELD_SETTABLE:
    case HS_BLOCK_FIELD_COUNT: break;
    }
    hs_block_fill(filter->blocks, extent, spot->id, spot->off, &block);
    switch ((int)field) {
    case HS_BLOCK_FIELD_TAG: return present(block.tag);
    case HS_BLOCK_FIELD_UNUSED: return present(block.unused_bytes);
    case HS_BLOCK_FIELD_PREVIOUS: return present((uint64_t)block.previous_units * heaps->unit);
    case HS_BLOCK_FIELD_SETTABLE: return present(block.settable);
    default: return missing;
    }
}

/* Towards minus infinity, as Lua divides. */
static struct value divide(int64_t a, int64_t b, bool modulo)
{
    int64_t quotient, rest;

    if (b == 0)
        return missing;
    if (b == -1)
        return modulo ? present(0) : present(0 - (uint64_t)a);
    quotient = a / b;
    rest = a % b;
    if (rest && (rest < 0) != (b < 0)) {
        quotient--;
        rest += b;
    }
    return present((uint64_t)(modulo ? rest : quotient));
}

/* NOLINTBEGIN(clang-analyzer-core.*): check_program has proved that no instruction pops a value that is not there */
static struct value combine(int code, struct value a, struct value b)
{
    uint64_t x = (uint64_t)a.number, y = (uint64_t)b.number;
    bool both = !a.missing && !b.missing;

    switch (code) {
    case HS_FILTER_EQUAL: return present(both && x == y);
    case HS_FILTER_LESS: return present(both && a.number < b.number);
    case HS_FILTER_LESS_EQUAL: return present(both && a.number <= b.number);
    default: break;
    }
    if (!both)
        return missing;
    switch (code) {
    case HS_FILTER_ADD: return present(x + y);
    case HS_FILTER_SUBTRACT: return present(x - y);
    case HS_FILTER_MULTIPLY: return present(x * y);
    case HS_FILTER_DIVIDE: return divide(a.number, b.number, false);
    case HS_FILTER_MODULO: return divide(a.number, b.number, true);
    case HS_FILTER_AND: return present(x & y);
    case HS_FILTER_OR: return present(x | y);
    case HS_FILTER_XOR: return present(x ^ y);
    case HS_FILTER_SHIFT_LEFT: return present(y < 64 ? x << y : 0);
    case HS_FILTER_SHIFT_RIGHT: return present(y < 64 ? x >> y : 0);
    default: return missing;
    }
}

static bool is_true(struct value value)
{
    return !value.missing && value.number != 0;
}

/* What one of the codes of is_truth says of a block. */
static bool is_so(const struct hs_filter *filter, const struct hs_instruction *at, const struct hs_spot *spot)
{
    struct value trace;
    uint16_t number;

    switch (at->field) {
    case HS_FILTER_LABEL:
        number = filter->numbers ? filter->numbers[spot->id] : 0;
        return number && number <= filter->label_count && at->labels[number];
    case HS_FILTER_REFERENCED: return hs_scan_word(filter->scan, spot->id / 64, ~0u, ~0u) >> (spot->id % 64) & 1;
    case HS_FILTER_TRACE_MODULE:
    case HS_FILTER_TRACE_SYMBOL:
        trace = trace_of(filter, spot);
        return at->traces && !trace.missing && (at->traces[trace.number / 64] >> (trace.number % 64) & 1);
    case HS_FILTER_CONTAINS: return contains(filter, spot, at->text);
    default: return hs_stored_bit(at->bits, stored_of(filter, spot)); /* a candidate code */
    }
}

static struct value value_of(const struct hs_filter *filter, const struct hs_instruction *test,
                             const struct hs_spot *spot)
{
    switch (test->of) {
    case HS_FILTER_FIELD: return field_of(filter, spot, test->field);
    case HS_FILTER_READ: return read_user(filter, spot, test->off, test->field);
    default: return text_run(filter, spot, test->off, test->of == HS_FILTER_ASCII ? 1 : 2);
    }
}

bool hs_filter_met(const struct hs_filter *filter, const struct hs_instruction *test, const struct hs_spot *spot)
{
    struct value value;

    if (test->code == HS_RUN_SIZE_EQUAL)
        return spot->brief.size == (uint64_t)test->value;
    if (test->code == HS_RUN_TRUTH)
        return is_so(filter, test, spot);
    if (test->code == HS_RUN_WITHIN) {
        value = value_of(filter, test, spot);
        return !value.missing && value.number >= test->value && value.number <= test->high;
    }
    value = test->code == HS_RUN_FIELD_EQUAL ? field_of(filter, spot, test->field)
                                             : read_user(filter, spot, test->off, test->field);
    return !value.missing && hs_filter_wanted(test, value.number);
}

/* Runs the program from an instruction that is reached with nothing on the stack. */
static struct value run(const struct hs_filter *filter, const struct hs_spot *spot, size_t start)
{
    struct value stack[HS_FILTER_STACK + 1];
    struct value *top = stack; /* one past the last value */

    for (size_t i = start; i < filter->count; i++) {
        const struct hs_instruction *at = &filter->code[i];

        /* Most programs are tests and nothing else. */
        while (at->code >= HS_RUN_TESTS) {
            const struct hs_way *way = &at->ways[hs_filter_met(filter, at, spot)];

            if (way->leave != HS_LEAVE_NOTHING)
                *top++ = present(way->leave == HS_LEAVE_TRUE);
            if (way->next == filter->count)
                return top[-1];
            i = way->next;
            at = &filter->code[i];
        }
        switch (at->code) {
        case HS_FILTER_PUSH: *top++ = present((uint64_t)at->value); break;
        case HS_FILTER_FIELD: *top++ = field_of(filter, spot, (int)at->value); break;
        case HS_RUN_READ:
            *top++ = read_user(filter, spot, at->off, at->field);
            i += 1;
            break;
        case HS_FILTER_READ:
            top[-1] = top[-1].missing ? missing : read_user(filter, spot, top[-1].number, at->value);
            break;
        case HS_FILTER_ASCII:
        case HS_FILTER_UTF16:
            top[-1] =
                top[-1].missing ? missing : text_run(filter, spot, top[-1].number, at->code == HS_FILTER_ASCII ? 1 : 2);
            break;
        case HS_FILTER_AMONG: top[-1] = present(!top[-1].missing && hs_filter_among(at, top[-1].number)); break;
        case HS_FILTER_NEGATE: top[-1].number = (int64_t)(0 - (uint64_t)top[-1].number); break;
        case HS_FILTER_INVERT: top[-1].number = ~top[-1].number; break;
        case HS_FILTER_ADD:
        case HS_FILTER_SUBTRACT:
        case HS_FILTER_MULTIPLY:
        case HS_FILTER_DIVIDE:
        case HS_FILTER_MODULO:
        case HS_FILTER_AND:
        case HS_FILTER_OR:
        case HS_FILTER_XOR:
        case HS_FILTER_SHIFT_LEFT:
        case HS_FILTER_SHIFT_RIGHT:
        case HS_FILTER_EQUAL:
        case HS_FILTER_LESS:
        case HS_FILTER_LESS_EQUAL:
            top--;
            top[-1] = combine(at->code, top[-1], *top);
            break;
        case HS_FILTER_BETWEEN:
            top -= 2;
            top[-1] = present(is_true(combine(HS_FILTER_LESS_EQUAL, top[0], top[-1])) &&
                              is_true(combine(HS_FILTER_LESS_EQUAL, top[-1], top[1])));
            break;
        case HS_FILTER_NOT: top[-1] = present(!is_true(top[-1])); break;
        case HS_FILTER_JUMP_IF:
        case HS_FILTER_JUMP_UNLESS:
            if (is_true(top[-1]) == (at->code == HS_FILTER_JUMP_IF)) {
                i = (size_t)at->value - 1;
                top -= at->field;
            } else {
                top--;
            }
            break;
        case HS_FILTER_COLUMN: *top++ = number_of(at->column, spot->id); break;
        default: break;
        }
    }
    return top[-1];
}

bool hs_filter_true_from(const struct hs_filter *filter, size_t start, const struct hs_spot *spot)
{
    return is_true(run(filter, spot, start));
}

bool hs_filter_value(const struct hs_filter *filter, const struct hs_spot *spot, int64_t *value_ret)
{
    struct value value = run(filter, spot, 0);

    *value_ret = value.number;
    return !value.missing;
}

/* NOLINTEND(clang-analyzer-core.*) */

const struct hs_dump *hs_filter_dump(const struct hs_filter *filter)
{
    return filter->dump;
}
