/*
** What the server adds to Lua, as functions that Lua code can be given. The
** host x and removes that table
** before any script runs.
*/

#define khost_c
#define LUA_LIB

#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "lua.h"
#include "lauxlib.h"
#include "lualib.h"

#include "values.h"


/*
** {==================================================================
** Functions of the host
** ===================================================================
*/

/*
** What a host's function returns first: what the rest is. The host cannot raise
** an error by itself: it would unwind its own frames.
*/
#define RETURN		0	/* its results */
#define RETURN_PACKED	1	/* its results in one string */
#define RAISE_PACKED	2	/* the error, in such a string */
#define RAISE_TEXT	3	/* an error text, without the place of the call */
#define RAISE_ARGUMENT	4	/* what is wrong with an argument, by number */

static int unpack_at (lua_State *L, int idx) {
  size_t len;
  const char *bytes = lua_tolstring(L, idx, &len);
  return values_unpack(L, bytes, len);
}


static int raise_text (lua_State *L, const char *text, size_t len) {
  luaL_where(L, 1);
  lua_pushlstring(L, text, len);
  lua_concat(L, 2);
  return lua_error(L);
}


static int answer (lua_State *L, int what) {
  switch (what & 0xFF) {
    case RETURN:
      return lua_gettop(L) - 1;
    case RETURN_PACKED:
      return unpack_at(L, 2);
    case RAISE_PACKED: {
      unpack_at(L, 2);
      return lua_error(L);
    }
    case RAISE_TEXT: {
      size_t len;
      const char *text = lua_tolstring(L, 2, &len);
      return raise_text(L, text, len);
    }
    default:
      return luaL_argerror(L, what >> 8, lua_tostring(L, 2));
  }
}


/*
** The host's port: how its functions are called without a detour through the
** interpreter. The same for all threads.
*/
typedef struct Bytes {
  const char *at;
  size_t len;
} Bytes;

typedef int (*Port) (uint32_t port, uint32_t function, const char *bytes, size_t len, Bytes *answer);

static Port port;

/* a function behind the port */
typedef struct Ported {
  uint32_t port;
  uint32_t function;
  int depth;  /* how deep tables may nest */
} Ported;


/* calls the function that the first upvalue stands for, with its arguments packed */
static int ported_call (lua_State *L) {
  const Ported *to = (const Ported *)lua_touserdata(L, lua_upvalueindex(1));
  size_t len;
  const char *bytes = values_bytes(L, 1, to->depth, &len);
  Bytes out;
  int what = port(to->port, to->function, bytes, len, &out);
  switch (what & 0xFF) {
    case RETURN_PACKED:
      return values_unpack(L, out.at, out.len);
    case RAISE_PACKED: {
      values_unpack(L, out.at, out.len);
      return lua_error(L);
    }
    case RAISE_TEXT:
      return raise_text(L, out.at, out.len);
    case RAISE_ARGUMENT: {
      lua_pushlstring(L, out.at, out.len);
      return luaL_argerror(L, what >> 8, lua_tostring(L, -1));
    }
    default:
      return luaL_error(L, "nobody answers");
  }
}


/* ported(entry, port, function, depth): a C function that calls the host's */
static int host_ported (lua_State *L) {
  Ported *to;
  luaL_checktype(L, 1, LUA_TLIGHTUSERDATA);
  __atomic_store_n(&port, (Port)lua_touserdata(L, 1), __ATOMIC_RELAXED);
  to = (Ported *)lua_newuserdata(L, sizeof(Ported));
  to->port = (uint32_t)luaL_checknumber(L, 2);
  to->function = (uint32_t)luaL_checknumber(L, 3);
  to->depth = luaL_checkint(L, 4);
  lua_pushcclosure(L, ported_call, 1);
  return 1;
}


/*
** The functions that scripts see; the first upvalue is the host's function. The
** host's is told the number of arguments first.
*/
static int native_call (lua_State *L) {
  int n = lua_gettop(L);
  luaL_checkstack(L, 2, "too many arguments");
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_pushinteger(L, n);
  lua_insert(L, 2);
  lua_call(L, n + 1, LUA_MULTRET);
  return answer(L, (int)lua_tointeger(L, 1));
}


