/* pair: an object is allocated and freed at once. */

#include "harness.h"

static int pairs;
static size_t size;

static void setup(void) {
  pairs = (int)param("pairs");
  size = (size_t)param("size");
}

static void run(struct thread *self, int phase) {
  (void)phase;
  for (int i = 0; i < pairs; i++) {
    void *object = allocated(size);
    self->sum += (uintptr_t)object;
    release(object);
  }
}

const struct workload workload_pair = {"pair", setup, NULL, run, NULL};
