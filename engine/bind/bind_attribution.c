/* bind_attribution.c - the attribution kernel for plugins/lib/attribution.lua, which hands over the opinions as data and
 * makes of its numbers what scripts see. Not for scripts themselves: host.core.attribution is its only way in. */
#include "bind/bind_internal.h"

#include "query/query.h"
#include <stdlib.h>

#define BOX "heapsift.attribution kernel"

struct bind_attribution {
    struct bind_dump *owner;
    struct hs_attribution *attribution;
};

static struct hs_attribution *get(lua_State *lua, int idx)
{
    struct bind_attribution *box = luaL_checkudata(lua, idx, BOX);
    if (!box->attribution)
        luaL_error(lua, "the attribution was freed");
    if (!box->owner->dump)
        luaL_error(lua, "dump is closed");
    return box->attribution;
}

static struct hs_attribution *get_judged(lua_State *lua)
{
    struct hs_attribution *attribution = get(lua, 1);
    if (!attribution->judged)
        luaL_error(lua, "nothing was judged yet");
    return attribution;
}

static int attribution_gc(lua_State *lua)
{
    struct bind_attribution *box = luaL_checkudata(lua, 1, BOX);
    if (box->attribution)
        hs_attribution_deinit(box->attribution);
    free(box->attribution);
    box->attribution = NULL;
    return 0;
}

/* ---- reading tables ---- */

static double number_field(lua_State *lua, int idx, const char *name)
{
    lua_getfield(lua, idx, name);
    if (!lua_isnumber(lua, -1))
        luaL_error(lua, "attribution: %s: a number expected", name);
    double value = lua_tonumber(lua, -1);
    lua_pop(lua, 1);
    return value;
}

static uint32_t count_field(lua_State *lua, int idx, const char *name)
{
    double value = number_field(lua, idx, name);
    if (!(value >= 0 && value <= 1e9))
        luaL_error(lua, "attribution: %s: a count expected", name);
    return (uint32_t)value;
}

static bool flag_field(lua_State *lua, int idx, const char *name)
{
    lua_getfield(lua, idx, name);
    bool value = lua_toboolean(lua, -1);
    lua_pop(lua, 1);
    return value;
}

/* The number of a label's type, from 1; 0: unknown here. */
static uint32_t label_number(const struct hs_blocks *blocks, const char *type)
{
    for (uint32_t key = 0; key < HS_CELL_LABELS; key++) {
        const char *name = hs_label_type(blocks, key);
        if (!name)
            break;
        if (strcmp(name, type) == 0)
            return key + 1;
    }
    return 0;
}

/* ---- read(dump, facts) ---- */

struct read_work {
    struct hs_attribution *attribution;
    struct hs_dump *dump;
    const uint8_t *heap_modules;
};

static enum hs_status work_read(void *arguments, struct hs_job *job, struct hs_error *err)
{
    struct read_work *work = arguments;
    return hs_attribution_read(work->attribution, work->dump, work->heap_modules, job, err);
}

/* Labels in the table `name` of the table at `idx`: flags in `objects`. */
static void read_objects(lua_State *lua, int idx, const struct hs_blocks *blocks, uint8_t *objects)
{
    lua_getfield(lua, idx, "objects");
    for (lua_Integer i = 1; lua_geti(lua, -1, i) == LUA_TSTRING; i++) {
        uint32_t label = label_number(blocks, lua_tostring(lua, -1));
        if (label)
            objects[label] = 1;
        lua_pop(lua, 1);
    }
    lua_pop(lua, 2);
}

