/* malloc-large: 20 slots of 5 to 25 MiB; one after another is replaced by an object of another size. Nothing is touched. */

#include "harness.h"

enum { SLOTS_MAX = 256 };
static uint32_t slots, steps, least, most, random_state = SEED;
static void *objects[SLOTS_MAX];

static void setup(void) {
  slots = (uint32_t)param("slots");
  steps = (uint32_t)param("steps");
  least = (uint32_t)param("smallest");
  most = (uint32_t)param("largest");
}

static void run(struct thread *self, int phase) {
  (void)self;
  (void)phase;
  uint32_t x = random_state;
  for (uint32_t i = 0; i < steps; i++) {
    x = xorshift32(x);
    uint32_t slot = (x >> 4) % slots;
    x = xorshift32(x);
    if (objects[slot] != NULL) release(objects[slot]);
    objects[slot] = allocated(least + (x >> 4) % (most - least));
  }
  random_state = x;
}

const struct workload workload_malloc_large = {"malloc_large", setup, NULL, run, NULL};
