/*
 * SQLite as a client: a database in memory, statements in, rows out as text on standard output. SQLite gets its memory
 * through SQLITE_CONFIG_MALLOC, from whichever malloc this module is linked with.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sqlite3.h"

#define EXPORT(name) __attribute__((export_name(name)))

static void *memMalloc(int n) { return malloc(n); }
static void memFree(void *p) { free(p); }
static void *memRealloc(void *p, int n) { return realloc(p, n); }
static int memSize(void *p) { return p ? (int)malloc_usable_size(p) : 0; }
static int memRoundup(int n) { return (n + 7) & ~7; }
static int memInit(void *data) { return SQLITE_OK; }
static void memShutdown(void *data) {}

/* A file system without files: what a database in memory asks of one. */
static int vfsOpen(sqlite3_vfs *v, sqlite3_filename n, sqlite3_file *f, int flags, int *out) {
  f->pMethods = NULL;
  return SQLITE_CANTOPEN;
}
static int vfsDelete(sqlite3_vfs *v, const char *name, int sync) { return SQLITE_OK; }
static int vfsAccess(sqlite3_vfs *v, const char *name, int flags, int *out) {
  *out = 0;
  return SQLITE_OK;
}
static int vfsFullPathname(sqlite3_vfs *v, const char *name, int n, char *out) {
  sqlite3_snprintf(n, out, "%s", name);
  return SQLITE_OK;
}
static int vfsRandomness(sqlite3_vfs *v, int n, char *out) {
  for (int i = 0; i < n; i++) out[i] = (char)(i * 37 + 11); /* every run the same */
  return n;
}
static int vfsSleep(sqlite3_vfs *v, int microseconds) { return 0; }
static int vfsCurrentTime(sqlite3_vfs *v, double *out) {
  *out = 2451545.0;
  return SQLITE_OK;
}
static int vfsGetLastError(sqlite3_vfs *v, int n, char *out) { return 0; }
static sqlite3_vfs vfs = {1, sizeof(sqlite3_file), 256, NULL, "none", NULL, vfsOpen, vfsDelete, vfsAccess,
                          vfsFullPathname, NULL, NULL, NULL, NULL, vfsRandomness, vfsSleep, vfsCurrentTime,
                          vfsGetLastError};
int sqlite3_os_init(void) { return sqlite3_vfs_register(&vfs, 1); }
int sqlite3_os_end(void) { return SQLITE_OK; }

static sqlite3 *db;

static int printRow(void *unused, int columns, char **values, char **names) {
  for (int i = 0; i < columns; i++) printf("%s%s", i ? "|" : "", values[i] ? values[i] : "NULL");
  putchar('\n');
  return 0;
}

EXPORT("buffer") void *buffer(int bytes) { return malloc(bytes); }
EXPORT("release") void release(void *p) { free(p); }

EXPORT("openDatabase") int openDatabase(void) {
  static const sqlite3_mem_methods methods = {memMalloc,  memFree,     memRealloc, memSize,
                                              memRoundup, memInit, memShutdown, NULL};
  if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK) return -1;
  return sqlite3_open(":memory:", &db);
}

EXPORT("execute") int execute(const char *sql) {
  char *message = NULL;
  int status = sqlite3_exec(db, sql, printRow, NULL, &message);
  if (message) printf("error: %s\n", message);
  sqlite3_free(message);
  fflush(stdout);
  return status;
}

EXPORT("closeDatabase") int closeDatabase(void) {
  int status = sqlite3_close(db);
  return status == SQLITE_OK ? sqlite3_shutdown() : status;
}
