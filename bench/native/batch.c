/* batch: many objects are allocated, then freed in the same order. bulk: the same in groups; malloc has no bulk calls. */

#include "harness.h"

static int count, groups;
static size_t size;
static void **objects;

static void setup(void) {
  count = (int)param("count");
  groups = (int)param("groups");
  size = (size_t)param("size");
  objects = grab((size_t)count * sizeof *objects);
}

static void run(struct thread *self, int phase) {
  (void)self;
  (void)phase;
  for (int group = 0; group < groups; group++) {
    for (int i = 0; i < count; i++) objects[i] = allocated(size);
    for (int i = 0; i < count; i++) release(objects[i]);
  }
}

const struct workload workload_batch = {"batch", setup, NULL, run, NULL};
const struct workload workload_bulk = {"bulk", setup, NULL, run, NULL};
