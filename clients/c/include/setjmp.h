/* wasi-libc has none. Lua includes it, and with lua-try.h uses nothing of it. */