/* with its arguments packed; how deep tables may nest is in a table, the second upvalue */
static int packed_call (lua_State *L) {
  int depth;
  luaL_checkstack(L, 2, "too many arguments");
  lua_rawgeti(L, lua_upvalueindex(2), 1);
  depth = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  values_pack(L, 1, depth);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 1, LUA_MULTRET);
  return answer(L, (int)lua_tointeger(L, 1));
}


/* native(f): a C function that calls f and raises what f asks it to raise */
static int host_native (lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_pushcclosure(L, native_call, 1);
  return 1;
}


/* packed(f, {depth}): the same for a function that is given its arguments packed */
static int host_packed (lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  lua_pushcclosure(L, packed_call, 2);
  return 1;
}


/* pcall as scripts know it: of an error table, they get its text */
static int host_pcall (lua_State *L) {
  int n = lua_gettop(L);
  if (n == 0) {
    lua_pushboolean(L, 0);
    lua_pushliteral(L, "attempt to call a nil value");
    return 2;
  }
  luaL_checkstack(L, 2, "too many arguments");
  lua_pushboolean(L, 1);
  lua_insert(L, 1);
  if (lua_pcall(L, n - 1, LUA_MULTRET, 0) != 0) {
    lua_pushboolean(L, 0);
    lua_replace(L, 1);
    if (lua_istable(L, -1)) {
      lua_getfield(L, -1, "err");
      if (lua_isstring(L, -1))
        lua_replace(L, -2);
    }
  }
  return lua_gettop(L);
}

/* }================================================================== */


/*
** {==================================================================
** Running
** ===================================================================
*/

static const char watch_key = 'w';


/*
** Asks the watcher whether to go on. A value that is not nil ends the script:
** it is raised again at every instruction, so that no pcall outlives it. The
** watcher has a stack of its own: that of the script may be as deep as it can
** be, and the error of a call would be the script's to catch.
*/
static void watch_hook (lua_State *L, lua_Debug *ar) {
  lua_State *W;
  (void)ar;
  lua_pushlightuserdata(L, (void *)&watch_key);
  lua_rawget(L, LUA_REGISTRYINDEX);
  W = lua_tothread(L, -1);
  lua_pop(L, 1);
  lua_settop(W, 1);
  lua_pushvalue(W, 1);
  if (lua_pcall(W, 0, 1, 0) != 0 || lua_isnil(W, -1)) {
    lua_settop(W, 1);
    return;
  }
  lua_xmove(W, L, 1);
  lua_sethook(L, watch_hook, LUA_MASKCOUNT, 1);
  lua_error(L);
}


/* watch(f): has f called every so many instructions while a script runs */
static int host_watch (lua_State *L) {
  lua_State *W;
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_pushlightuserdata(L, (void *)&watch_key);
  W = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, W, 1);
  lua_rawset(L, LUA_REGISTRYINDEX);
  return 0;
}


/*
** Pushes a table of the next n words: for each a length of four bytes in the
** byte order of the machine, then its bytes.
*/
static const char *push_words (lua_State *L, const char *p, const char *end, int n) {
  int i;
  lua_createtable(L, n > 0 ? n : 0, 0);
  for (i = 1; i <= n; i++) {
    uint32_t len;
    if (end - p < (ptrdiff_t)sizeof(len))
      luaL_error(L, "words end early");
    memcpy(&len, p, sizeof(len));
    p += sizeof(len);
    if (end - p < (ptrdiff_t)len)
      luaL_error(L, "words end early");
    lua_pushlstring(L, p, len);
    lua_rawseti(L, -2, i);
    p += len;
  }
  return p;
}


static void set_global (lua_State *L, int name, int value) {
  lua_pushvalue(L, name);
  lua_pushvalue(L, value);
  lua_rawset(L, LUA_GLOBALSINDEX);
}


/* how code is run, the third upvalue of what runs it */
typedef struct Runner {
  uint32_t port;
  uint32_t parameters;  /* the function that answers with keys and arguments */
  uint32_t result;  /* the function that is told what has come of it */
  int depth;  /* how deep tables of a result may nest */
  int period;  /* instructions between two looks at the watcher */
  int global;  /* whether keys and arguments are the globals KEYS and ARGV */
} Runner;


