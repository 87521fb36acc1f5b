/*
 * What threads on wasi-libc's dlmalloc have: the one allocator behind one spin lock (linked with --wrap for each name),
 * as Emscripten's and wasi-threads' builds do it.
 */
#include <stdatomic.h>
#include <stddef.h>

void *__real_malloc(size_t size);
void __real_free(void *object);

static atomic_flag lock = ATOMIC_FLAG_INIT;

static void acquire(void) {
  while (atomic_flag_test_and_set_explicit(&lock, memory_order_acquire)) {
  }
}
static void unlock(void) { atomic_flag_clear_explicit(&lock, memory_order_release); }

void *__wrap_malloc(size_t size) {
  acquire();
  void *object = __real_malloc(size);
  unlock();
  return object;
}
void __wrap_free(void *object) {
  acquire();
  __real_free(object);
  unlock();
}
