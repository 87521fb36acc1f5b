/*
 * alloc-test: each step takes a slot, few of them often and most seldom (80/20, six levels deep); an occupied slot's object
 * is read whole and freed, an empty slot gets a new one of up to 1 KiB, written whole. No thread frees what another
 * allocated. After node-dot-cpp's alloc-test.
 */

#include "harness.h"

enum { LEVELS = 6, LEVEL_BITS = 5, FREQUENT = 26 /* of 32: 81 % */ };
static uint32_t slots, steps;

struct slot {
  void *object;
  uint32_t size;
};

struct mine {
  struct slot *slots;
  uint32_t random;
};

static void setup(void) {
  slots = (uint32_t)param("slots") / (uint32_t)param("threads");
  steps = (uint32_t)param("steps");
}

static uint32_t pareto(uint32_t choice, uint32_t rest) {
  uint32_t from = 0, length = slots;
  for (int level = 0; level < LEVELS; level++) {
    uint32_t fifth = length / 5;
    if ((choice & 31) < FREQUENT) {
      length = fifth;
    } else {
      from += fifth;
      length -= fifth;
    }
    choice >>= LEVEL_BITS;
  }
  return from + (rest & 0x7fffffff) % length;
}

static uint32_t size_of(uint32_t x) {
  uint32_t k = (uint32_t)__builtin_ctz((x & 127) + 1) + 2;
  return (1u << k) + 1 + ((x >> 7) & ((1u << k) - 1));
}

static void fill(struct slot *slot, uint32_t x) {
  slot->size = size_of(x);
  slot->object = allocated(slot->size);
  memset(slot->object, (int)x, slot->size);
}

static uint32_t read_whole(const struct slot *slot) {
  const uint32_t *words = slot->object;
  uint32_t sum = 0;
  for (uint32_t i = 0; i < slot->size / 4; i++) sum += words[i];
  return sum;
}

static void prepare(struct thread *self) {
  struct mine *mine = grab(sizeof *mine);
  mine->slots = grab(slots * sizeof *mine->slots);
  uint32_t x = seed_of(self->index);
  for (uint32_t i = 0; i < slots; i += 2) fill(&mine->slots[i], x = xorshift32(x));
  mine->random = x;
  self->state = mine;
}

static void run(struct thread *self, int phase) {
  (void)phase;
  struct mine *mine = self->state;
  uint32_t x = mine->random;
  for (uint32_t i = 0; i < steps; i++) {
    uint32_t choice = x = xorshift32(x);
    x = xorshift32(x);
    struct slot *slot = &mine->slots[pareto(choice, x)];
    if (slot->object == NULL) {
      fill(slot, x ^ choice);
    } else {
      self->sum += read_whole(slot);
      release(slot->object);
      slot->object = NULL;
    }
  }
  mine->random = x;
}

const struct workload workload_alloc_test = {"alloc_test", setup, prepare, run, NULL};
