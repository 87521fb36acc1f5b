/*
 * churn: a random one of many live objects is freed and another size allocated in its place; with `touch` the old object is
 * read and the new one written. scaling: first one thread does so alone, then all do, each in slots of its own.
 * access: no allocator at all, only the random accesses to memory that churn makes.
 */

#include "harness.h"

/* Mean: 256 bytes, so that 2^n slots hold 2^(n+8) bytes. */
static const uint32_t even_sizes[16] = {32, 64, 64, 96, 128, 128, 192, 192, 256, 256, 256, 384, 384, 512, 512, 640};

static uint32_t slots, steps;
static int touch;
static uint32_t sizes[16];

struct churn {
  void **slots;
  uint32_t random;
};

static void setup(void) {
  slots = (uint32_t)param("slots");
  steps = (uint32_t)param("steps");
  touch = (int)param("touch");
  memcpy(sizes, param("even") ? even_sizes : mixed_sizes, sizeof sizes);
}

/* A divisor that the compiler knows is as cheap as JavaScript's, which takes it for a constant too. */
static inline uint32_t slot_of(uint32_t x) {
  if ((slots & (slots - 1)) == 0) return x & (slots - 1);
  if (slots == 200000) return (x & 0x7fffffff) % 200000;
  return (x & 0x7fffffff) % slots;
}

static inline __attribute__((always_inline)) void churn(struct thread *self, int touched) {
  struct churn *mine = self->state;
  uint32_t x = mine->random;
  for (uint32_t i = 0; i < steps; i++) {
    x = xorshift32(x);
    uint32_t slot = slot_of(x);
    void *old = mine->slots[slot];
    if (old != NULL) {
      if (touched) self->sum += *(uint32_t *)old;
      release(old);
    }
    uint32_t *object = allocated(sizes[(x >> 16) & 15]);
    if (touched) *object = x;
    mine->slots[slot] = object;
  }
  mine->random = x;
}

static void run(struct thread *self, int phase) {
  (void)phase;
  if (touch) churn(self, 1);
  else churn(self, 0);
}

static void prepare(struct thread *self) {
  struct churn *mine = grab(sizeof *mine);
  mine->slots = grab(slots * sizeof(void *));
  mine->random = seed_of(self->index);
  self->state = mine;
  /* Every slot is filled, in order; then as many random replacements, for the order of addresses to be random. */
  for (uint32_t slot = 0; slot < slots; slot++) {
    mine->random = xorshift32(mine->random);
    uint32_t *object = allocated(sizes[(mine->random >> 16) & 15]);
    if (touch) *object = slot;
    mine->slots[slot] = object;
  }
  for (uint32_t step = 0; step < slots; step += steps) run(self, 0);
}

/* Phase 0: thread 0 alone; phase 1: all. */
static void run_scaling(struct thread *self, int phase) {
  int rounds = (phase == 0) ? (self->index == 0 ? self->count : 0) : 1;
  int64_t calls = param("calls");
  for (int64_t i = 0; i < rounds * calls; i++) churn(self, 0);
}

static uint32_t *words;
static uint32_t word_mask, random_state = SEED;

static void setup_access(void) {
  steps = (uint32_t)param("steps");
  size_t bytes = (size_t)param("bytes");
  words = grab(bytes);
  word_mask = (uint32_t)(bytes / 4 - 1);
  memset(words, 1, bytes);
}

static void run_access(struct thread *self, int phase) {
  (void)phase;
  uint32_t x = random_state;
  for (uint32_t i = 0; i < steps; i++) {
    x = xorshift32(x);
    self->sum += words[x & word_mask];
    words[x & word_mask] = x;
  }
  random_state = x;
}

const struct workload workload_churn = {"churn", setup, prepare, run, NULL};
const struct workload workload_scaling = {"scaling", setup, prepare, run_scaling, NULL};
const struct workload workload_access = {"access", setup_access, NULL, run_access, NULL};
