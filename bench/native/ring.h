/* The pointers of sh6bench and sh8bench. Slots `kept` … `kept_end - 1` hold survivors of the previous cycle. */

#ifndef RING_H
#define RING_H

#include "harness.h"

struct ring {
  void **slots;
  uint32_t size, at, kept, kept_end;
};

static inline struct ring *ring_create(uint32_t size) {
  struct ring *ring = grab(sizeof *ring);
  ring->slots = grab(size * sizeof(void *));
  ring->size = ring->kept = ring->kept_end = size;
  return ring;
}

static inline void ring_wrap(struct ring *ring) {
  uint32_t kept = ring->kept_end >= ring->size ? 0 : ring->kept_end;
  uint32_t end = kept + ring->size / 5;
  if (end > ring->size) end = ring->size;
  for (uint32_t i = 0; i < kept; i++) release(ring->slots[i]);
  for (uint32_t i = ring->size; i > end; i--) release(ring->slots[i - 1]);
  ring->kept = kept;
  ring->kept_end = end;
  ring->at = kept == 0 ? end : 0;
}

static inline void ring_put(struct ring *ring, void *object) {
  ring->slots[ring->at++] = object;
  if (ring->at == ring->kept) ring->at = ring->kept_end;
  if (ring->at >= ring->size) ring_wrap(ring);
}

#endif
