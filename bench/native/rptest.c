/*
 * rptest: every thread walks its slots by prime strides, frees some, fills some with objects of 8 to 16,000 bytes, small ones
 * likelier by a linear fall-off, and writes to every page of them; every second turn it hands a batch of objects to its
 * neighbour, which frees them. After rpmalloc-benchmark (M. Jansson).
 *
 * A letter box holds one batch: filled by the neighbour while `full` is 0, emptied by the owner while it is 1.
 */

#include "harness.h"

enum { BOXES = 32, BATCH_MAX = 128, PAGE = 4096, THREADS = 64 };
static uint32_t slots, turns, least, most;

struct box {
  _Atomic uint32_t full;
  uint32_t count;
  void *objects[BATCH_MAX];
};

struct mine {
  void **slots;
  uint32_t random, at;
};

static struct box *boxes[THREADS];
static const uint32_t strides[8] = {7, 13, 29, 53, 97, 193, 389, 769};

static void setup(void) {
  slots = (uint32_t)param("slots");
  turns = (uint32_t)param("turns");
  least = (uint32_t)param("smallest");
  most = (uint32_t)param("largest");
  for (int i = 0; i < (int)param("threads"); i++) boxes[i] = grab(BOXES * sizeof(struct box));
}

/* The smaller of two draws: the chance falls linearly. */
static inline void *new_object(uint32_t x) {
  uint32_t one = x & 0x3fff, other = (x >> 14) & 0x3fff;
  uint32_t size = least + ((one < other ? one : other) * (most - least) >> 14);
  char *object = allocated(size);
  for (uint32_t at = 0; at < size; at += PAGE) object[at] = (char)x;
  return object;
}

static void prepare(struct thread *self) {
  struct mine *mine = grab(sizeof *mine);
  mine->slots = grab(slots * sizeof(void *));
  mine->random = seed_of(self->index);
  self->state = mine;
}

static void replace(struct mine *mine, uint32_t x, int fill) {
  mine->at += strides[(x >> 28) & 7];
  if (mine->at >= slots) mine->at -= slots;
  void **slot = &mine->slots[mine->at];
  if (*slot != NULL) release(*slot);
  *slot = fill ? new_object(x) : NULL;
}

static uint32_t hand_over(struct box *target, uint32_t x, uint32_t count) {
  for (int i = 0; i < BOXES; i++) {
    struct box *box = &target[i];
    if (atomic_load_explicit(&box->full, memory_order_acquire) != 0) continue;
    for (uint32_t n = 0; n < count; n++) box->objects[n] = new_object(x = xorshift32(x));
    box->count = count;
    atomic_store(&box->full, 1);
    return x;
  }
  for (uint32_t n = 0; n < count; n++) release(new_object(x = xorshift32(x)));
  return x;
}

static void empty(struct box *own) {
  for (int i = 0; i < BOXES; i++) {
    if (atomic_load_explicit(&own[i].full, memory_order_acquire) != 1) continue;
    for (uint32_t n = 0; n < own[i].count; n++) release(own[i].objects[n]);
    atomic_store(&own[i].full, 0);
  }
}

static void run(struct thread *self, int phase) {
  (void)phase;
  struct mine *mine = self->state;
  uint32_t x = mine->random;
  for (uint32_t turn = 0; turn < turns; turn++) {
    x = xorshift32(x);
    uint32_t frees = 24 + (x >> 8) % 56, fills = 30 + (x >> 16) % 70;
    for (uint32_t i = 0; i < frees; i++) replace(mine, x = xorshift32(x), 0);
    for (uint32_t i = 0; i < fills; i++) replace(mine, x = xorshift32(x), 1);
    if ((turn & 1) == 0) continue;
    x = hand_over(boxes[(self->index + 1) % self->count], x, fills);
    empty(boxes[self->index]);
  }
  mine->random = x;
}

const struct workload workload_rptest = {"rptest", setup, prepare, run, NULL};
