/*
 * mstress: every thread allocates objects of widely varying sizes, some to keep and some to free soon, frees random ones of
 * its own, and exchanges random ones with a table that all threads share. Every word of every object is written, and checked
 * when it is freed. After mimalloc's test-stress (D. Leijen); its threads end after each round, these do not, and its
 * generator is 64-bit splitmix, this one its 32-bit sibling (JavaScript has no 64-bit multiply).
 */

#include "harness.h"

enum { TRANSFERS_MAX = 4096, LARGEST = 64 * 10000 };
static uint32_t allocations, transfers;
static double *_Atomic transfer[TRANSFERS_MAX];
static const uint32_t cookie = 0x1ce4e5b9;

struct list {
  double **objects;
  uint32_t count;
};

struct mine {
  struct list soon, kept;
  uint32_t random;
};

static void setup(void) {
  allocations = (uint32_t)param("allocations");
  transfers = (uint32_t)param("transfers");
}

static inline uint32_t splitmix32(uint32_t *state) {
  uint32_t z = *state += 0x9e3779b9;
  z = (z ^ z >> 16) * 0x21f0aaad;
  z = (z ^ z >> 15) * 0x735a2d97;
  return z ^ z >> 15;
}

/* A number below `limit`, at most 65,536; no division, whose cost would differ between the two sides. */
static inline uint32_t below(uint32_t limit, uint32_t *random) {
  return (splitmix32(random) >> 16) * limit >> 16;
}

/* Words of an object to keep: 2^(r % 7), seldom 100, 1,000 or 10,000 times as many. */
static uint32_t kept_words(uint32_t *random) {
  uint32_t words = 1u << below(7, random);
  uint32_t rare = below(10000, random);
  if (rare == 0) return words * 10000;
  if (rare < 10) return words * 1000;
  return rare < 100 ? words * 100 : words;
}

static double *make(uint32_t words) {
  if (words < 2) words = 2;
  double *object = allocated(words * sizeof(double));
  object[0] = words;
  for (uint32_t i = 1; i < words; i++) object[i] = (double)(int32_t)((words - i) ^ cookie);
  return object;
}

static void destroy(struct thread *self, double *object) {
  if (object == NULL) return;
  uint32_t words = object[0] >= 2 && object[0] <= LARGEST ? (uint32_t)object[0] : 0;
  if (words == 0) self->sum++; /* Something else was written there. */
  for (uint32_t i = 1; i < words; i++)
    if (object[i] != (double)(int32_t)((words - i) ^ cookie)) self->sum++;
  release(object);
}

static void prepare(struct thread *self) {
  struct mine *mine = grab(sizeof *mine);
  mine->soon.objects = grab(2 * allocations * sizeof(void *));
  mine->kept.objects = grab(2 * allocations * sizeof(void *));
  mine->random = seed_of(self->index);
  self->state = mine;
}

static void step(struct thread *self, struct mine *mine, uint32_t *random, uint32_t *retain) {
  uint32_t r = splitmix32(random);
  struct list *soon = &mine->soon, *kept = &mine->kept;
  if ((r & 1) != 0 || *retain == 0) {
    soon->objects[soon->count++] = make(1u << below(5, random));
  } else {
    (*retain)--;
    kept->objects[kept->count++] = make(kept_words(random));
  }
  if (((r >> 1) & 0xffff) < 43690 /* 2 of 3 */ && soon->count > 0) {
    uint32_t which = below(soon->count, random);
    destroy(self, soon->objects[which]);
    soon->objects[which] = soon->objects[--soon->count];
  }
  if ((r >> 30) == 0 && soon->count > 0) {
    uint32_t which = below(soon->count, random);
    uint32_t place = below(transfers, random);
    double *got = atomic_exchange(&transfer[place], soon->objects[which]);
    if (got != NULL) soon->objects[which] = got;
    else soon->objects[which] = soon->objects[--soon->count];
  }
}

static void run(struct thread *self, int phase) {
  (void)phase;
  struct mine *mine = self->state;
  uint32_t random = mine->random, retain = allocations / 2;
  for (uint32_t i = 0; i < allocations; i++) step(self, mine, &random, &retain);
  while (mine->soon.count > 0) destroy(self, mine->soon.objects[--mine->soon.count]);
  while (mine->kept.count > 0) destroy(self, mine->kept.objects[--mine->kept.count]);
  for (uint32_t place = (uint32_t)self->index; place < transfers; place += 2 * (uint32_t)self->count)
    destroy(self, atomic_exchange(&transfer[place], NULL));
  mine->random = random;
}

const struct workload workload_mstress = {"mstress", setup, prepare, run, NULL};