/* { { label =, at =, target = or nil }, ... } */
static void read_links(lua_State *lua, int idx, const struct hs_blocks *blocks, struct hs_attribution *attribution)
{
    lua_getfield(lua, idx, "links");
    int links = lua_gettop(lua);
    for (lua_Integer i = 1; lua_geti(lua, links, i) == LUA_TTABLE && attribution->link_count < HS_LINK_RULES_MAX; i++) {
        int rule = lua_gettop(lua);
        lua_getfield(lua, rule, "label");
        uint32_t label = label_number(blocks, luaL_checkstring(lua, -1));
        bool exact = lua_getfield(lua, rule, "target") != LUA_TNIL;
        uint16_t target = exact ? (uint16_t)count_field(lua, rule, "target") : 0;
        if (label)
            attribution->links[attribution->link_count++] =
                (struct hs_link_rule){(uint8_t)label, (uint16_t)count_field(lua, rule, "at"), exact, target};
        lua_settop(lua, links);
    }
    lua_settop(lua, links - 1);
}

/* kernel(dump, { objects = { label, ... }, links = { ... }, heap_modules = { [name] = true } }) -> kernel, addresses: the
 * innermost frames outside of those modules, each once */
int bind_attribution_new(lua_State *lua)
{
    bind_check_dump(lua, 1);
    luaL_checktype(lua, 2, LUA_TTABLE);
    lua_settop(lua, 2);
    if (luaL_newmetatable(lua, BOX))
        bind_attribution_methods(lua);
    lua_pop(lua, 1);
    const struct hs_blocks *blocks = bind_blocks(lua, 1);
    bind_traces(lua, 1);
    bind_callers_set(lua, 1);
    struct bind_dump *owner = bind_check_dump(lua, 1);
    bind_heap_asked(owner, SIZE_MAX);
    struct bind_attribution *box = lua_newuserdatauv(lua, sizeof *box, 1);
    *box = (struct bind_attribution){owner, NULL};
    luaL_setmetatable(lua, BOX);
    lua_pushvalue(lua, 1);
    lua_setiuservalue(lua, 3, 1);
    box->attribution = calloc(1, sizeof *box->attribution);
    if (!box->attribution)
        bind_raise(lua, HS_ERR_MEMORY, NULL);
    read_objects(lua, 2, blocks, box->attribution->objects);
    read_links(lua, 2, blocks, box->attribution);
    size_t modules = hs_dump_module_count(owner->dump);
    uint8_t *heap_modules = lua_newuserdatauv(lua, modules + 1, 0);
    lua_getfield(lua, 2, "heap_modules");
    for (size_t i = 0; i < modules; i++) {
        lua_getfield(lua, -1, hs_dump_module(owner->dump, i)->name);
        heap_modules[i] = lua_toboolean(lua, -1) ? 1 : 0;
        lua_pop(lua, 1);
    }
    struct read_work work = {box->attribution, owner->dump, heap_modules};
    struct hs_error err = {0};
    enum hs_status status = bind_run(lua, 1, "reading who allocated", work_read, &work, &err);
    if (status != HS_OK)
        bind_raise(lua, status, &err);
    lua_pushvalue(lua, 3);
    lua_createtable(lua, (int)box->attribution->maker_va_count, 0);
    for (uint32_t i = 0; i < box->attribution->maker_va_count; i++) {
        lua_pushinteger(lua, (lua_Integer)box->attribution->maker_vas[i]);
        lua_rawseti(lua, -2, (lua_Integer)i + 1);
    }
    return 2;
}

/* ---- kernel:judge(model) ---- */

static enum hs_status work_judge(void *arguments, struct hs_job *job, struct hs_error *err)
{
    return hs_attribution_judge(arguments, job, err);
}

static const char *const evidence_names[HS_EVIDENCE_COUNT] = {
    [HS_EVIDENCE_COUNTS] = "counts", [HS_EVIDENCE_CONTENT] = "content",       [HS_EVIDENCE_SIZES] = "sizes",
    [HS_EVIDENCE_TAGS] = "tags",     [HS_EVIDENCE_NEIGHBOURS] = "neighbours", [HS_EVIDENCE_LINKS] = "links",
};

