/*
 * glibc-simple: for objects of 16, 32 and 64 bytes, bursts of 25, 100, 400 and 1,600: all are allocated and written, then the
 * first half is freed first in first out, the second last in first out. After glibc's bench-malloc-simple.
 */

#include "harness.h"

enum { BURST_MAX = 1600 };
static void *burst[BURST_MAX];

static void one_burst(size_t size, int n) {
  for (int i = 0; i < n; i++) {
    burst[i] = allocated(size);
    memset(burst[i], i, size);
  }
  for (int i = 0; i < n / 2; i++) release(burst[i]);
  for (int i = n - 1; i >= n / 2; i--) release(burst[i]);
}

static void run(struct thread *self, int phase) {
  (void)self;
  (void)phase;
  for (size_t size = 16; size <= 64; size *= 2)
    for (int n = 25; n <= BURST_MAX; n *= 4)
      for (int done = 0; done < BURST_MAX; done += n) one_burst(size, n);
}

const struct workload workload_glibc_simple = {"glibc_simple", NULL, NULL, run, NULL};
