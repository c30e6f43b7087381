/* The threads of a ring: for what io_uring cannot do, or for everything where there is none. */
#include "ring.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

static int64_t request_run(ring_t *ring, uint32_t slot) {
  request_t *request = &ring->requests[slot];
  const struct iovec *vector = ring->vectors + (size_t)slot * ring->max_segments;
  uint64_t range[2] = {request->position, request->length};
  off_t position = (off_t)request->position;
  if (request->error) return request->error;
  for (;;) {
    int64_t result = -1;
    switch (request->op) {
      case OP_READ: result = preadv2(request->fd, vector, (int)request->segments, position, request->flags); break;
      case OP_WRITE: result = pwritev2(request->fd, vector, (int)request->segments, position, request->flags); break;
      case OP_FLUSH: result = fdatasync(request->fd); break;
      case OP_FALLOCATE: result = fallocate(request->fd, request->flags, position, (off_t)request->length); break;
      case OP_DISCARD: result = ioctl(request->fd, BLKDISCARD, range); break;
      case OP_ZERO_OUT: result = ioctl(request->fd, BLKZEROOUT, range); break;
      default: errno = EINVAL;
    }
    if (result >= 0) return result;
    if (errno != EINTR) return -errno;
  }
}

static void ring_notify(ring_t *ring) {
  uint64_t one = 1;
  atomic_thread_fence(memory_order_seq_cst);
  if (atomic_load(ring->cq_flags) & IORING_CQ_EVENTFD_DISABLED) return;
  ssize_t ignored = write(ring->event_fd, &one, sizeof(one));
  (void)ignored;
}

/* With the lock held. */
static void pool_complete(ring_t *ring, uint32_t slot, int64_t result) {
  uint32_t tail = atomic_load(&ring->pool_words[POOL_TAIL]);
  ring->done[tail & ring->pool_mask] = (completion_t){(int32_t)slot, (int32_t)result};
  atomic_store(&ring->pool_words[POOL_TAIL], tail + 1);
}

static void *pool_thread(void *argument) {
  ring_t *ring = argument;
  pthread_mutex_lock(&ring->lock);
  for (;;) {
    while (ring->waiting_head == ring->waiting_tail && !ring->stopping) {
      ring->idle++;
      pthread_cond_wait(&ring->work, &ring->lock);
      ring->idle--;
    }
    if (ring->waiting_head == ring->waiting_tail) break;
    uint32_t slot = (uint32_t)ring->waiting[ring->waiting_head++ & ring->pool_mask];
    pthread_mutex_unlock(&ring->lock);
    int64_t result = request_run(ring, slot);
    pthread_mutex_lock(&ring->lock);
    pool_complete(ring, slot, result);
    pthread_mutex_unlock(&ring->lock);
    ring_notify(ring);
    pthread_mutex_lock(&ring->lock);
  }
  pthread_mutex_unlock(&ring->lock);
  return NULL;
}

/* With the lock held. Signals of the process stay with Node's own threads. */
static bool pool_grow(ring_t *ring) {
  sigset_t all, before;
  sigfillset(&all);
  sigdelset(&all, SIGBUS);
  sigdelset(&all, SIGSEGV);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bool grown = pthread_create(&ring->threads[ring->thread_count], NULL, pool_thread, ring) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (grown) ring->thread_count++;
  return grown;
}

void pool_submit(ring_t *ring, uint32_t slot) {
  bool failed = false;
  pthread_mutex_lock(&ring->lock);
  uint32_t backlog = ring->waiting_tail - ring->waiting_head + 1;
  if (backlog > ring->idle && ring->thread_count < POOL_THREADS) pool_grow(ring);
  if (ring->requests[slot].error || ring->thread_count == 0) {
    failed = true;
    pool_complete(ring, slot, ring->requests[slot].error ? ring->requests[slot].error : -EAGAIN);
  } else {
    ring->waiting[ring->waiting_tail++ & ring->pool_mask] = (int32_t)slot;
    pthread_cond_signal(&ring->work);
  }
  pthread_mutex_unlock(&ring->lock);
  if (failed) ring_notify(ring);
}

uint32_t pool_take(ring_t *ring, uint32_t count) {
  int32_t *out = ring->columns.completions;
  uint32_t head = atomic_load(&ring->pool_words[POOL_HEAD]);
  uint32_t tail = atomic_load(&ring->pool_words[POOL_TAIL]);
  for (; head != tail && count < ring->entries; head++, count++) {
    completion_t *done = &ring->done[head & ring->pool_mask];
    out[2 * count] = done->slot;
    out[2 * count + 1] = done->result;
    request_release(ring, (uint32_t)done->slot);
  }
  atomic_store(&ring->pool_words[POOL_HEAD], head);
  return count;
}
