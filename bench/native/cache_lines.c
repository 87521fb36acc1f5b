/*
 * cache-thrash: every thread allocates a byte, writes to it very often, frees it; an allocator that puts two threads' bytes on
 * one cache line makes them fight for it. cache-scratch (`given`): the first byte of each thread was allocated by thread 0, and
 * an allocator may hand the line that it shares on. Phase 0: one thread does all the work; phase 1: all do. After Hoard's
 * (E. Berger).
 */

#include "harness.h"

static uint32_t repeats, writes;
static int given;
static volatile uint8_t *first[64];

static void setup(void) {
  repeats = (uint32_t)param("repeats");
  writes = (uint32_t)param("writes");
  given = (int)param("given");
}

static void prepare(struct thread *self) {
  if (!given || self->index != 0) return;
  for (int i = 0; i < self->count; i++) {
    first[i] = allocated(1);
    *first[i] = 0;
  }
}

static void fight(uint32_t times) {
  for (uint32_t i = 0; i < times; i++) {
    volatile uint8_t *object = allocated(1);
    *object = 0;
    for (uint32_t n = 0; n < writes; n++) *object = (uint8_t)(*object + 1);
    release((void *)object);
  }
}

static void run(struct thread *self, int phase) {
  if (phase == 0) {
    if (self->index == 0) fight(repeats * (uint32_t)self->count);
    return;
  }
  if (first[self->index] != NULL) release((void *)first[self->index]);
  first[self->index] = NULL;
  fight(repeats);
}

const struct workload workload_cache_lines = {"cache_lines", setup, prepare, run, NULL};
