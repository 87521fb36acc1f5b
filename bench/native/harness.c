/*
 * The native side of the benchmarks: the loops of src/workloads/ around malloc and free, for whichever allocator the
 * dynamic linker puts in (LD_PRELOAD), or around one that does nothing (see harness.h).
 *
 * Same parameters, same random numbers, same order of operations as in JavaScript; same protocol on standard input and
 * output as src/contestant-process.ts, whose head comment describes it. Arguments: workload, milliseconds of a round,
 * milliseconds of warm-up, parameters as name=value,…  `threads`, `phases` and `respawn` are the harness's own.
 *
 * Compile with -O2 -pthread -fno-builtin: else a compiler may drop a pair of malloc and free whole.
 */

#include "harness.h"
#include <dlfcn.h>
#include <sys/mman.h>
#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

#define WORKLOAD(name) extern const struct workload workload_##name;
#include "workloads.h"
#undef WORKLOAD

static const struct workload *const workloads[] = {
#define WORKLOAD(name) &workload_##name,
#include "workloads.h"
#undef WORKLOAD
};

enum { SPINS = 100000, THREADS_MAX = 64 };

static const char *parameters = "";

_Noreturn void fail(const char *text) {
  printf("error %s\n", text);
  fflush(stdout);
  _Exit(1);
}

const char *param_text(const char *name) {
  size_t length = strlen(name);
  for (const char *at = parameters; *at != '\0';) {
    if (strncmp(at, name, length) == 0 && at[length] == '=') return at + length + 1;
    const char *comma = strchr(at, ',');
    if (comma == NULL) break;
    at = comma + 1;
  }
  return NULL;
}

int64_t param(const char *name) {
  static char message[128];
  const char *text = param_text(name);
  if (text != NULL) return atoll(text);
  snprintf(message, sizeof message, "parameter %s is missing", name);
  fail(message);
}

int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Memory of the harness itself, always zeroed and never from the allocator under measurement's free lists. */
void *grab(size_t bytes) {
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail("no memory for the harness");
  return memory;
}

uint32_t wait_while(_Atomic uint32_t *counter, uint32_t value) {
  for (uint64_t i = 0;; i++) {
    uint32_t seen = atomic_load_explicit(counter, memory_order_acquire);
    if (seen != value) return seen;
    if (i < SPINS) continue;
    struct timespec pause = {0, 20000};
    if (i >= SPINS + 1000) nanosleep(&pause, NULL);
    else sched_yield();
  }
}

#ifdef NOOP
#if NOOP == 2
/* Objects begin in the first mebibyte; the largest that a workload touches may reach far beyond it. */
enum { ARENA = 1 << 20, ARENA_TAIL = 1 << 26 };
__attribute__((noinline)) void *noop_allocate(size_t size) {
  static _Thread_local char *arena;
  static _Thread_local size_t cursor;
  if (__builtin_expect(arena == NULL, 0)) arena = grab((size_t)ARENA + ARENA_TAIL);
  cursor = (cursor + ((size + 15) & ~(size_t)15)) & (ARENA - 1);
  return arena + cursor;
}
#else
__attribute__((noinline)) void *noop_allocate(size_t size) {
  __asm__ volatile("" : "+r"(size) : : "memory");
  return (void *)size;
}
#endif
__attribute__((noinline)) void noop_release(void *object) {
  __asm__ volatile("" : "+r"(object) : : "memory");
}
#else
void *allocate_aligned(size_t alignment, size_t size) {
  void *object = NULL;
  return posix_memalign(&object, alignment < sizeof(void *) ? sizeof(void *) : alignment, size) == 0 ? object : NULL;
}
#endif

static const struct workload *find(const char *name) {
  for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
    if (strcmp(workloads[i]->name, name) == 0) return workloads[i];
  fail("unknown workload");
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

/*
 * The threads of a workload of several. All wait for a generation of `go`; then they meet, so that none is measured waking
 * up, and each notes when it began and ended its calls. A round lasts from the first begin to the last end.
 */
static const struct workload *the_workload;
static struct thread threads[THREADS_MAX];
static int thread_count;
static int64_t go_calls;
static int go_phase;
static int quitting;
static unsigned go;
static int done;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static _Atomic uint32_t met;

static void meet(uint32_t generation) {
  uint32_t all = generation * (uint32_t)thread_count;
  uint32_t seen = atomic_fetch_add(&met, 1) + 1;
  while ((int32_t)(seen - all) < 0) seen = wait_while(&met, seen);
}

static void finished(void) {
  pthread_mutex_lock(&mutex);
  done++;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
}

static void await_done(void) {
  pthread_mutex_lock(&mutex);
  while (done < thread_count) pthread_cond_wait(&changed, &mutex);
  pthread_mutex_unlock(&mutex);
}

static void *work(void *argument) {
  struct thread *self = argument;
  if (the_workload->prepare != NULL) the_workload->prepare(self);
  finished();
  for (unsigned generation = 1;; generation++) {
    pthread_mutex_lock(&mutex);
    while (go != generation && !quitting) pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
    if (quitting) return NULL;
    meet(generation);
    self->start = now();
    for (int64_t i = 0; i < go_calls; i++) the_workload->run(self, go_phase);
    self->end = now();
    finished();
  }
}

static int64_t span(void) {
  int64_t start = threads[0].start, end = threads[0].end;
  for (int i = 1; i < thread_count; i++) {
    if (threads[i].start < start) start = threads[i].start;
    if (threads[i].end > end) end = threads[i].end;
  }
  return end - start;
}

static int64_t timed_threads(int phase, int64_t calls) {
  pthread_mutex_lock(&mutex);
  go_calls = calls;
  go_phase = phase;
  done = 0;
  go++;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
  await_done();
  return span();
}

/* Respawn: a thread lives for one call; the dying one starts its successor, until `calls` lives are over. */
static _Atomic int64_t lives[THREADS_MAX];

static void *live(void *argument) {
  struct thread *self = argument;
  the_workload->run(self, 0);
  if (atomic_fetch_sub(&lives[self->index], 1) > 1) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, live, self) != 0) fail("no thread");
    pthread_detach(thread);
  } else {
    finished();
  }
  return NULL;
}

