/* io_uring by its system calls. */
#include "ring.h"
#include <errno.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void kernel_queue(ring_t *ring, uint32_t slot, uint32_t tail) {
  request_t *request = &ring->requests[slot];
  const struct iovec *vector = ring->vectors + (size_t)slot * ring->max_segments;
  struct io_uring_sqe *sqe = &ring->sqes[tail & ring->sq_mask];
  memset(sqe, 0, sizeof(*sqe));
  sqe->user_data = slot | (uint64_t)(uint32_t)-request->error << 32;
  sqe->opcode = IORING_OP_NOP;
  if (request->error) return;
  sqe->fd = request->fd;
  sqe->off = request->position;
  if (request->op == OP_READ || request->op == OP_WRITE) {
    bool single = request->segments == 1 && vector->iov_len <= 0x7ffff000;
    bool reading = request->op == OP_READ;
    if (single) sqe->opcode = reading ? IORING_OP_READ : IORING_OP_WRITE;
    else sqe->opcode = reading ? IORING_OP_READV : IORING_OP_WRITEV;
    sqe->addr = (uint64_t)(uintptr_t)(single ? vector->iov_base : vector);
    sqe->len = single ? (uint32_t)vector->iov_len : request->segments;
    sqe->rw_flags = request->flags;
  } else if (request->op == OP_FLUSH) {
    sqe->opcode = IORING_OP_FSYNC;
    sqe->off = 0;
    sqe->fsync_flags = IORING_FSYNC_DATASYNC;
  } else {
    sqe->opcode = IORING_OP_FALLOCATE;
    sqe->addr = request->length;
    sqe->len = (uint32_t)request->flags;
  }
}

static int ring_enter(ring_t *ring, uint32_t submit, uint32_t wait) {
  unsigned flags = wait ? IORING_ENTER_GETEVENTS : 0;
  return (int)syscall(__NR_io_uring_enter, ring->fd, submit, wait, flags, NULL, 0);
}

void kernel_submit(ring_t *ring, uint32_t tail) {
  uint32_t head;
  atomic_store_explicit(ring->sq_tail, tail, memory_order_release);
  while ((head = atomic_load(ring->sq_head)) != tail) {
    int taken = ring_enter(ring, tail - head, 0);
    if (taken > 0 || (taken < 0 && errno == EINTR)) continue;
    if (atomic_load(ring->sq_head) != head) continue;
    atomic_store(ring->sq_tail, head);
    for (; head != tail; head++) {
      ring->in_kernel--;
      pool_submit(ring, (uint32_t)ring->sqes[head & ring->sq_mask].user_data);
    }
    return;
  }
}

uint32_t kernel_take(ring_t *ring) {
  uint32_t count = 0;
  int32_t *out = ring->columns.completions;
  uint32_t head = atomic_load_explicit(ring->cq_head, memory_order_relaxed);
  uint32_t tail = atomic_load_explicit(ring->cq_tail, memory_order_acquire);
  for (; head != tail && count < ring->entries; head++, count++) {
    const struct io_uring_cqe *cqe = &ring->cqes[head & ring->cq_mask];
    uint32_t slot = (uint32_t)cqe->user_data, error = (uint32_t)(cqe->user_data >> 32);
    out[2 * count] = (int32_t)slot;
    out[2 * count + 1] = error ? -(int32_t)error : cqe->res;
    request_release(ring, slot);
    ring->in_kernel--;
  }
  atomic_store_explicit(ring->cq_head, head, memory_order_release);
  return count;
}

static bool kernel_has_opcodes(int fd) {
  static const int needed[] = {IORING_OP_NOP, IORING_OP_READ, IORING_OP_WRITE, IORING_OP_READV,
                               IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE};
  size_t size = sizeof(struct io_uring_probe) + 256 * sizeof(struct io_uring_probe_op);
  struct io_uring_probe *probe = calloc(1, size);
  bool all = probe != NULL && syscall(__NR_io_uring_register, fd, IORING_REGISTER_PROBE, probe, 256) == 0;
  for (size_t i = 0; all && i < sizeof(needed) / sizeof(needed[0]); i++) {
    all = needed[i] <= probe->last_op && (probe->ops[needed[i]].flags & IO_URING_OP_SUPPORTED);
  }
  free(probe);
  return all;
}

bool kernel_open(ring_t *ring) {
  struct io_uring_params params = {0};
  int fd = (int)syscall(__NR_io_uring_setup, ring->entries, &params);
  if (fd < 0) return false;
  size_t sq_size = params.sq_off.array + params.sq_entries * sizeof(uint32_t);
  size_t cq_size = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
  ring->memory_size = sq_size > cq_size ? sq_size : cq_size;
  ring->sqes_size = params.sq_entries * sizeof(struct io_uring_sqe);
  bool usable = (params.features & IORING_FEAT_SINGLE_MMAP) && (params.features & IORING_FEAT_NODROP) && kernel_has_opcodes(fd);
  if (!usable || syscall(__NR_io_uring_register, fd, IORING_REGISTER_EVENTFD, &ring->event_fd, 1) < 0) {
    close(fd);
    return false;
  }
  const int protection = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_POPULATE;
  ring->memory = mmap(NULL, ring->memory_size, protection, flags, fd, IORING_OFF_SQ_RING);
  ring->sqes = mmap(NULL, ring->sqes_size, protection, flags, fd, IORING_OFF_SQES);
  if (ring->memory == MAP_FAILED || ring->sqes == MAP_FAILED) {
    if (ring->memory != MAP_FAILED) munmap(ring->memory, ring->memory_size);
    if (ring->sqes != MAP_FAILED) munmap(ring->sqes, ring->sqes_size);
    close(fd);
    return false;
  }
  char *base = ring->memory;
  ring->sq_head = (void *)(base + params.sq_off.head);
  ring->sq_tail = (void *)(base + params.sq_off.tail);
  ring->sq_mask = *(uint32_t *)(base + params.sq_off.ring_mask);
  ring->cq_head = (void *)(base + params.cq_off.head);
  ring->cq_tail = (void *)(base + params.cq_off.tail);
  ring->cq_flags = (void *)(base + params.cq_off.flags);
  ring->cq_mask = *(uint32_t *)(base + params.cq_off.ring_mask);
  ring->cqes = (void *)(base + params.cq_off.cqes);
  uint32_t *array = (void *)(base + params.sq_off.array);
  for (uint32_t i = 0; i < params.sq_entries; i++) array[i] = i;
  ring->fd = fd;
  return true;
}

void kernel_close(ring_t *ring) {
  while (ring->in_kernel > 0) {
    if (ring_take(ring) == 0 && ring_enter(ring, 0, 1) < 0 && errno != EINTR) break;
  }
  close(ring->fd);
  munmap(ring->memory, ring->memory_size);
  munmap(ring->sqes, ring->sqes_size);
}
