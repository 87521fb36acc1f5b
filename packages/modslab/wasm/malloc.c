/*
 * C's allocator for a WebAssembly module on a modslab heap: link this file into the module, and its malloc and every
 * library's is the heap's. It defines the whole family, so that the C library's own allocator is not linked at all.
 *
 * The other side is wasmImports(heap) of modslab/wasm, given to the module as its imports "env". docs/wasm.md has the
 * command lines for clang, wasi-sdk and Emscripten.
 */
#include <errno.h>
#include <stddef.h>

#define IMPORT(name) __attribute__((import_module("env"), import_name(#name)))

IMPORT(malloc) void *modslab_malloc(size_t size);
IMPORT(free) void modslab_free(void *object);
IMPORT(calloc) void *modslab_calloc(size_t n, size_t size);
IMPORT(realloc) void *modslab_realloc(void *object, size_t size);
IMPORT(aligned_alloc) void *modslab_aligned_alloc(size_t align, size_t size);
IMPORT(posix_memalign) int modslab_posix_memalign(void **result, size_t align, size_t size);
IMPORT(malloc_usable_size) size_t modslab_malloc_usable_size(void *object);

static void *orENOMEM(void *object) {
  if (object == NULL) errno = ENOMEM;
  return object;
}

void *malloc(size_t size) { return orENOMEM(modslab_malloc(size)); }
void free(void *object) { modslab_free(object); }
void *calloc(size_t n, size_t size) { return orENOMEM(modslab_calloc(n, size)); }
void *realloc(void *object, size_t size) { return orENOMEM(modslab_realloc(object, size)); }
void *aligned_alloc(size_t align, size_t size) { return orENOMEM(modslab_aligned_alloc(align, size)); }
void *memalign(size_t align, size_t size) { return aligned_alloc(align, size); }
int posix_memalign(void **result, size_t align, size_t size) {
  return modslab_posix_memalign(result, align, size);
}
size_t malloc_usable_size(void *object) { return modslab_malloc_usable_size(object); }
