/*
 * Memory that a system call may touch is named by a handle, never by a pointer: this table is the one place where
 * (handle, offset, length) becomes an address, after a bounds check.
 */
#ifndef SIDECARD_MAPPING_TABLE_H
#define SIDECARD_MAPPING_TABLE_H

#include <stdatomic.h>
#include "native.h"

#define MAPPING_BITS 14
#define MAPPINGS (1 << MAPPING_BITS)

enum mapping_kind { MAPPED, PINNED };

/*
 * Shared by all threads. The SIGBUS handler and I/O read it without a lock, `mapping_lock` serialises changes.
 * A handle is generation << 14 | index, so a stale one is refused instead of naming the memory that came after.
 */
typedef struct {
  _Atomic int32_t handle; /* 0: free */
  _Atomic uintptr_t base;
  _Atomic uint64_t length;
  _Atomic uint32_t faulted;
  _Atomic int32_t in_flight; /* requests and calls under way that refer to it */
  _Atomic bool guarded;
  _Atomic bool orphaned; /* its ArrayBuffer is gone, the last request in flight unmaps it */
  bool writable;
  bool claimed;
  enum mapping_kind kind;
  int32_t generation;
  uint64_t page_size;
  napi_env env;
  napi_ref buffer;
} mapping_t;

extern mapping_t mappings[MAPPINGS];
extern _Atomic int32_t mappings_used; /* one past the highest index ever used */

/* NULL when the table is full. Nobody else sees the row before mapping_publish. */
mapping_t *mapping_claim(void);
/* A claimed row that was never published. */
void mapping_unclaim(mapping_t *m);
/* Answers the handle. */
int32_t mapping_publish(mapping_t *m, enum mapping_kind kind, void *base, uint64_t length);
/* Makes the handle invalid. False when something in flight still refers to it. */
bool mapping_retire(mapping_t *m);
/* Makes the handle invalid; whatever is last in flight frees the row. */
void mapping_orphan(mapping_t *m);
/* Unmaps, and gives the row back; the caller has already made the handle invalid. */
void mapping_free(mapping_t *m);

/* To look at the row: its memory may be unmapped by another thread at any time. */
mapping_t *mapping_of(int32_t handle);
mapping_t *mapping_by_address(napi_env env, const void *base);
/* To use the memory: it stays until mapping_put. */
mapping_t *mapping_get(napi_env env, int32_t handle);
void mapping_put(mapping_t *m);
/* To use the memory in a call that ends before JavaScript runs again; without the cost of atomics where it is this thread's. */
mapping_t *mapping_borrow(napi_env env, int32_t handle);
void mapping_return(napi_env env, mapping_t *m);
/* NULL: out of bounds. */
void *mapping_address(mapping_t *m, uint64_t offset, uint64_t length);

/* Pinned memory belongs to an environment that ends: whoever still holds the handle gets EFAULT. */
void unpin_all(void *env);

/* Faults of all guarded mappings so far; JavaScript looks at it with a plain load. */
extern _Atomic uint32_t fault_count;
/* Before the first mapping. */
void sigbus_guard(void);

#endif
