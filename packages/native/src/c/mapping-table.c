/*
 * The table of mappings: handles of memory that system calls and requests in flight may touch. It is the one place where
 * (handle, offset, length) becomes an address, after a bounds check.
 */
#include "mapping-table.h"
#include <pthread.h>
#include <sys/mman.h>

mapping_t mappings[MAPPINGS];
_Atomic int32_t mappings_used;
static pthread_mutex_t mapping_lock = PTHREAD_MUTEX_INITIALIZER;

mapping_t *mapping_claim(void) {
  mapping_t *claimed = NULL;
  pthread_mutex_lock(&mapping_lock);
  for (int32_t i = 0; i < MAPPINGS; i++) {
    if (mappings[i].claimed) continue;
    claimed = &mappings[i];
    claimed->claimed = true;
    if (i >= atomic_load(&mappings_used)) atomic_store(&mappings_used, i + 1);
    break;
  }
  pthread_mutex_unlock(&mapping_lock);
  return claimed;
}

void mapping_unclaim(mapping_t *m) {
  pthread_mutex_lock(&mapping_lock);
  m->claimed = false;
  pthread_mutex_unlock(&mapping_lock);
}

int32_t mapping_publish(mapping_t *m, enum mapping_kind kind, void *base, uint64_t length) {
  m->kind = kind;
  m->generation = m->generation % 0xffff + 1;
  atomic_store(&m->faulted, 0);
  atomic_store(&m->orphaned, false);
  atomic_store(&m->base, (uintptr_t)base);
  atomic_store(&m->length, length);
  atomic_store(&m->guarded, kind == MAPPED);
  int32_t handle = m->generation << MAPPING_BITS | (int32_t)(m - mappings);
  atomic_store(&m->handle, handle);
  return handle;
}

void mapping_free(mapping_t *m) {
  void *base = (void *)atomic_load(&m->base);
  uint64_t length = atomic_load(&m->length);
  /* The guard and the range go first: whatever is mapped there next is not this row's to patch. */
  atomic_store(&m->guarded, false);
  atomic_store(&m->base, 0);
  atomic_store(&m->length, 0);
  /* Whole pages: munmap refuses a part of a huge one. */
  if (m->kind == MAPPED) munmap(base, (length + m->page_size - 1) / m->page_size * m->page_size);
  mapping_unclaim(m);
}

mapping_t *mapping_of(int32_t handle) {
  if (handle <= 0) return NULL;
  mapping_t *m = &mappings[handle & (MAPPINGS - 1)];
  return atomic_load_explicit(&m->handle, memory_order_acquire) == handle ? m : NULL;
}

void *mapping_address(mapping_t *m, uint64_t offset, uint64_t length) {
  uint64_t size = atomic_load_explicit(&m->length, memory_order_relaxed);
  if (offset > size || length > size - offset) return NULL;
  return (void *)(atomic_load_explicit(&m->base, memory_order_relaxed) + offset);
}

void mapping_put(mapping_t *m) {
  if (atomic_fetch_sub(&m->in_flight, 1) == 1 && atomic_exchange(&m->orphaned, false)) mapping_free(m);
}

/* Pinned memory ends with its environment, whatever another thread has in flight: so no other may have any. */
static bool usable_in(mapping_t *m, napi_env env) { return m->kind == MAPPED || m->env == env; }

/* Takes the row before it looks what is there: from then on it cannot be retired. */
mapping_t *mapping_get(napi_env env, int32_t handle) {
  if (handle <= 0) return NULL;
  mapping_t *m = &mappings[handle & (MAPPINGS - 1)];
  bool open = atomic_fetch_add(&m->in_flight, 1) >= 0;
  if (open && atomic_load(&m->handle) == handle && usable_in(m, env)) return m;
  mapping_put(m);
  return NULL;
}

/* Only the environment that made a mapping ends it: while that one is in a call, it stays. */
mapping_t *mapping_borrow(napi_env env, int32_t handle) {
  mapping_t *m = mapping_of(handle);
  return m != NULL && m->env == env ? m : mapping_get(env, handle);
}

void mapping_return(napi_env env, mapping_t *m) {
  if (m->env != env) mapping_put(m);
}

/* Far below zero, so that a thread that comes meanwhile does not find the row open. */
#define RETIRING (INT32_MIN / 2)

bool mapping_retire(mapping_t *m) {
  int32_t none = 0;
  if (!atomic_compare_exchange_strong(&m->in_flight, &none, RETIRING)) return false;
  atomic_store(&m->handle, 0);
  atomic_fetch_sub(&m->in_flight, RETIRING);
  return true;
}

void mapping_orphan(mapping_t *m) {
  atomic_store(&m->handle, 0);
  atomic_store(&m->orphaned, true);
  if (atomic_load(&m->in_flight) == 0 && atomic_exchange(&m->orphaned, false)) mapping_free(m);
}

mapping_t *mapping_by_address(napi_env env, const void *base) {
  int32_t used = atomic_load(&mappings_used);
  for (int32_t i = 0; i < used && base != NULL; i++) {
    mapping_t *m = &mappings[i];
    if (atomic_load(&m->handle) != 0 && atomic_load(&m->base) == (uintptr_t)base && usable_in(m, env)) return m;
  }
  return NULL;
}