/*
** The error handler of a run, as a C function: those of scripts are not called
** for errors of the hook. Nobody watches it: a script that is killed would be
** killed once more in there.
*/
static int call_handler (lua_State *L) {
  lua_Hook hook = lua_gethook(L);
  int mask = lua_gethookmask(L), count = lua_gethookcount(L);
  lua_sethook(L, NULL, 0, 0);
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 1, 1);
  lua_sethook(L, hook, mask, count);
  return 1;
}


/*
** run(f, nkeys, nargs) -> status
** Calls f under protection. Its keys and arguments are the globals KEYS and
** ARGV, or two parameters; with less than no keys there are neither. The host is
** told what it returns; of an error, the text, where it was raised and whether it has been counted already.
*/
static int host_run (lua_State *L) {
  const Runner *r = (const Runner *)lua_touserdata(L, lua_upvalueindex(3));
  int nkeys = (int)lua_tointeger(L, 2);
  int nargs = (int)lua_tointeger(L, 3);
  int status;
  size_t len;
  const char *bytes;
  Bytes words;
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(4));
  lua_insert(L, 1);  /* the error handler */
  if (nkeys >= 0) {
    const char *end;
    port(r->port, r->parameters, NULL, 0, &words);
    end = words.at + words.len;
    words.at = push_words(L, words.at, end, nkeys);
    push_words(L, words.at, end, nargs);
    if (r->global) {
      lua_setreadonly(L, LUA_GLOBALSINDEX, 0);
      set_global(L, lua_upvalueindex(1), 3);
      set_global(L, lua_upvalueindex(2), 4);
      lua_setreadonly(L, LUA_GLOBALSINDEX, 1);
      lua_settop(L, 2);
    }
  }
  lua_sethook(L, watch_hook, LUA_MASKCOUNT, r->period);
  status = lua_pcall(L, lua_gettop(L) - 2, 1, 1);
  lua_sethook(L, NULL, 0, 0);
  if (status != 0 && lua_istable(L, 2)) {
    lua_getfield(L, 2, "err");
    lua_getfield(L, 2, "source");
    lua_getfield(L, 2, "line");
    lua_getfield(L, 2, "ignore_error_stats_update");
    lua_remove(L, 2);
  }
  bytes = values_bytes(L, 2, r->depth, &len);
  port(r->port, r->result, bytes, len, &words);
  lua_pushinteger(L, status);
  return 1;
}


/* runner(handler, entry, port, parameters, result, depth, period, global): what runs code */
static int host_runner (lua_State *L) {
  Runner *r;
  luaL_checktype(L, 2, LUA_TLIGHTUSERDATA);
  __atomic_store_n(&port, (Port)lua_touserdata(L, 2), __ATOMIC_RELAXED);
  lua_pushliteral(L, "KEYS");
  lua_pushliteral(L, "ARGV");
  r = (Runner *)lua_newuserdata(L, sizeof(Runner));
  r->port = (uint32_t)luaL_checknumber(L, 3);
  r->parameters = (uint32_t)luaL_checknumber(L, 4);
  r->result = (uint32_t)luaL_checknumber(L, 5);
  r->depth = luaL_checkint(L, 6);
  r->period = luaL_checkint(L, 7);
  r->global = lua_toboolean(L, 8);
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, call_handler, 1);
  lua_pushcclosure(L, host_run, 4);
  return 1;
}


/* where(level) -> what, source, line; nothing if code has no such level */
static int host_where (lua_State *L) {
  lua_Debug ar;
  int level = luaL_checkint(L, 1);
  int i;
  for (i = 1; i <= level && lua_getstack(L, i, &ar); i++) {
    lua_getinfo(L, "f", &ar);
    if (lua_tocfunction(L, -1) == call_handler)
      level++;  /* what called the handler */
    lua_pop(L, 1);
  }
  if (!lua_getstack(L, level, &ar))
    return 0;
  lua_getinfo(L, "Slf", &ar);
  if (lua_tocfunction(L, -1) == host_run)
    return 0;
  lua_pushstring(L, ar.what);
  lua_pushstring(L, ar.source);
  lua_pushinteger(L, ar.currentline);
  return 3;
}


