/*
 * The native side of the micro benchmark: the loops of src/loops.ts and src/remote.ts around malloc and free, for
 * whichever allocator the dynamic linker puts in (LD_PRELOAD), or, compiled with -DNOOP, around one that does nothing.
 *
 * Same parameters, same random numbers, same order of operations as in JavaScript; same protocol on standard input and
 * output as src/contestant-process.ts, whose head comment describes it. Arguments: workload, milliseconds of a round,
 * milliseconds of warm-up.
 *
 * Compile with -O2 -pthread -fno-builtin-malloc -fno-builtin-free: else a compiler may drop a pair of malloc and free whole.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

/* src/workloads.ts and src/random.ts have these too. */
enum {
  OBJECT_SIZE = 64,
  PAIRS = 100,
  BATCH = 1000,
  CHURN_SLOTS = 8192,
  CHURN_STEPS = 256,
  BULK = 64,
  BULK_GROUPS = 16,
  RING_BATCHES = 8,
  BATCHES_PER_RUN = 64,
  SPINS = 100000,
};
static const uint32_t SEED = 0x20060815;
static const uint32_t mixed_sizes[16] = {16, 24, 32, 40, 48, 64, 64, 80, 96, 128, 160, 192, 256, 384, 640, 1024};

#ifdef NOOP
/* A call that the compiler can neither inline nor see through, since malloc is one. */
__attribute__((noinline)) static void *allocate(size_t size) {
  __asm__ volatile("" : "+r"(size) : : "memory");
  return (void *)size;
}
__attribute__((noinline)) static void release(void *object) {
  __asm__ volatile("" : "+r"(object) : : "memory");
}
#else
#define allocate malloc
#define release free
#endif

static void fail(const char *text) {
  printf("error %s\n", text);
  fflush(stdout);
  exit(1);
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void *allocated(size_t size) {
  void *object = allocate(size);
  if (object == NULL) fail("out of memory");
  return object;
}

static uintptr_t sum; /* Keeps the work alive. */

static void run_pair(void) {
  for (int i = 0; i < PAIRS; i++) {
    void *object = allocated(OBJECT_SIZE);
    sum += (uintptr_t)object;
    release(object);
  }
}

static void *batch[BATCH];

static void run_batch(void) {
  for (int i = 0; i < BATCH; i++) batch[i] = allocated(OBJECT_SIZE);
  for (int i = 0; i < BATCH; i++) release(batch[i]);
}

static void *slots[CHURN_SLOTS];
static uint32_t state;

static void run_churn(void) {
  uint32_t x = state;
  for (int i = 0; i < CHURN_STEPS; i++) {
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    uint32_t slot = x & (CHURN_SLOTS - 1);
    if (slots[slot] != NULL) release(slots[slot]);
    slots[slot] = allocated(mixed_sizes[(x >> 16) & 15]);
  }
  state = x;
}

static void prepare_churn(void) {
  state = SEED;
  for (int step = 0; step < 8 * CHURN_SLOTS; step += CHURN_STEPS) run_churn();
}

static void run_bulk(void) {
  for (int group = 0; group < BULK_GROUPS; group++) {
    for (int i = 0; i < BULK; i++) batch[i] = allocated(OBJECT_SIZE);
    for (int i = 0; i < BULK; i++) release(batch[i]);
  }
}

/* Two threads: the ring of src/remote.ts. */
static void *ring[RING_BATCHES][BATCH];
static _Alignas(64) _Atomic uint32_t produced;
static _Alignas(64) _Atomic uint32_t consumed;

/* Spins, then lets others run; returns the counter's new value. */
static uint32_t wait_while(_Atomic uint32_t *counter, uint32_t value) {
  for (uint64_t i = 0;; i++) {
    uint32_t seen = atomic_load_explicit(counter, memory_order_acquire);
    if (seen != value) return seen;
    if (i >= SPINS) {
      struct timespec pause = {0, 20000};
      if (i >= SPINS + 1000) nanosleep(&pause, NULL);
      else sched_yield();
    }
  }
}

static void *consume(void *unused) {
  (void)unused;
  uint32_t done = 0;
  for (;;) {
    uint32_t end = wait_while(&produced, done);
    while (done != end) {
      void **place = ring[done % RING_BATCHES];
      for (int i = 0; i < BATCH; i++) release(place[i]);
      atomic_store(&consumed, ++done);
    }
  }
  return NULL;
}

static void prepare_remote(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, consume, NULL) != 0) fail("no thread");
}

