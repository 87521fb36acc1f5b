/*
 * larson: a server's threads. Thread 0 fills everybody's slots and shuffles them, so that every thread begins with objects
 * that another allocated; then each replaces random ones of its own slots by objects of other sizes and writes to both ends.
 * With `respawn`, a thread hands its slots to a successor after one call and ends. After P.-A. Larson and M. Krishnan (1998).
 */

#include "harness.h"

static uint32_t slots, steps, least, span_of_sizes;
static void **all;
static uint32_t randoms[64];

static void setup(void) {
  slots = (uint32_t)param("slots");
  steps = (uint32_t)param("steps");
  least = (uint32_t)param("smallest");
  span_of_sizes = (uint32_t)param("largest") - least;
  all = grab(slots * (size_t)param("threads") * sizeof *all);
}

static inline void *new_object(uint32_t x) {
  uint32_t size = least + ((x >> 16) * span_of_sizes >> 16);
  char *object = allocated(size);
  object[0] = (char)x;
  object[size - 1] = (char)x;
  return object;
}

static void prepare(struct thread *self) {
  uint32_t x = seed_of(self->index);
  randoms[self->index] = x;
  if (self->index != 0) return;
  uint32_t count = slots * (uint32_t)self->count;
  for (uint32_t i = 0; i < count; i++) all[i] = new_object(x = xorshift32(x));
  for (uint32_t i = count - 1; i > 0; i--) {
    x = xorshift32(x);
    uint32_t other = (x >> 8) % (i + 1);
    void *moved = all[i];
    all[i] = all[other];
    all[other] = moved;
  }
}

static void run(struct thread *self, int phase) {
  (void)phase;
  void **mine = all + slots * (uint32_t)self->index;
  uint32_t x = randoms[self->index];
  for (uint32_t i = 0; i < steps; i++) {
    x = xorshift32(x);
    uint32_t slot = (x >> 16) * slots >> 16;
    release(mine[slot]);
    mine[slot] = new_object(x = xorshift32(x));
  }
  randoms[self->index] = x;
}

const struct workload workload_larson = {"larson", setup, prepare, run, NULL};