static void read_opinions(lua_State *lua, int idx, struct hs_opinions *opinions)
{
#define NUMBER(name_) opinions->name_ = number_field(lua, idx, #name_)
#define COUNT(name_) opinions->name_ = count_field(lua, idx, #name_)
    NUMBER(temper), NUMBER(tolerance), NUMBER(floor), NUMBER(strength), NUMBER(size_weight), NUMBER(module_absent);
    NUMBER(stray_odd), NUMBER(stray_fixed), NUMBER(stray_most), NUMBER(zero_most), NUMBER(unrecorded);
    NUMBER(behind_fall), NUMBER(behind_strength), NUMBER(likely_min), NUMBER(clear), NUMBER(undecided);
    NUMBER(witnesses);
    COUNT(fixed_min), COUNT(near), COUNT(learn), COUNT(looks), COUNT(looks_clump);
#undef NUMBER
#undef COUNT
    lua_getfield(lua, idx, "use");
    for (int kind = 0; kind < HS_EVIDENCE_COUNT; kind++)
        opinions->use[kind] = flag_field(lua, lua_gettop(lua), evidence_names[kind]);
    lua_getfield(lua, idx, "seen");
    opinions->seen[HS_EVIDENCE_NEIGHBOURS] = number_field(lua, lua_gettop(lua), "neighbours");
    opinions->seen[HS_EVIDENCE_LINKS] = number_field(lua, lua_gettop(lua), "links");
    lua_getfield(lua, idx, "regular");
    for (int i = 0; i < HS_REGULAR_COUNT; i++) {
        lua_geti(lua, -1, i + 1);
        opinions->regular[i] = luaL_checknumber(lua, -1);
        lua_pop(lua, 1);
    }
    lua_pop(lua, 3);
}

static uint32_t item_below(lua_State *lua, int table, uint64_t place, uint32_t limit)
{
    lua_geti(lua, table, (lua_Integer)place);
    lua_Integer value = luaL_checkinteger(lua, -1);
    lua_pop(lua, 1);
    if (value < 0 || value >= limit)
        luaL_error(lua, "attribution: number %I where less than %I was expected", (LUAI_UACINT)value,
                   (LUAI_UACINT)limit);
    return (uint32_t)value;
}

/* model: the numbers of struct hs_opinions by name; use, seen, regular; makers: for each address that was given, the
 * number of its maker from 0; maker_class: for each maker, the number of its class from 0; prior: for each class a list
 * of P(label | class), unlabelled first, then by kernel:labels(). The last maker is that of stacks without such a frame. */
static int attribution_judge(lua_State *lua)
{
    struct hs_attribution *attribution = get(lua, 1);
    luaL_checktype(lua, 2, LUA_TTABLE);
    lua_settop(lua, 2);
    if (attribution->makers)
        return luaL_error(lua, "attribution: judged already");
    read_opinions(lua, 2, &attribution->opinions);
    lua_getfield(lua, 2, "maker_class");
    lua_getfield(lua, 2, "prior");
    lua_getfield(lua, 2, "makers");
    struct hs_model *model = &attribution->model;
    lua_Integer makers = luaL_len(lua, 3), classes = luaL_len(lua, 4);
    luaL_argcheck(lua, makers > 0 && makers < 1 << 20 && classes > 0 && classes < 256, 2,
                  "makers and classes expected");
    lua_geti(lua, 4, 1);
    lua_Integer labels = luaL_len(lua, -1);
    luaL_argcheck(lua, labels > 0 && labels <= HS_CELL_LABELS + 1, 2, "priors expected");
    model->maker_count = (uint32_t)makers;
    model->class_count = (uint32_t)classes;
    model->label_count = (uint32_t)labels;
    attribution->makers = calloc(attribution->maker_va_count + (size_t)1, sizeof *attribution->makers);
    attribution->maker_class = calloc((size_t)makers, 1);
    attribution->prior = calloc((size_t)(classes * labels), sizeof *attribution->prior);
    if (!attribution->makers || !attribution->maker_class || !attribution->prior)
        bind_raise(lua, HS_ERR_MEMORY, NULL);
    attribution->makers[0] = model->maker_count - 1;
    for (uint32_t i = 1; i <= attribution->maker_va_count; i++)
        attribution->makers[i] = item_below(lua, 5, i, model->maker_count);
    for (uint32_t i = 0; i < model->maker_count; i++)
        attribution->maker_class[i] = (uint8_t)item_below(lua, 3, i + 1, model->class_count);
    for (lua_Integer class = 0; class < classes; class ++) {
        lua_geti(lua, 4, class + 1);
        for (lua_Integer label = 0; label < labels; label++) {
            lua_geti(lua, -1, label + 1);
            attribution->prior[class * labels + label] = luaL_checknumber(lua, -1);
            lua_pop(lua, 1);
        }
        lua_pop(lua, 1);
    }
    struct hs_error err = {0};
    lua_getiuservalue(lua, 1, 1);
    enum hs_status status = bind_run(lua, lua_gettop(lua), "judging who allocated", work_judge, attribution, &err);
    if (status != HS_OK)
        bind_raise(lua, status, &err);
    return 0;
}

