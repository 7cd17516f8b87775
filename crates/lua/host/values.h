/*
** Lua values as bytes, to cross the border between Lua and the host in one
** step instead of one step for each of them. See values.c.
*/

#ifndef values_h
#define values_h

#include "lua.h"

/*
** Leaves one string in the place of the values from index `first' to the top.
** Tables may nest `depth' deep: one that lies deeper ends the string. If `depth' is
** negative, they may nest -1 - depth deep, and deeper ones are left out.
*/
void values_pack (lua_State *L, int first, int depth);

/* pushes the values that the string at `idx' stands for; returns how many */
int values_unpack (lua_State *L, int idx);

#endif
