/*
 * Protected calls without setjmp, which wasi-libc has not: the host calls back in a try block (client_try), and throws
 * (client_throw). Included before every file of Lua; ldo.c uses the two macros.
 */
struct lua_State;
__attribute__((import_module("env"), import_name("client_try"))) void client_try(void *f, void *L, void *data);
__attribute__((import_module("env"), import_name("client_throw"))) void client_throw(void);

#define luai_jmpbuf int
#define LUAI_THROW(L, c) client_throw()
#define LUAI_TRY(L, c, a) client_try((void *)f, L, ud)
