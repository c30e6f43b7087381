/* A ring and its parts: requests, the pool of threads, io_uring. */
#ifndef SIDECARD_RING_H
#define SIDECARD_RING_H

#include <pthread.h>
#include <sys/uio.h>
#include "mapping-table.h"

#define POOL_THREADS 8

/* As RequestOp in constants.ts. */
enum { OP_READ = 1, OP_WRITE = 2, OP_FLUSH = 3, OP_FALLOCATE = 4, OP_DISCARD = 5, OP_ZERO_OUT = 6 };

/* A private copy, so that what was checked is what runs. */
typedef struct {
  int32_t op, fd, flags;
  uint32_t segments;
  uint64_t position, length;
  int32_t error; /* found at submission: the completion that it will get */
  bool busy;
} request_t;

typedef struct {
  int32_t slot, result;
} completion_t;

/* Words of the pool's completion queue, in memory of JavaScript's so that it polls them with plain loads. */
enum { POOL_HEAD, POOL_TAIL, POOL_FLAGS, POOL_WORDS };

/* Arrays in memory of JavaScript's, in the order of RingColumns (ring-columns.ts). */
typedef struct {
  const double *position, *length, *segment_offset, *segment_length;
  const int32_t *op, *fd, *flags, *segments, *segment_handle, *queue;
  int32_t *completions;
} columns_t;

typedef struct {
  napi_env env;
  napi_ref columns_ref, words_ref;
  int event_fd;
  uint32_t entries, max_segments;
  uint32_t in_kernel; /* requests that will come out of the kernel's completion queue */

  columns_t columns;
  _Atomic uint32_t *pool_words;

  request_t *requests;
  struct iovec *vectors;
  mapping_t **held; /* per segment: the mapping to give back, or NULL when the one before has it */

  int fd; /* -1: threads only */
  void *memory;
  size_t memory_size;
  struct io_uring_sqe *sqes;
  size_t sqes_size;
  _Atomic uint32_t *sq_head, *sq_tail, *cq_head, *cq_tail, *cq_flags;
  uint32_t sq_mask, cq_mask;
  struct io_uring_cqe *cqes;

  pthread_mutex_t lock;
  pthread_cond_t work;
  pthread_t threads[POOL_THREADS];
  uint32_t thread_count, idle, waiting_head, waiting_tail;
  uint32_t pool_mask; /* of the two rings below: a power of two less 1, so that nothing jumps when the counters wrap */
  int32_t *waiting;   /* slots, a ring */
  completion_t *done; /* a ring: a slot is in it once at most, so it never overflows */
  bool stopping;
} ring_t;

/* Copies the columns of a slot and checks them; what is wrong becomes its completion. */
void request_load(ring_t *ring, uint32_t slot);
/* The slot is free again. */
void request_release(ring_t *ring, uint32_t slot);

void pool_submit(ring_t *ring, uint32_t slot);
/* Adds the threads' completions after the first `count`; answers how many there are then. */
uint32_t pool_take(ring_t *ring, uint32_t count);

/* False where io_uring is missing or forbidden. */
bool kernel_open(ring_t *ring);
void kernel_queue(ring_t *ring, uint32_t slot, uint32_t tail);
/* What the kernel does not take (no memory, no room) the threads do. */
void kernel_submit(ring_t *ring, uint32_t tail);
/* Writes completions from the start; answers how many. */
uint32_t kernel_take(ring_t *ring);
/* Waits until the kernel has nothing in flight. */
void kernel_close(ring_t *ring);

/* Completions, written as [slot, result] pairs; answers how many. */
uint32_t ring_take(ring_t *ring);

#endif