static void run_remote(void) {
  uint32_t mine = atomic_load(&produced);
  for (int n = 0; n < BATCHES_PER_RUN; n++) {
    uint32_t seen = atomic_load_explicit(&consumed, memory_order_acquire);
    while (mine - seen >= RING_BATCHES) seen = wait_while(&consumed, seen);
    void **place = ring[mine % RING_BATCHES];
    for (int i = 0; i < BATCH; i++) place[i] = allocated(OBJECT_SIZE);
    atomic_store(&produced, ++mine);
  }
  uint32_t seen = atomic_load(&consumed);
  while (seen != mine) seen = wait_while(&consumed, seen);
}

struct workload {
  const char *name;
  int ops;
  void (*prepare)(void);
  void (*run)(void);
};

static const struct workload workloads[] = {
    {"pair", PAIRS, NULL, run_pair},
    {"batch", BATCH, NULL, run_batch},
    {"churn", CHURN_STEPS, prepare_churn, run_churn},
    {"bulk", BULK * BULK_GROUPS, NULL, run_bulk},
    {"remote", BATCH * BATCHES_PER_RUN, prepare_remote, run_remote},
};

static const struct workload *find(const char *name) {
  for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
    if (strcmp(workloads[i].name, name) == 0) return &workloads[i];
  fail("unknown workload");
  return NULL;
}

/* Which allocator answers: a preload that did not take must not pass for the one it was meant to be. */
static void say_ready(void) {
#ifdef NOOP
  printf("ready noop\n");
#else
  int (*mimalloc)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, "mi_version");
  const char *(*tcmalloc)(int *, int *, const char **) =
      (const char *(*)(int *, int *, const char **))dlsym(RTLD_DEFAULT, "tc_version");
  int (*jemalloc)(const char *, void *, size_t *, void *, size_t) =
      (int (*)(const char *, void *, size_t *, void *, size_t))dlsym(RTLD_DEFAULT, "mallctl");
  if (mimalloc != NULL) {
    int v = mimalloc();
    printf("ready mimalloc %d.%d.%d\n", v / 100, v / 10 % 10, v % 10);
  } else if (jemalloc != NULL) {
    const char *version = "";
    size_t length = sizeof version;
    if (jemalloc("version", &version, &length, NULL, 0) != 0) version = "";
    printf("ready jemalloc %.*s\n", (int)strcspn(version, "-"), version);
  } else if (tcmalloc != NULL) {
    printf("ready tcmalloc %s\n", tcmalloc(NULL, NULL, NULL));
  } else {
#ifdef __GLIBC__
    printf("ready glibc %s\n", gnu_get_libc_version());
#else
    printf("ready system malloc\n");
#endif
  }
#endif
  fflush(stdout);
}

static int64_t timed(const struct workload *w, int64_t calls) {
  int64_t start = now();
  for (int64_t i = 0; i < calls; i++) w->run();
  return now() - start;
}

/* As in src/contestant-process.ts: the second half of the warm-up tells how many calls a round needs. */
static int64_t warm_up(const struct workload *w, double round_ms, double warm_ms) {
  double per_call = 1;
  for (int share = 0; share < 2; share++) {
    int64_t spent = 0, calls = 0;
    while (spent < warm_ms / 2 * 1e6) {
      spent += timed(w, 1);
      calls++;
    }
    if (calls > 0) per_call = (double)spent / calls;
  }
  int64_t calls = (int64_t)(round_ms * 1e6 / per_call + 0.5);
  return calls > 0 ? calls : 1;
}

int main(int argc, char **argv) {
  if (argc != 4) fail("usage: micro WORKLOAD ROUND-MS WARM-UP-MS");
  const struct workload *w = find(argv[1]);
  if (w->prepare != NULL) w->prepare();
  int64_t calls = warm_up(w, atof(argv[2]), atof(argv[3]));
  say_ready();
  char line[64];
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (strcmp(line, "quit\n") == 0) break;
    if (strcmp(line, "round\n") != 0) continue;
    int64_t spent = timed(w, calls);
    printf("round %lld %lld\n", (long long)spent, (long long)(calls * w->ops));
    fflush(stdout);
  }
  printf("done\n");
  fflush(stdout);
  _Exit(sum == 1 ? 2 : 0); /* The freeing thread is never joined. */
}
