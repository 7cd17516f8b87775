/*
** Lua values as bytes. A value is a tag and what belongs to it, numbers in the
** byte order of the machine:
**
**   NIL FALSE TRUE NULL     nothing; NULL is the light userdata of address 0
**   NUMBER                  eight bytes
**   STRING                  length in four bytes, then the bytes
**   TABLE                   bytes of what follows in four bytes, then keys and
**                           values in turn, then END
**   OTHER                   the type of a value that is left out, in one byte
**   DEEP                    a table nested too deeply; nothing follows it
**
** Towards Lua there are two other kinds of table instead:
**
**   SIZED                   room in the array and in the hash, four bytes each,
**                           then keys and values in turn, then END
**   LIST                    how many, in four bytes, then the values 1, 2, ...
**
** Metatables are never looked at.
*/

#define values_c

#include <stdint.h>
#include <string.h>

#include "lua.h"
#include "lauxlib.h"

#include "values.h"

enum tag {
  NIL, FALSE, TRUE, NUMBER, STRING, TABLE, END, NULLPTR, OTHER, DEEP, SIZED, LIST
};


/*
** {==================================================================
** From Lua
** ===================================================================
*/

/* where a thread packs what is not large; the rest gets a userdata */
#define SMALL_BYTES	(64 * 1024)

static _Thread_local char small[SMALL_BYTES];

/* more than any command takes; it is copied several times on its way */
#define PACKED_MAX	((size_t)513 * 1024 * 1024)

typedef struct Packer {
  lua_State *L;
  int at;  /* stack index of the userdata that is the buffer, if it is one */
  char *bytes;
  size_t used;
  size_t size;
  int cut;  /* whether tables that lie too deep are left out and the rest goes on */
} Packer;


static char *room (Packer *p, size_t more) {
  char *place;
  if (more > p->size - p->used) {
    size_t size = p->size * 2;
    char *bytes;
    if (more > PACKED_MAX - p->used) {
      lua_pushliteral(p->L, "not enough memory");
      lua_error(p->L);
    }
    if (size > PACKED_MAX)
      size = PACKED_MAX;
    if (size < p->used + more)
      size = p->used + more;
    luaL_checkstack(p->L, 1, "too many nested values");
    bytes = (char *)lua_newuserdata(p->L, size);
    memcpy(bytes, p->bytes, p->used);
    lua_replace(p->L, p->at);
    p->bytes = bytes;
    p->size = size;
  }
  place = p->bytes + p->used;
  p->used += more;
  return place;
}


static void put_tag (Packer *p, enum tag tag) {
  *room(p, 1) = (char)tag;
}


/* false once a table lies too deep: then nothing more is to be added */
static int put (Packer *p, int idx, int depth) {
  lua_State *L = p->L;
  int type = lua_type(L, idx);
  switch (type) {
    case LUA_TNIL: put_tag(p, NIL); break;
    case LUA_TBOOLEAN: put_tag(p, lua_toboolean(L, idx) ? TRUE : FALSE); break;
    case LUA_TNUMBER: {
      lua_Number number = lua_tonumber(L, idx);
      char *place = room(p, 1 + sizeof(number));
      *place = NUMBER;
      memcpy(place + 1, &number, sizeof(number));
      break;
    }
    case LUA_TSTRING: {
      size_t len;
      const char *bytes = lua_tolstring(L, idx, &len);
      uint32_t short_len = (uint32_t)len;
      char *place;
      if (short_len != len)
        luaL_error(L, "string too long");
      place = room(p, 1 + sizeof(short_len) + len);
      *place = STRING;
      memcpy(place + 1, &short_len, sizeof(short_len));
      memcpy(place + 1 + sizeof(short_len), bytes, len);
      break;
    }
    case LUA_TTABLE: {
      size_t start;
      uint32_t bytes;
      char *place;
      if (depth == 0 || !lua_checkstack(L, 4)) {
        if (p->cut)
          goto other;
        put_tag(p, DEEP);
        return 0;
      }
      bytes = 0;  /* stays so if the table is not completed */
      place = room(p, 1 + sizeof(bytes));
      *place = TABLE;
      memcpy(place + 1, &bytes, sizeof(bytes));
      start = p->used;
      lua_pushnil(L);
      while (lua_next(L, idx) != 0) {
        int top = lua_gettop(L);
        if (!put(p, top - 1, depth - 1) || !put(p, top, depth - 1)) {
          lua_pop(L, 2);
          return 0;
        }
        lua_pop(L, 1);
      }
      put_tag(p, END);
      bytes = (uint32_t)(p->used - start);
      if (bytes != p->used - start)
        luaL_error(L, "table too large");
      memcpy(p->bytes + start - sizeof(bytes), &bytes, sizeof(bytes));
      break;
    }
    default: other: {
      if (type == LUA_TLIGHTUSERDATA && lua_touserdata(L, idx) == NULL)
        put_tag(p, NULLPTR);
      else {
        char *place = room(p, 2);
        place[0] = OTHER;
        place[1] = (char)type;
      }
    }
  }
  return 1;
}