/* kernel:labels() -> types of labels on the dump by number, from 1 */
static int attribution_labels(lua_State *lua)
{
    const struct hs_attribution *attribution = get(lua, 1);
    lua_newtable(lua);
    for (uint32_t key = 0; key < HS_CELL_LABELS; key++) {
        const char *type = hs_label_type(attribution->blocks, key);
        if (!type)
            break;
        lua_pushstring(lua, type);
        lua_rawseti(lua, -2, (lua_Integer)key + 1);
    }
    return 1;
}

/* ---- results ---- */

static void push_share(lua_State *lua, uint32_t trace, uint64_t blocks, double confidence)
{
    lua_createtable(lua, 0, 4);
    bind_set_integer(lua, "index", trace);
    bind_set_integer(lua, "blocks", blocks);
    lua_pushnumber(lua, confidence);
    lua_setfield(lua, -2, "confidence");
}

static int compare_sizes(const void *a, const void *b)
{
    const struct hs_cell_part *one = a, *two = b; /* label holds the cell's place */
    if (one->heap_idx != two->heap_idx)
        return one->heap_idx < two->heap_idx ? -1 : 1;
    if (one->size != two->size)
        return one->size < two->size ? -1 : 1;
    return one->label < two->label ? -1 : one->label > two->label;
}

/* Adds a share to the list at the stack top: one of the same trace is made larger. */
static void add_share(lua_State *lua, const struct hs_share *share)
{
    lua_Integer count = luaL_len(lua, -1);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(lua, -1, i);
        lua_getfield(lua, -1, "index");
        lua_getfield(lua, -2, "blocks");
        lua_getfield(lua, -3, "confidence");
        lua_Integer index = lua_tointeger(lua, -3), blocks = lua_tointeger(lua, -2);
        double confidence = lua_tonumber(lua, -1);
        lua_pop(lua, 3);
        if (index == share->trace) {
            lua_Integer sum = blocks + share->blocks;
            bind_set_integer(lua, "blocks", (uint64_t)sum);
            lua_pushnumber(lua,
                           (confidence * (double)blocks + (double)share->confidence * share->blocks) / (double)sum);
            lua_setfield(lua, -2, "confidence");
            lua_pop(lua, 1);
            return;
        }
        lua_pop(lua, 1);
    }
    push_share(lua, share->trace, share->blocks, (double)share->confidence);
    lua_rawseti(lua, -2, count + 1);
}

#define SHARES_MAX 64

