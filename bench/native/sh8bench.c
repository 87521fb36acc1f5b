/*
 * sh8bench. Phase 0: sizes after a histogram, round-robin, into the ring of ring.h. Phase 1: thread 0 allocates objects of 8
 * bytes, each holding the address of its slot. Phase 2: all threads check and free a share of them. After MicroQuill's.
 */

#include "ring.h"

enum { KINDS = 12 };
static const uint32_t histogram[KINDS][2] = {{8, 1000}, {16, 5000}, {48, 1000}, {72, 100}, {148, 100}, {200, 100}, {520, 10}, {1056, 5}, {4096, 3}, {9162, 1}, {34562, 1}, {168524, 1}};

static uint32_t pointers, turns, global_count;
static uint32_t **global;

static void setup(void) {
  pointers = (uint32_t)param("pointers") / (uint32_t)param("threads");
  turns = (uint32_t)param("turns");
  global_count = (uint32_t)param("global");
  global = grab(global_count * sizeof *global);
}

static void prepare(struct thread *self) {
  self->state = ring_create(pointers);
}

static void one_turn(struct ring *ring) {
  uint32_t left[KINDS], kinds = KINDS;
  for (uint32_t k = 0; k < KINDS; k++) left[k] = histogram[k][1];
  while (kinds > 0) {
    kinds = 0;
    for (uint32_t k = 0; k < KINDS; k++) {
      if (left[k] == 0) continue;
      left[k]--;
      kinds++;
      uint32_t *object = allocated(histogram[k][0]);
      *object = k;
      ring_put(ring, object);
    }
  }
}

static void allocate_global(void) {
  for (uint32_t i = 0; i < global_count; i++) {
    global[i] = allocated(8);
    *global[i] = i;
  }
}

static void free_global(struct thread *self) {
  for (uint32_t i = (uint32_t)self->index; i < global_count; i += (uint32_t)self->count) {
    if (*global[i] != i) self->sum++;
    release(global[i]);
  }
}

static void run(struct thread *self, int phase) {
  if (phase == 0) {
    for (uint32_t turn = 0; turn < turns; turn++) one_turn(self->state);
  } else if (phase == 1) {
    if (self->index == 0) allocate_global();
  } else {
    free_global(self);
  }
}

const struct workload workload_sh8bench = {"sh8bench", setup, prepare, run, NULL};
