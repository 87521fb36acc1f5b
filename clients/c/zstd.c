/* zstd as a client: compresses a buffer, decompresses it again, compares. */
#include <stdlib.h>
#include <string.h>
#include "zstd.h"

#define EXPORT(name) __attribute__((export_name(name)))

EXPORT("buffer") void *buffer(int bytes) { return malloc(bytes); }
EXPORT("release") void release(void *p) { free(p); }

/* Compresses at `level` in pieces, so that the library's streaming buffers are used; the compressed size, or negative. */
EXPORT("roundTrip") int roundTrip(const char *source, size_t bytes, int level) {
  size_t bound = ZSTD_compressBound(bytes);
  char *compressed = malloc(bound);
  char *back = malloc(bytes + 1);
  ZSTD_CCtx *c = ZSTD_createCCtx();
  ZSTD_DCtx *d = ZSTD_createDCtx();
  int result = -1;
  if (compressed && back && c && d) {
    ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
    ZSTD_outBuffer out = {compressed, bound, 0};
    size_t left = 1;
    for (size_t at = 0; left != 0;) {
      size_t piece = bytes - at < 100000 ? bytes - at : 100000;
      ZSTD_inBuffer in = {source + at, piece, 0};
      ZSTD_EndDirective end = at + piece == bytes ? ZSTD_e_end : ZSTD_e_continue;
      left = ZSTD_compressStream2(c, &out, &in, end);
      if (ZSTD_isError(left)) break;
      at += in.pos;
      if (end == ZSTD_e_continue) left = 1;
    }
    if (left == 0) {
      ZSTD_outBuffer plain = {back, bytes + 1, 0};
      ZSTD_inBuffer in = {compressed, out.pos, 0};
      size_t status = 1;
      while (in.pos < in.size && !ZSTD_isError(status)) status = ZSTD_decompressStream(d, &plain, &in);
      result = status == 0 && plain.pos == bytes && memcmp(source, back, bytes) == 0 ? (int)out.pos : -2;
    }
  }
  ZSTD_freeCCtx(c);
  ZSTD_freeDCtx(d);
  free(compressed);
  free(back);
  return result;
}
