/*
 * xmalloc-test: the first half of the threads fill batches of objects, the others free them. Full batches are on a stack
 * under a lock; who finds none, or no empty one to fill, waits. After L. Lever and D. Boreham (2000).
 */

#include "harness.h"

static int stack_batches, batch, batches;
static size_t size;
static void **objects;
static int *full, *empty;
static int full_count, empty_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t has_full = PTHREAD_COND_INITIALIZER, has_empty = PTHREAD_COND_INITIALIZER;

static void setup(void) {
  stack_batches = (int)param("stack");
  batch = (int)param("batch");
  batches = (int)param("batches");
  size = (size_t)param("size");
  objects = grab((size_t)stack_batches * batch * sizeof *objects);
  full = grab(stack_batches * sizeof *full);
  empty = grab(stack_batches * sizeof *empty);
  for (int i = 0; i < stack_batches; i++) empty[empty_count++] = i;
}

static int take(int *stack, int *count, pthread_cond_t *condition) {
  pthread_mutex_lock(&lock);
  while (*count == 0) pthread_cond_wait(condition, &lock);
  int taken = stack[--*count];
  pthread_mutex_unlock(&lock);
  return taken;
}

static void put(int *stack, int *count, pthread_cond_t *condition, int which) {
  pthread_mutex_lock(&lock);
  stack[(*count)++] = which;
  pthread_cond_signal(condition);
  pthread_mutex_unlock(&lock);
}

static void produce(void) {
  for (int n = 0; n < batches; n++) {
    int which = take(empty, &empty_count, &has_empty);
    void **place = objects + (size_t)which * batch;
    for (int i = 0; i < batch; i++) {
      place[i] = allocated(size);
      memset(place[i], i, size);
    }
    put(full, &full_count, &has_full, which);
  }
}

static void consume(void) {
  for (int n = 0; n < batches; n++) {
    int which = take(full, &full_count, &has_full);
    void **place = objects + (size_t)which * batch;
    for (int i = 0; i < batch; i++) release(place[i]);
    put(empty, &empty_count, &has_empty, which);
  }
}

static void run(struct thread *self, int phase) {
  (void)phase;
  if (self->index < self->count / 2) produce();
  else consume();
}

const struct workload workload_xmalloc = {"xmalloc", setup, NULL, run, NULL};
