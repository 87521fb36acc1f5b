/*
 * sh6bench: sizes from 1 to 1,000 bytes, each base size and its halves, small ones more often. Pointers go into a ring; each
 * time it is full, the next fifth of it survives, what is below is freed in order of allocation, what is above in reverse.
 * After MicroQuill's benchmark (ring.h has the ring, which sh8bench shares).
 */

#include "ring.h"

static uint32_t pointers;

static void setup(void) {
  pointers = (uint32_t)param("pointers") / (uint32_t)param("threads");
}

static void prepare(struct thread *self) {
  self->state = ring_create(pointers);
}

static void run(struct thread *self, int phase) {
  (void)phase;
  struct ring *ring = self->state;
  for (uint32_t base = 1; base < 1000; base = base * 3 / 2 + 1) {
    for (uint32_t size = base; size > 0; size /= 2) {
      uint32_t repeats = size < 100 ? 250 : 50;
      for (uint32_t i = 0; i < repeats; i++) {
        char *object = allocated(size);
        object[0] = (char)i;
        ring_put(ring, object);
      }
    }
  }
}

const struct workload workload_sh6bench = {"sh6bench", setup, prepare, run, NULL};