/* compile(text, name) -> function, or nil and what is wrong */
static int host_compile (lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  if (luaL_loadbuffer(L, text, len, luaL_checkstring(L, 2)) == 0)
    return 1;
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

/* }================================================================== */


/* readonly(table, flag) */
static int host_readonly (lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_setreadonly(L, 1, lua_toboolean(L, 2));
  return 0;
}


/* limit(bytes): 0 is none */
static int host_limit (lua_State *L) {
  lua_setmemlimit(L, (size_t)luaL_checknumber(L, 1));
  return 0;
}


/*
** {==================================================================
** Random numbers: the 48-bit linear congruential generator of POSIX
** (drand48), so that a seed gives the same numbers everywhere
** ===================================================================
*/

static int32_t next_random (lua_State *L) {
  uint64_t *state = (uint64_t *)lua_touserdata(L, lua_upvalueindex(1));
  *state = (*state * 0x5DEECE66DULL + 0xB) & 0xFFFFFFFFFFFFULL;
  return (int32_t)(*state >> 17);
}


static int host_random (lua_State *L) {
  int32_t number = next_random(L);
  lua_Number r = (lua_Number)(number % INT32_MAX) / (lua_Number)INT32_MAX;
  switch (lua_gettop(L)) {
    case 0: {
      lua_pushnumber(L, r);
      break;
    }
    case 1: {
      int last = luaL_checkint(L, 1);
      luaL_argcheck(L, 1 <= last, 1, "interval is empty");
      lua_pushnumber(L, floor(r * last) + 1);
      break;
    }
    case 2: {
      int first = luaL_checkint(L, 1);
      int last = luaL_checkint(L, 2);
      luaL_argcheck(L, first <= last, 2, "interval is empty");
      lua_pushnumber(L, floor(r * ((lua_Number)last - first + 1)) + first);
      break;
    }
    default: return luaL_error(L, "wrong number of arguments");
  }
  return 1;
}


static int host_randomseed (lua_State *L) {
  uint64_t *state = (uint64_t *)lua_touserdata(L, lua_upvalueindex(1));
  *state = ((uint64_t)(uint32_t)luaL_checkint(L, 1) << 16) | 0x330E;
  return 0;
}


/* at -1: a table; gets `random` and `randomseed` that share one state */
static void add_random (lua_State *L) {
  uint64_t *state = (uint64_t *)lua_newuserdata(L, sizeof(uint64_t));
  *state = 0x1234ABCD330EULL;
  lua_pushvalue(L, -1);
  lua_pushcclosure(L, host_random, 1);
  lua_setfield(L, -3, "random");
  lua_pushcclosure(L, host_randomseed, 1);
  lua_setfield(L, -2, "randomseed");
}

/* }================================================================== */


static const luaL_Reg host_functions[] = {
  {"compile", host_compile},
  {"limit", host_limit},
  {"native", host_native},
  {"packed", host_packed},
  {"pcall", host_pcall},
  {"ported", host_ported},
  {"readonly", host_readonly},
  {"runner", host_runner},
  {"watch", host_watch},
  {"where", host_where},
  {NULL, NULL}
};


LUALIB_API int luaopen_io (lua_State *L) {
  luaL_register(L, LUA_IOLIBNAME, host_functions);
  add_random(L);
  return 1;
}


/*
** {==================================================================
** Libraries whose functions reach beyond the state: there are none, save
** os.clock.
** ===================================================================
*/

static int os_clock (lua_State *L) {
  lua_pushnumber(L, (lua_Number)clock() / (lua_Number)CLOCKS_PER_SEC);
  return 1;
}


static const luaL_Reg os_functions[] = {
  {"clock", os_clock},
  {NULL, NULL}
};


static const luaL_Reg no_functions[] = {
  {NULL, NULL}
};


LUALIB_API int luaopen_os (lua_State *L) {
  luaL_register(L, LUA_OSLIBNAME, os_functions);
  return 1;
}


LUALIB_API int luaopen_package (lua_State *L) {
  luaL_register(L, LUA_LOADLIBNAME, no_functions);
  return 1;
}


LUALIB_API int luaopen_debug (lua_State *L) {
  luaL_register(L, LUA_DBLIBNAME, no_functions);
  return 1;
}


LUALIB_API void luaL_openlibs (lua_State *L) {
  (void)L;
}

/* }================================================================== */
