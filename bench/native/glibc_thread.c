/*
 * glibc-thread: every thread replaces random ones of 1,024 objects of its own; sizes from 4 bytes to 32 KiB, the chance of a
 * size falling with its square; all bytes are written. After glibc's bench-malloc-thread.
 */

#include "harness.h"

enum { SIZES = 1024 };
static uint32_t slots, steps;
static uint32_t sizes[SIZES];

struct mine {
  void **slots;
  uint32_t random;
};

static void setup(void) {
  slots = (uint32_t)param("slots");
  steps = (uint32_t)param("steps");
  double most = (double)param("largest"), least = (double)param("smallest");
  for (int i = 0; i < SIZES; i++)
    sizes[i] = (uint32_t)(1 / (1 / least - (i + 0.5) / SIZES * (1 / least - 1 / most)));
}

static void prepare(struct thread *self) {
  struct mine *mine = grab(sizeof *mine);
  mine->slots = grab(slots * sizeof(void *));
  mine->random = seed_of(self->index);
  self->state = mine;
}

static void run(struct thread *self, int phase) {
  (void)phase;
  struct mine *mine = self->state;
  uint32_t x = mine->random;
  for (uint32_t i = 0; i < steps; i++) {
    x = xorshift32(x);
    uint32_t slot = x & (slots - 1);
    if (mine->slots[slot] != NULL) release(mine->slots[slot]);
    uint32_t size = sizes[(x >> 20) & (SIZES - 1)];
    mine->slots[slot] = allocated(size);
    memset(mine->slots[slot], (int)i, size);
  }
  mine->random = x;
}

const struct workload workload_glibc_thread = {"glibc_thread", setup, prepare, run, NULL};
