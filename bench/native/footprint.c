/*
 * footprint: the most memory that was resident during the first replay of a trace, less what was before it. The kernel keeps
 * that maximum (VmHWM) and forgets it when asked to (clear_refs). Value: bytes.
 *
 * after_peak: objects of mixed sizes up to so many bytes are allocated and all freed. Values: bytes resident at the peak and
 * after it, less what was before.
 */

#include "trace.h"

static struct trace trace;
static uint32_t count;
static void **objects;

static int64_t status_bytes(const char *key) {
  char line[256];
  int64_t kib = -1;
  FILE *file = fopen("/proc/self/status", "r");
  if (file == NULL) fail("no /proc/self/status");
  while (fgets(line, sizeof line, file) != NULL)
    if (strncmp(line, key, strlen(key)) == 0) kib = atoll(line + strlen(key));
  fclose(file);
  return kib * 1024;
}

/* The harness's own reading must not be counted: done once before the zero is taken. */
static int64_t zero(void) {
  status_bytes("VmRSS:");
  FILE *file = fopen("/proc/self/clear_refs", "w");
  if (file == NULL) fail("no /proc/self/clear_refs");
  fputs("5", file);
  fclose(file);
  return status_bytes("VmRSS:");
}

static void setup_trace(void) {
  trace = trace_load();
  memset(trace.addresses, 1, trace.objects * sizeof(void *));
}

static int measure_trace(double *values) {
  int64_t before = zero();
  trace_replay(&trace, 0, trace.operations);
  values[0] = (double)(status_bytes("VmHWM:") - before);
  return 1;
}

static void setup_peak(void) {
  count = (uint32_t)param("objects");
  objects = grab(count * sizeof *objects);
  memset(objects, 1, count * sizeof *objects);
}

static int measure_peak(double *values) {
  int64_t before = zero();
  uint32_t x = SEED;
  for (uint32_t i = 0; i < count; i++) {
    x = xorshift32(x);
    uint32_t *object = allocated(mixed_sizes[(x >> 16) & 15]);
    *object = i;
    objects[i] = object;
  }
  values[0] = (double)(status_bytes("VmRSS:") - before);
  for (uint32_t i = 0; i < count; i++) release(objects[i]);
  values[1] = (double)(status_bytes("VmRSS:") - before);
  return 2;
}

const struct workload workload_footprint = {"footprint", setup_trace, NULL, NULL, measure_trace};
const struct workload workload_after_peak = {"after_peak", setup_peak, NULL, NULL, measure_peak};
