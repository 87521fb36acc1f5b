/*
 * A program on several threads, without pthreads: every thread has an instance of this module on the one memory. Blocks
 * of random sizes, filled with a pattern, go through a table of shared slots by atomic exchange: whoever takes one out
 * checks every byte and frees it, so most blocks are freed by another thread than the one that allocated them.
 */
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#define EXPORT(name) __attribute__((export_name(name)))
#define SLOTS 1024

struct block {
  uint32_t words; /* how many follow */
  uint32_t seed;
  uint32_t pattern[];
};

static _Atomic(struct block *) slots[SLOTS];
static _Atomic uint32_t foreign;
/* The thread that this instance runs on: its own in every instance, because every thread has a block of storage. */
static _Thread_local uint32_t thisThread = 0xffff;
static _Thread_local uint32_t random32 = 1;

static uint32_t next(void) {
  random32 ^= random32 << 13;
  random32 ^= random32 >> 17;
  return random32 ^= random32 << 5;
}

static struct block *make(void) {
  uint32_t r = next();
  /* Mostly small, now and then some kilobytes. */
  uint32_t words = (r & 63) == 0 ? (r >> 8) % 4000 : (r >> 8) % 60;
  struct block *b = malloc(sizeof(struct block) + 4 * words);
  if (b == NULL) return NULL;
  b->words = words;
  b->seed = (r & 0xffffff00) | thisThread;
  for (uint32_t i = 0; i < words; i++) b->pattern[i] = b->seed + i * 2654435761u;
  return b;
}

/* 0 if the block is as it was made. */
static int check(struct block *b) {
  for (uint32_t i = 0; i < b->words; i++)
    if (b->pattern[i] != b->seed + i * 2654435761u) return 1;
  if ((b->seed & 0xff) != thisThread) atomic_fetch_add(&foreign, 1);
  return 0;
}

EXPORT("work") int work(uint32_t thread, uint32_t operations) {
  int corrupted = 0;
  thisThread = thread;
  random32 = 2463534242u + thread * 977;
  for (uint32_t i = 0; i < operations; i++) {
    struct block *made = make();
    struct block *old = atomic_exchange(&slots[next() % SLOTS], made);
    if (old == NULL) continue;
    corrupted += check(old);
    free(old);
  }
  return corrupted;
}

EXPORT("drain") int drain(void) {
  int corrupted = 0;
  for (int i = 0; i < SLOTS; i++) {
    struct block *old = atomic_exchange(&slots[i], NULL);
    if (old == NULL) continue;
    corrupted += check(old);
    free(old);
  }
  return corrupted;
}

EXPORT("foreignFrees") uint32_t foreignFrees(void) { return atomic_load(&foreign); }
EXPORT("thread") uint32_t thread(void) { return thisThread; }

EXPORT("allocate") void *allocate(size_t bytes) { return malloc(bytes); }
