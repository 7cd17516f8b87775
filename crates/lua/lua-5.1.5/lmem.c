/*
** $Id: lmem.c,v 1.70.1.1 2007/12/27 13:02:25 roberto Exp $
** Interface to Memory Manager
** See Copyright Notice in lua.h
*/


#include <stddef.h>
#include <string.h>

#define lmem_c
#define LUA_CORE

#include "lua.h"

#include "ldebug.h"
#include "ldo.h"
#include "lgc.h"
#include "lmem.h"
#include "lobject.h"
#include "lstate.h"



/*
** About the realloc function:
** void * frealloc (void *ud, void *ptr, size_t osize, size_t nsize);
** (`osize' is the old size, `nsize' is the new size)
**
** Lua ensures that (ptr == NULL) iff (osize == 0).
**
** * frealloc(ud, NULL, 0, x) creates a new block of size `x'
**
** * frealloc(ud, p, x, 0) frees the block `p'
** (in this specific case, frealloc must return NULL).
** particularly, frealloc(ud, NULL, 0, 0) does nothing
** (which is equivalent to free(NULL) in ANSI C)
**
** frealloc returns NULL if it cannot create or reallocate the area
** (any reallocation to an equal or smaller size cannot fail!)
*/



/* kinovar: smaller ones are no more work than other instructions */
#define LARGEBLOCK	1024

#define MINSIZEARRAY	4


void *luaM_growaux_ (lua_State *L, void *block, int *size, size_t size_elems,
                     int limit, const char *errormsg) {
  void *newblock;
  int newsize;
  if (*size >= limit/2) {  /* cannot double it? */
    if (*size >= limit)  /* cannot grow even a little? */
      luaG_runerror(L, errormsg);
    newsize = limit;  /* still have at least one free place */
  }
  else {
    newsize = (*size)*2;
    if (newsize < MINSIZEARRAY)
      newsize = MINSIZEARRAY;  /* minimum size */
  }
  newblock = luaM_reallocv(L, block, *size, newsize, size_elems);
  *size = newsize;  /* update only when everything else is OK */
  return newblock;
}


void *luaM_toobig (lua_State *L) {
  luaG_runerror(L, "memory allocation error: block too big");
  return NULL;  /* to avoid warnings */
}



/*
** kinovar: small blocks. A class is a number of units, counted from 0.
*/
#define issmall(size)	((size) - 1 < LUAM_SPARES * LUAM_UNIT)
#define classof(size)	(((size) - 1) / LUAM_UNIT)
#define rounded(size)	(issmall(size) ? (classof(size) + 1) * LUAM_UNIT : (size))


static void *takespare (global_State *g, size_t size) {
  void *block = g->spare[classof(size)];
  if (block != NULL) {
    memcpy(&g->spare[classof(size)], block, sizeof(void *));
    g->nspare[classof(size)]--;
  }
  return block;
}


/* whether the block is kept */
static int keepspare (global_State *g, void *block, size_t size) {
  if (g->nspare[classof(size)] >= LUAM_SPAREBYTES / (int)rounded(size))
    return 0;
  memcpy(block, &g->spare[classof(size)], sizeof(void *));
  g->spare[classof(size)] = block;
  g->nspare[classof(size)]++;
  return 1;
}


void luaM_freespares (lua_State *L) {
  global_State *g = G(L);
  size_t size;
  for (size = LUAM_UNIT; issmall(size); size += LUAM_UNIT) {
    void *block;
    while ((block = takespare(g, size)) != NULL)
      (*g->frealloc)(g->ud, block, size, 0);
  }
}


static void *reallocate (global_State *g, void *block, size_t osize, size_t nsize) {
  if (block == NULL) {
    if (issmall(nsize)) {
      block = takespare(g, nsize);
      if (block != NULL)
        return block;
    }
  }
  else if (nsize == 0) {
    if (issmall(osize) && keepspare(g, block, osize))
      return NULL;
  }
  else if (issmall(osize) && issmall(nsize)) {
    void *other;
    if (classof(osize) == classof(nsize))
      return block;
    other = takespare(g, nsize);
    if (other != NULL) {
      memcpy(other, block, osize < nsize ? osize : nsize);
      if (!keepspare(g, block, osize))
        (*g->frealloc)(g->ud, block, rounded(osize), 0);
      return other;
    }
  }
  return (*g->frealloc)(g->ud, block, rounded(osize), rounded(nsize));
}


/*
** generic allocation routine.
*/
void *luaM_realloc_ (lua_State *L, void *block, size_t osize, size_t nsize) {
  global_State *g = G(L);
  lua_assert((osize == 0) == (block == NULL));
  if (nsize > osize && g->totalbytes / 2 + nsize / 2 > g->memlimit && luaC_inscript(L)) {
    g->GCthreshold = g->totalbytes;  /* kinovar: a block far beyond the limit */
    luaD_throw(L, LUA_ERRMEM);
  }
  if (nsize > LARGEBLOCK)
    luaC_work(L, nsize);  /* kinovar: somebody fills or copies it */
  block = reallocate(g, block, osize, nsize);
  if (block == NULL && nsize > 0)
    luaD_throw(L, LUA_ERRMEM);
  lua_assert((nsize == 0) == (block == NULL));
  g->totalbytes = (g->totalbytes - osize) + nsize;
  return block;
}

