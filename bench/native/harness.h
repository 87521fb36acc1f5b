/*
 * What a workload of the native side needs: the allocator under measurement, parameters, threads, random numbers.
 *
 * Every workload has a file of its own here, with the name of its twin in src/workloads/. Both get their parameters from
 * the harness in src/, so that a number stands in one place only, and use the same generator with the same seed.
 */

#ifndef HARNESS_H
#define HARNESS_H

#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * -DNOOP=1: an allocator that does nothing, behind calls that the compiler can neither inline nor see through, since malloc
 * is one. -DNOOP=2: the same for workloads that write to their objects; each thread walks through an arena of its own.
 */
#ifdef NOOP
void *noop_allocate(size_t size);
void noop_release(void *object);
#define allocate noop_allocate
#define release noop_release
#define allocate_zeroed noop_allocate
#define reallocate(object, size) ((void)(object), noop_allocate(size))
#define allocate_aligned(alignment, size) ((void)(alignment), noop_allocate(size))
#else
#define allocate malloc
#define release free
#define allocate_zeroed(size) calloc(1, size)
#define reallocate realloc
void *allocate_aligned(size_t alignment, size_t size);
#endif

/* One thread of a workload. Workloads of one thread run on the main thread. */
struct thread {
  int index;
  int count;
  void *state;
  /* Keeps the work alive. */
  uintptr_t sum;
  int64_t start, end;
};

struct workload {
  const char *name;
  /* Once, before any thread runs. */
  void (*setup)(void);
  /* Once a thread, one thread after the other. */
  void (*prepare)(struct thread *);
  /* One slice of the work; `phase` counts from 0 in workloads of several phases. */
  void (*run)(struct thread *, int phase);
  /* In place of `run`: one round, its values in the order of the workload's metrics. */
  int (*measure)(double *values);
};

#define SEED 0x20060815u
#define VALUES_MAX 256

_Noreturn void fail(const char *text);
/* The parameter of that name; fails without one. */
int64_t param(const char *name);
const char *param_text(const char *name);
int64_t now(void);
void *grab(size_t bytes);
/* Spins, then lets others run; returns the counter's new value. */
uint32_t wait_while(_Atomic uint32_t *counter, uint32_t value);

static inline uint32_t xorshift32(uint32_t x) {
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  return x;
}

/* As in src/random.ts: a seed of its own for each thread. */
static inline uint32_t seed_of(int index) {
  return SEED + (uint32_t)index * 0x9e3779b9u;
}

static const uint32_t mixed_sizes[16] = {16, 24, 32, 40, 48, 64, 64, 80, 96, 128, 160, 192, 256, 384, 640, 1024};

static inline void *allocated(size_t size) {
  void *object = allocate(size);
  if (__builtin_expect(object == NULL, 0)) fail("out of memory");
  return object;
}

#endif
