/* remote: thread 0 allocates batches, thread 1 frees them; the ring of src/workloads/remote.ts. */

#include "harness.h"

static uint32_t ring_batches, batch, batches;
static size_t size;
static void **ring;
static _Alignas(64) _Atomic uint32_t produced;
static _Alignas(64) _Atomic uint32_t consumed;

static void setup(void) {
  ring_batches = (uint32_t)param("ring");
  batch = (uint32_t)param("batch");
  batches = (uint32_t)param("batches");
  size = (size_t)param("size");
  ring = grab(ring_batches * batch * sizeof *ring);
}

static void produce(void) {
  uint32_t mine = atomic_load(&produced);
  for (uint32_t n = 0; n < batches; n++) {
    uint32_t seen = atomic_load_explicit(&consumed, memory_order_acquire);
    while (mine - seen >= ring_batches) seen = wait_while(&consumed, seen);
    void **place = ring + mine % ring_batches * batch;
    for (uint32_t i = 0; i < batch; i++) place[i] = allocated(size);
    atomic_store(&produced, ++mine);
  }
}

static void consume(void) {
  uint32_t done = atomic_load(&consumed);
  for (uint32_t n = 0; n < batches; n++) {
    if (atomic_load_explicit(&produced, memory_order_acquire) == done) wait_while(&produced, done);
    void **place = ring + done % ring_batches * batch;
    for (uint32_t i = 0; i < batch; i++) release(place[i]);
    atomic_store(&consumed, ++done);
  }
}

static void run(struct thread *self, int phase) {
  (void)phase;
  if (self->index == 0) produce();
  else consume();
}

const struct workload workload_remote = {"remote", setup, NULL, run, NULL};
