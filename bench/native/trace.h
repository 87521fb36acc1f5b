/*
 * A trace in the form that both sides read; src/traces.ts writes it. Words of 32 bits, the machine's byte order:
 *
 *   | magic | operations | objects | peak live bytes |  then for each operation  | kind | object | size | alignment |
 *
 * Every object is freed by the end.
 */

#ifndef TRACE_H
#define TRACE_H

#include "harness.h"

enum { TRACE_MAGIC = 0x6d736c74, TRACE_HEADER = 4, TRACE_ROW = 4, TRACE_PAGE = 4096 };
enum { TRACE_ALLOCATE, TRACE_ZEROED, TRACE_ALIGNED, TRACE_REALLOCATE, TRACE_RELEASE };

struct trace {
  uint32_t operations, objects, peak_live;
  const uint32_t *rows;
  void **addresses;
};

static inline struct trace trace_load(void) {
  char path[1024];
  const char *text = param_text("file");
  if (text == NULL) fail("parameter file is missing");
  snprintf(path, sizeof path, "%.*s", (int)strcspn(text, ","), text);
  FILE *file = fopen(path, "rb");
  if (file == NULL) fail("the trace cannot be opened");
  uint32_t header[TRACE_HEADER];
  if (fread(header, 4, TRACE_HEADER, file) != TRACE_HEADER || header[0] != TRACE_MAGIC) fail("not a trace");
  size_t words = (size_t)header[1] * TRACE_ROW;
  uint32_t *rows = grab(words * 4);
  if (fread(rows, 4, words, file) != words) fail("the trace is cut short");
  fclose(file);
  return (struct trace){header[1], header[2], header[3], rows, grab(header[2] * sizeof(void *))};
}

static inline void *trace_allocate(uint32_t kind, uint32_t size, uint32_t alignment) {
  if (kind == TRACE_ZEROED) return allocate_zeroed(size);
  return kind == TRACE_ALIGNED ? allocate_aligned(alignment, size) : allocate(size);
}

/* Replays the operations from `from` up to `to`; the first bytes of every page of an object are written. */
static inline void trace_replay(const struct trace *trace, uint32_t from, uint32_t to) {
  for (uint32_t i = from; i < to; i++) {
    const uint32_t *row = trace->rows + (size_t)i * TRACE_ROW;
    uint32_t kind = row[0], size = row[2];
    void **place = &trace->addresses[row[1]];
    if (kind == TRACE_RELEASE) {
      release(*place);
      continue;
    }
    char *object = kind == TRACE_REALLOCATE ? reallocate(*place, size) : trace_allocate(kind, size, row[3]);
    if (object == NULL && size > 0) fail("out of memory");
    for (uint32_t at = 0; at < size; at += TRACE_PAGE) object[at] = (char)i;
    *place = object;
  }
}

#endif
