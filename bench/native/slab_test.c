/*
 * slab_test: for each size from 8 bytes to 16 KiB a few phases, `parts` of them.
 *
 *   one thread (3)                        all threads (6)
 *   0  n allocations                      0  each: n allocations, then n frees
 *   1  n frees, in the same order         1  each: n pairs
 *   2  n pairs                            2  remote free: the others allocate n for every thread
 *                                         3  … and thread 0 frees them all
 *                                         4  thread 0 allocates n for every thread
 *                                         5  … and each frees its own
 *
 * After C. Lameter's in-kernel slab_test.
 */

#include "harness.h"

static uint32_t count, least;
static int parts;
static void **objects; /* `count` for each thread. */

static void setup(void) {
  count = (uint32_t)param("count");
  least = (uint32_t)param("smallest");
  parts = (int)param("parts");
  objects = grab((size_t)count * (size_t)param("threads") * sizeof *objects);
}

static void fill(size_t size, int index) {
  void **mine = objects + (size_t)index * count;
  for (uint32_t i = 0; i < count; i++) mine[i] = allocated(size);
}

static void drain(int index) {
  void **mine = objects + (size_t)index * count;
  for (uint32_t i = 0; i < count; i++) release(mine[i]);
}

static void pairs(struct thread *self, size_t size) {
  for (uint32_t i = 0; i < count; i++) {
    void *object = allocated(size);
    self->sum += (uintptr_t)object;
    release(object);
  }
}

static void of_all(void (*what)(int index), const struct thread *self) {
  for (int i = 0; i < self->count; i++) what(i);
}

static void run(struct thread *self, int phase) {
  size_t size = (size_t)least << phase / parts;
  int part = phase % parts, first = self->index == 0;
  if (parts == 3) {
    if (part == 0) fill(size, 0);
    else if (part == 1) drain(0);
    else pairs(self, size);
    return;
  }
  switch (part) {
    case 0:
      fill(size, self->index);
      drain(self->index);
      break;
    case 1:
      pairs(self, size);
      break;
    case 2: /* Those of thread 0 are allocated by its neighbour. */
      if (!first) fill(size, self->index);
      if (self->index == 1) fill(size, 0);
      break;
    case 3:
      if (first) of_all(drain, self);
      break;
    case 4:
      for (int i = 0; first && i < self->count; i++) fill(size, i);
      break;
    default:
      drain(self->index);
  }
}

const struct workload workload_slab_test = {"slab_test", setup, NULL, run, NULL};
