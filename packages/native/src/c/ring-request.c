/* One request of a ring: its row is copied and checked, its mappings held until its completion is reported. */
#include "ring.h"
#include <errno.h>

void request_release(ring_t *ring, uint32_t slot) {
  request_t *request = &ring->requests[slot];
  mapping_t **held = ring->held + (size_t)slot * ring->max_segments;
  for (uint32_t i = 0; i < request->segments; i++) {
    if (held[i] != NULL) mapping_put(held[i]);
  }
  request->segments = 0;
  request->busy = false;
}

static int request_segments(ring_t *ring, uint32_t slot, uint32_t count) {
  request_t *request = &ring->requests[slot];
  if (count == 0 || count > ring->max_segments) return -EINVAL;
  size_t first = (size_t)slot * ring->max_segments;
  int32_t last_handle = 0;
  mapping_t *mapping = NULL;
  for (size_t i = first; i < first + count; i++) {
    uint64_t offset, length;
    int32_t handle = ring->columns.segment_handle[i];
    ring->held[i] = NULL;
    if (handle != last_handle) {
      mapping = mapping_get(ring->env, handle);
      if (mapping == NULL) return -EFAULT;
      ring->held[i] = mapping;
      last_handle = handle;
    }
    request->segments++;
    if (!double_to_size(ring->columns.segment_offset[i], &offset)) return -EFAULT;
    if (!double_to_size(ring->columns.segment_length[i], &length)) return -EFAULT;
    void *address = mapping == NULL ? NULL : mapping_address(mapping, offset, length);
    if (address == NULL) return -EFAULT;
    ring->vectors[i] = (struct iovec){address, length};
  }
  return 0;
}

void request_load(ring_t *ring, uint32_t slot) {
  request_t *request = &ring->requests[slot];
  const columns_t *columns = &ring->columns;
  *request = (request_t){.op = columns->op[slot], .fd = columns->fd[slot], .flags = columns->flags[slot], .busy = true};
  if (!double_to_size(ring->columns.position[slot], &request->position)) request->error = -EINVAL;
  if (request->op == OP_READ || request->op == OP_WRITE) {
    int error = request_segments(ring, slot, (uint32_t)ring->columns.segments[slot]);
    if (error) request->error = error;
  } else if (request->op < OP_READ || request->op > OP_ZERO_OUT) {
    request->error = -EINVAL;
  } else if (request->op != OP_FLUSH && !double_to_size(ring->columns.length[slot], &request->length)) {
    request->error = -EINVAL;
  }
}