/* kernel:groups(stored) -> list of { heap, stored, size, blocks, shares = { { index, blocks, confidence }, ... } } */
static int attribution_groups(lua_State *lua)
{
    const struct hs_attribution *attribution = get_judged(lua);
    uint32_t stored = (uint32_t)bind_check_integer(lua, 2, "stored index", 0, UINT16_MAX);
    const struct hs_cells *cells = &attribution->cells;
    uint32_t first = cells->first[stored], count = cells->first[stored + 1] - first, groups = 0;
    struct hs_cell_part *parts = lua_newuserdatauv(lua, (count + (size_t)1) * sizeof *parts, 0);
    for (uint32_t i = 0; i < count; i++) {
        parts[i] = hs_cells_part(cells, cells->cells[first + i].key);
        parts[i].label = first + i;
    }
    qsort(parts, count, sizeof *parts, compare_sizes);
    lua_newtable(lua);
    for (uint32_t i = 0; i < count;) {
        struct hs_cell_part part = parts[i];
        const struct hs_heap *heap = hs_dump_heap(attribution->dump, part.heap_idx);
        uint64_t blocks = 0;
        lua_createtable(lua, 0, 5);
        bind_set_integer(lua, "heap", heap ? heap->va : 0);
        bind_set_integer(lua, "stored", stored);
        bind_set_integer(lua, "size", part.size);
        lua_newtable(lua);
        for (; i < count && parts[i].heap_idx == part.heap_idx && parts[i].size == part.size; i++) {
            struct hs_share shares[SHARES_MAX];
            size_t found = hs_model_shares(&attribution->model, parts[i].label, shares, SHARES_MAX);
            for (size_t s = 0; s < found && s < SHARES_MAX; s++)
                add_share(lua, &shares[s]);
            blocks += cells->cells[parts[i].label].count;
        }
        lua_setfield(lua, -2, "shares");
        bind_set_integer(lua, "blocks", blocks);
        lua_rawseti(lua, -2, (lua_Integer)++groups);
    }
    return 1;
}

