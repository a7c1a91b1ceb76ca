/* bind_layout.c - where the engine finds the fields of Windows structures, for types of them in Lua. */
#include "bind/bind_internal.h"
#include "layout/layout.h"

void hs_bind_layout_push(lua_State *lua, int idx)
{
    const struct bind_dump *box = bind_check_dump(lua, idx);
    const struct hs_layout *layout = hs_layout_get(hs_dump_facts(box->dump)->pointer_size);

    lua_createtable(lua, 0, HS_FIELD_COUNT);
    for (int field = 0; field < HS_FIELD_COUNT; field++) {
        lua_createtable(lua, 2, 0);
        lua_pushinteger(lua, layout->places[field].off);
        lua_rawseti(lua, -2, 1);
        lua_pushinteger(lua, layout->places[field].size);
        lua_rawseti(lua, -2, 2);
        lua_setfield(lua, -2, hs_layout_name((enum hs_field)field));
    }
}