const char *values_bytes (lua_State *L, int first, int depth, size_t *len) {
  Packer p;
  int last = lua_gettop(L);
  int i;
  p.L = L;
  p.at = last + 1;
  p.bytes = small;
  p.used = 0;
  p.size = SMALL_BYTES;
  p.cut = (depth < 0);
  luaL_checkstack(L, 3, "too many arguments");
  lua_pushnil(L);
  for (i = first; i <= last; i++) {
    if (!put(&p, i, p.cut ? -1 - depth : depth))
      break;
  }
  *len = p.used;
  return p.bytes;
}


void values_pack (lua_State *L, int first, int depth) {
  size_t len;
  const char *bytes = values_bytes(L, first, depth, &len);
  lua_pushlstring(L, bytes, len);
  lua_replace(L, first);
  lua_settop(L, first);
}

/* }================================================================== */


/*
** {==================================================================
** To Lua
** ===================================================================
*/

typedef struct Unpacker {
  lua_State *L;
  const char *at;
  const char *end;
} Unpacker;


static const char *take (Unpacker *u, size_t n) {
  const char *place = u->at;
  if ((size_t)(u->end - place) < n)
    luaL_error(u->L, "values end early");
  u->at += n;
  return place;
}


static uint32_t take_count (Unpacker *u) {
  uint32_t n;
  memcpy(&n, take(u, sizeof(n)), sizeof(n));
  return n;
}


/* what a table may be made large for before its elements have come */
static int sane (Unpacker *u, uint32_t n) {
  size_t left = (size_t)(u->end - u->at);
  return (int)(n < left ? n : left);
}


/* pushes the next value; false if it is END */
static int get (Unpacker *u) {
  lua_State *L = u->L;
  luaL_checkstack(L, 3, "too many nested values");
  switch (*take(u, 1)) {
    case NIL: lua_pushnil(L); break;
    case FALSE: lua_pushboolean(L, 0); break;
    case TRUE: lua_pushboolean(L, 1); break;
    case NULLPTR: lua_pushlightuserdata(L, NULL); break;
    case NUMBER: {
      lua_Number number;
      memcpy(&number, take(u, sizeof(number)), sizeof(number));
      lua_pushnumber(L, number);
      break;
    }
    case STRING: {
      uint32_t len = take_count(u);
      const char *bytes = take(u, len);
      lua_pushlstring(L, bytes, len);
      break;
    }
    case LIST: {
      uint32_t n = take_count(u);
      uint32_t i;
      lua_createtable(L, sane(u, n), 0);
      for (i = 1; i <= n; i++) {
        if (!get(u))
          luaL_error(L, "values end early");
        lua_rawseti(L, -2, (int)i);
      }
      break;
    }
    case SIZED: {
      uint32_t list = take_count(u);
      uint32_t hash = take_count(u);
      lua_createtable(L, sane(u, list), sane(u, hash));
      while (get(u)) {
        if (!get(u))
          luaL_error(L, "values end early");
        lua_rawset(L, -3);
      }
      break;
    }
    case END: return 0;
    default: luaL_error(L, "unknown value");
  }
  return 1;
}


int values_unpack (lua_State *L, const char *bytes, size_t len) {
  Unpacker u;
  int n = 0;
  u.L = L;
  u.at = bytes;
  u.end = bytes + len;
  while (u.at < u.end) {
    get(&u);
    n++;
  }
  return n;
}

/* }================================================================== */