/* kernel:order() -> stored indexes with blocks, most bytes first */
static int attribution_order(lua_State *lua)
{
    const struct hs_attribution *attribution = get_judged(lua);
    const struct hs_model *model = &attribution->model;
    struct hs_site_type *order = lua_newuserdatauv(lua, HS_CELL_STORED * sizeof *order, 0);
    size_t count = 0;
    for (uint32_t stored = 0; stored < HS_CELL_STORED; stored++) {
        uint64_t bytes = 0;
        for (uint32_t c = model->first_clump[stored]; c < model->first_clump[stored + 1]; c++)
            bytes += model->clumps[c].bytes;
        if (attribution->cells.first[stored] < attribution->cells.first[stored + 1])
            order[count++] = (struct hs_site_type){stored, bytes};
    }
    hs_site_types_sort(order, count);
    lua_createtable(lua, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushinteger(lua, (lua_Integer)order[i].label);
        lua_rawseti(lua, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* kernel:clump(block) -> { blocks, label, module, owner, candidates = { { index, odds, likely, maker, count, on_stack,
 * neighbours, links, neighbours_seen, links_seen } } }, or nil: the block is not busy or stores no index */
static int attribution_clump(lua_State *lua)
{
    const struct hs_attribution *attribution = get_judged(lua);
    const struct bind_block *box = bind_check_box(lua, 2, &bind_block_class);
    const struct hs_model *model = &attribution->model;
    uint32_t stored, cell;
    uint64_t key;
    if (box->block.id >= hs_blocks_count(attribution->blocks) ||
        !hs_cells_key(&attribution->cells, attribution->blocks, attribution->objects, box->block.id, &stored, &key) ||
        stored == HS_CELL_UNTRACED || (cell = hs_cells_find(&attribution->cells, stored, key)) == HS_CELL_NONE) {
        lua_pushnil(lua);
        return 1;
    }
    uint32_t number = model->cell_clump[cell];
    const struct hs_clump *clump = &model->clumps[number];
    lua_newtable(lua);
    bind_set_integer(lua, "blocks", clump->count);
    bind_set_integer(lua, "owner", (uint64_t)clump->owner + 1);
    if (clump->label)
        bind_set_text(lua, "label", hs_label_type(attribution->blocks, clump->label - 1u));
    uint32_t module = hs_cells_part(&attribution->cells, key).module;
    if (module)
        bind_set_text(lua, "module", hs_dump_module(attribution->dump, module - 1)->name);
    lua_pushnumber(lua, (double)clump->confidence);
    lua_setfield(lua, -2, "confidence");
    lua_newtable(lua);
    for (uint32_t i = 0; i < hs_model_candidates(model, stored); i++) {
        uint32_t index = hs_model_candidate(model, stored, i);
        const struct hs_trace_fact *fact = &attribution->facts[index];
        lua_newtable(lua);
        bind_set_integer(lua, "index", index);
        lua_pushnumber(lua, (double)model->odds[clump->odds + i]);
        lua_setfield(lua, -2, "odds");
        if (index) {
            bind_set_integer(lua, "count", fact->count);
            bind_set_integer(lua, "maker", (uint64_t)fact->maker + 1);
            lua_pushnumber(lua, hs_model_likelihood(model, fact->maker, clump->label));
            lua_setfield(lua, -2, "likely");
            bind_set_bool(lua, "on_stack", clump->module_bit < 64 && fact->modules >> clump->module_bit & 1);
            for (int kind = HS_EVIDENCE_NEIGHBOURS; kind <= HS_EVIDENCE_LINKS; kind++) {
                size_t looked = 0;
                double odds = model->witnesses ? hs_model_seen(model, number, i, (enum hs_evidence)kind, &looked) : 0;
                if (!looked || !attribution->opinions.use[kind])
                    continue;
                lua_createtable(lua, 0, 2);
                bind_set_integer(lua, "looked", looked);
                lua_pushnumber(lua, odds);
                lua_setfield(lua, -2, "odds");
                lua_setfield(lua, -2, evidence_names[kind]);
            }
        }
        lua_rawseti(lua, -2, (lua_Integer)i + 1);
    }
    lua_setfield(lua, -2, "candidates");
    return 1;
}

/* kernel:maker(index) -> number of a trace's maker from 1, address of its caller, whether that is only its outermost */
static int attribution_trace(lua_State *lua)
{
    const struct hs_attribution *attribution = get_judged(lua);
    lua_Integer index = luaL_checkinteger(lua, 2);
    if (index < 1 || index > attribution->model.trace_count)
        return 0;
    const struct hs_trace_fact *fact = &attribution->facts[index];
    lua_pushinteger(lua, (lua_Integer)fact->maker + 1);
    lua_pushinteger(lua, (lua_Integer)fact->caller);
    lua_pushboolean(lua, fact->outermost);
    return 3;
}

static void sites_made(lua_State *lua, struct hs_attribution *attribution)
{
    struct hs_error err = {0};
    enum hs_status status = hs_attribution_sites(attribution, &err);
    if (status != HS_OK)
        bind_raise(lua, status, &err);
}

/* kernel:site_count() */
static int attribution_site_count(lua_State *lua)
{
    struct hs_attribution *attribution = get_judged(lua);
    sites_made(lua, attribution);
    lua_pushinteger(lua, attribution->site_count);
    return 1;
}

/* The site whose number is the second argument; NULL: there is none. */
static const struct hs_site *site_at(lua_State *lua, struct hs_attribution **attribution_ret)
{
    struct hs_attribution *attribution = *attribution_ret = get_judged(lua);
    lua_Integer number = luaL_checkinteger(lua, 2);
    sites_made(lua, attribution);
    return number >= 1 && number <= attribution->site_count ? &attribution->sites[number - 1] : NULL;
}

/* kernel:site(number) -> { kind, caller, outermost, blocks, bytes, confidence, captures }, how many traces it has */
static int attribution_site(lua_State *lua)
{
    static const char *const kinds[] = {"site", "unrecorded", "undecided", "untraced"};
    struct hs_attribution *attribution;
    const struct hs_site *site = site_at(lua, &attribution);
    uint64_t captures = 0;
    if (!site)
        return 0;
    for (uint32_t i = 0; i < site->traces; i++)
        captures += attribution->facts[attribution->site_traces[site->trace + i].trace].count;
    push_share(lua, 0, site->blocks, site->confidence);
    lua_pushnil(lua);
    lua_setfield(lua, -2, "index");
    bind_set_integer(lua, "bytes", site->bytes);
    bind_set_integer(lua, "captures", captures);
    bind_set_text(lua, "kind", kinds[site->kind]);
    if (site->kind == HS_SITE_CALLER)
        bind_set_integer(lua, "caller", site->caller);
    bind_set_bool(lua, "outermost", site->outermost);
    lua_pushinteger(lua, site->traces);
    return 2;
}

/* kernel:site_trace(number, i) -> { index, blocks, bytes, confidence } of its i-th trace, from 1 */
static int attribution_site_trace(lua_State *lua)
{
    struct hs_attribution *attribution;
    const struct hs_site *site = site_at(lua, &attribution);
    lua_Integer i = luaL_checkinteger(lua, 3);
    if (!site || i < 1 || i > site->traces)
        return 0;
    const struct hs_site_trace *trace = &attribution->site_traces[site->trace + (uint32_t)i - 1];
    push_share(lua, trace->trace, trace->blocks, trace->confidence);
    bind_set_integer(lua, "bytes", trace->bytes);
    return 1;
}

/* kernel:site_types(number) -> { type, ... }, most bytes first */
static int attribution_site_types(lua_State *lua)
{
    struct hs_attribution *attribution;
    const struct hs_site *site = site_at(lua, &attribution);
    struct hs_site_type types[HS_CELL_LABELS];
    if (!site)
        return 0;
    size_t count = hs_attribution_types(attribution, (uint32_t)(site - attribution->sites), types);
    lua_createtable(lua, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushstring(lua, hs_label_type(attribution->blocks, types[i].label - 1u));
        lua_rawseti(lua, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* kernel:set("site", number) or kernel:set("trace", index) -> set, blocks that are claimed of it */
static int attribution_set(lua_State *lua)
{
    static const char *const what[] = {"site", "trace", NULL};
    struct hs_attribution *attribution = get_judged(lua);
    bool trace = luaL_checkoption(lua, 2, NULL, what) == 1;
    sites_made(lua, attribution);
    uint32_t number = (uint32_t)bind_check_integer(lua, 3, what[trace], 1,
                                                   trace ? attribution->model.trace_count : attribution->site_count);
    lua_settop(lua, 3);
    lua_getiuservalue(lua, 1, 1);
    struct hs_set **set = bind_set_push(lua, 4);
    struct hs_error err = {0};
    uint64_t count;
    enum hs_status status = hs_attribution_set(attribution, trace ? UINT32_MAX : number - 1, number, set, &count, &err);
    if (status != HS_OK)
        bind_raise(lua, status, &err);
    lua_pushinteger(lua, (lua_Integer)count);
    return 2;
}

bool bind_block_traces_known(lua_State *lua, int owner_idx)
{
    return bind_check_dump(lua, owner_idx)->dump->block_traces != NULL;
}

/* kernel:publish(): filters and groups see the attributed trace of each block from now on */
static int attribution_publish(lua_State *lua)
{
    struct hs_error err = {0};
    enum hs_status status = hs_attribution_publish(get_judged(lua), &err);
    if (status != HS_OK)
        bind_raise(lua, status, &err);
    return 0;
}

void bind_attribution_methods(lua_State *lua)
{
    static const luaL_Reg methods[] = {
        {"publish", attribution_publish},
        {"judge", attribution_judge},
        {"labels", attribution_labels},
        {"groups", attribution_groups},
        {"order", attribution_order},
        {"clump", attribution_clump},
        {"trace", attribution_trace},
        {"site", attribution_site},
        {"site_trace", attribution_site_trace},
        {"site_types", attribution_site_types},
        {"set", attribution_set},
        {"site_count", attribution_site_count},
        {NULL, NULL},
    };
    lua_pushcfunction(lua, attribution_gc);
    lua_setfield(lua, -2, "__gc");
    luaL_newlib(lua, methods);
    lua_setfield(lua, -2, "__index");
    lua_pushliteral(lua, BOX);
    lua_setfield(lua, -2, "__metatable");
}
