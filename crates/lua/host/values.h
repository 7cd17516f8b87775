/*
** Lua values as bytes, to cross the border between Lua and the host in one
** step instead of one step for each of them. See values.c.
*/

#ifndef values_h
#define values_h

#include "lua.h"

/*
** Packs the values from index `first' to the top. The bytes stay where they are
** until the thread packs other values, and as long as the one value stays on
** the stack that is pushed. Tables may nest `depth' deep: one that lies deeper
** ends the bytes. If `depth' is negative, they may nest -1 - depth deep, and
** deeper ones are left out.
*/
const char *values_bytes (lua_State *L, int first, int depth, size_t *len);

/* the same as one string, in the place of the values */
void values_pack (lua_State *L, int first, int depth);

/* pushes the values that the bytes stand for; returns how many */
int values_unpack (lua_State *L, const char *bytes, size_t len);

#endif
