/*
 * latency: how long single calls take in a steady mixed load, the churn of churn.c with the clock read around every call.
 *
 * A histogram of nanoseconds, exact up to a limit, from which the percentiles are read; the median of an empty measurement
 * is subtracted from each. Values: p50, p99, p99.99 and the longest of allocations, the same of frees, calls over the limit
 * in a million, and the median of an empty measurement.
 */

#include "harness.h"

enum { LIMIT = 50000 };
static uint32_t slots, steps;
static uint32_t random_state = SEED;
static void **objects;

struct histogram {
  uint32_t counts[LIMIT + 1];
  int64_t longest;
};
static struct histogram of_allocate, of_release, of_nothing;

static void setup(void) {
  slots = (uint32_t)param("slots");
  steps = (uint32_t)param("steps");
  objects = grab(slots * sizeof *objects);
}

static void note(struct histogram *h, int64_t nanoseconds) {
  if (nanoseconds > h->longest) h->longest = nanoseconds;
  h->counts[nanoseconds < LIMIT ? nanoseconds : LIMIT]++;
}

static double percentile(const struct histogram *h, double share) {
  double left = share * steps;
  for (int i = 0; i < LIMIT; i++)
    if ((left -= h->counts[i]) <= 0) return i;
  return (double)h->longest;
}

static double above(double nanoseconds, double nothing) {
  return nanoseconds > nothing ? nanoseconds - nothing : 0;
}

static void clear(struct histogram *h) {
  memset(h, 0, sizeof *h);
}

static void load(void) {
  uint32_t x = random_state;
  for (uint32_t i = 0; i < steps; i++) {
    x = xorshift32(x);
    uint32_t slot = x & (slots - 1);
    int64_t start = now();
    int64_t before = now();
    if (objects[slot] != NULL) release(objects[slot]);
    int64_t between = now();
    objects[slot] = allocated(mixed_sizes[(x >> 16) & 15]);
    int64_t after = now();
    note(&of_nothing, before - start);
    note(&of_release, between - before);
    note(&of_allocate, after - between);
  }
  random_state = x;
}

static int measure(double *values) {
  clear(&of_allocate);
  clear(&of_release);
  clear(&of_nothing);
  load();
  double nothing = percentile(&of_nothing, 0.5);
  const struct histogram *both[2] = {&of_allocate, &of_release};
  int n = 0;
  for (int i = 0; i < 2; i++) {
    values[n++] = above(percentile(both[i], 0.5), nothing);
    values[n++] = above(percentile(both[i], 0.99), nothing);
    values[n++] = above(percentile(both[i], 0.9999), nothing);
    values[n++] = above((double)both[i]->longest, nothing);
  }
  values[n++] = (of_allocate.counts[LIMIT] + of_release.counts[LIMIT]) * 0.5e6 / steps;
  values[n++] = nothing;
  return n;
}

const struct workload workload_latency = {"latency", setup, NULL, NULL, measure};
