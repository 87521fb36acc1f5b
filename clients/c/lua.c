/*
 * Lua as a client: runs a script and prints what it prints. Lua's errors are exceptions of the host: see lua-try.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include "lauxlib.h"
#include "lua.h"
#include "lualib.h"

#define EXPORT(name) __attribute__((export_name(name)))

EXPORT("buffer") void *buffer(int bytes) { return malloc(bytes); }
EXPORT("release") void release(void *p) { free(p); }

/* What Lua's protected calls run, called back by the host. */
EXPORT("callProtected") void callProtected(void (*f)(lua_State *, void *), lua_State *L, void *data) { f(L, data); }

static void openLibraries(lua_State *L) {
  static const luaL_Reg libraries[] = {{LUA_GNAME, luaopen_base},       {LUA_TABLIBNAME, luaopen_table},
                                       {LUA_STRLIBNAME, luaopen_string}, {LUA_MATHLIBNAME, luaopen_math},
                                       {LUA_COLIBNAME, luaopen_coroutine}, {LUA_UTF8LIBNAME, luaopen_utf8}};
  for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
    luaL_requiref(L, libraries[i].name, libraries[i].func, 1);
    lua_pop(L, 1);
  }
}

EXPORT("run") int run(const char *script) {
  lua_State *L = luaL_newstate();
  if (L == NULL) return -1;
  openLibraries(L);
  int status = luaL_dostring(L, script);
  if (status != LUA_OK) printf("error: %s\n", lua_tostring(L, -1));
  lua_close(L);
  fflush(stdout);
  return status;
}
