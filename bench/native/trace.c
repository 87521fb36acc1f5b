/* trace: a real program's allocations, all of them, on one thread, again and again. */

#include "trace.h"

static struct trace trace;

static void setup(void) {
  trace = trace_load();
}

static void run(struct thread *self, int phase) {
  (void)self;
  (void)phase;
  trace_replay(&trace, 0, trace.operations);
}

const struct workload workload_trace = {"trace", setup, NULL, run, NULL};