static int64_t timed_lives(int64_t calls) {
  int64_t start = now();
  done = 0;
  for (int i = 0; i < thread_count; i++) {
    pthread_t thread;
    atomic_store(&lives[i], calls);
    if (pthread_create(&thread, NULL, live, &threads[i]) != 0) fail("no thread");
    pthread_detach(thread);
  }
  await_done();
  return now() - start;
}

static int respawn;

static int64_t timed(int phase, int64_t calls) {
  if (respawn) return timed_lives(calls);
  if (thread_count > 1) return timed_threads(phase, calls);
  int64_t start = now();
  for (int64_t i = 0; i < calls; i++) the_workload->run(&threads[0], phase);
  return now() - start;
}

static void start_threads(void) {
  for (int i = 0; i < thread_count; i++) {
    threads[i].index = i;
    threads[i].count = thread_count;
    if (thread_count == 1 || respawn) {
      if (the_workload->prepare != NULL) the_workload->prepare(&threads[i]);
      continue;
    }
    pthread_t thread;
    done = thread_count - 1;
    if (pthread_create(&thread, NULL, work, &threads[i]) != 0) fail("no thread");
    await_done();
  }
}

/* As in src/contestant-process.ts: the last share of the warm-up tells how many calls a round needs. */
static double run_for(double ms) {
  int64_t spent = 0, calls = 0;
  for (int64_t some = 1; spent < ms * 1e6; some = spent * 4 < ms * 1e6 ? some * 2 : some) {
    spent += timed(0, some);
    calls += some;
  }
  return calls > 0 ? (double)spent / calls : 1;
}

static int64_t warm_up(double round_ms, double warm_ms) {
  double per_call = 1;
  for (int share = 0; share < 2; share++) per_call = run_for(warm_ms / 2);
  int64_t calls = (int64_t)(round_ms * 1e6 / per_call + 0.5);
  return calls > 0 ? calls : 1;
}

/* Phases are not calibrated: each is called once a round. */
static void run_phases(int phases, double *values) {
  for (int phase = 0; phase < phases; phase++) values[phase] = (double)timed(phase, 1);
}

/* Workloads that are not calibrated warm up by whole rounds; those that must start cold ask for a warm-up of 0 ms. */
static void warm_up_whole(int phases, double warm_ms) {
  double values[VALUES_MAX];
  int64_t until = now() + (int64_t)(warm_ms * 1e6);
  while (now() < until) {
    if (the_workload->measure != NULL) the_workload->measure(values);
    else run_phases(phases, values);
  }
}

static void say_round(int64_t calls, const double *values, int count) {
  printf("round %lld", (long long)calls);
  for (int i = 0; i < count; i++) printf(" %.17g", values[i]);
  printf("\n");
  fflush(stdout);
}

static void play_round(int phases, int64_t calls) {
  double values[VALUES_MAX];
  int count = 1;
  if (the_workload->measure != NULL) {
    count = the_workload->measure(values);
  } else if (phases > 0) {
    run_phases(phases, values);
    count = phases;
  } else {
    values[0] = (double)timed(0, calls);
  }
  say_round(calls, values, count);
}

int main(int argc, char **argv) {
  if (argc != 5) fail("usage: native WORKLOAD ROUND-MS WARM-UP-MS NAME=VALUE,…");
  the_workload = find(argv[1]);
  parameters = argv[4];
  double round_ms = atof(argv[2]), warm_ms = atof(argv[3]);
  thread_count = (int)param("threads");
  respawn = (int)param("respawn");
  int phases = (int)param("phases");
  if (thread_count < 1 || thread_count > THREADS_MAX || phases > VALUES_MAX) fail("bad parameters");
  if (the_workload->setup != NULL) the_workload->setup();
  start_threads();
  int64_t calls = 1;
  if (the_workload->measure == NULL && phases == 0) calls = warm_up(round_ms, warm_ms);
  else warm_up_whole(phases, warm_ms);
  say_ready();
  char line[64];
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (strcmp(line, "quit\n") == 0) break;
    if (strcmp(line, "round\n") == 0) play_round(phases, calls);
  }
  printf("done\n");
  fflush(stdout);
  uintptr_t sum = 0;
  for (int i = 0; i < thread_count; i++) sum += threads[i].sum;
  _Exit(sum == 1 ? 2 : 0); /* Sleeping threads are never joined. */
}
