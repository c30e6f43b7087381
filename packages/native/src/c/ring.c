/* Rings: asynchronous I/O on files, straight to and from mapped memory. */
#include "ring.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RINGS 256

/* Rings of all threads. A thread looks at a row only when it names its own environment, so nobody else can free it. */
static struct {
  _Atomic(napi_env) env;
  ring_t *ring;
} rings[RINGS];
static pthread_mutex_t rings_lock = PTHREAD_MUTEX_INITIALIZER;

static void ignore_finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)data;
  (void)hint;
}

static ring_t *ring_of(napi_env env, napi_value value) {
  uint32_t id = RINGS;
  napi_get_value_uint32(env, value, &id);
  return id < RINGS && atomic_load_explicit(&rings[id].env, memory_order_relaxed) == env ? rings[id].ring : NULL;
}

/* ringSubmit(id, count): 0 | -errno; nothing is submitted when a slot of the queue is not free */
static napi_value ring_submit(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  ring_t *ring = ring_of(env, argv[0]);
  uint32_t count = (uint32_t)int_of(env, argv[1]);
  if (ring == NULL) return integer(env, -EBADF);
  if (count > ring->entries) return integer(env, -EINVAL);
  for (uint32_t i = 0; i < count; i++) {
    uint32_t slot = (uint32_t)ring->columns.queue[i];
    bool valid = slot < ring->entries;
    if (valid && !ring->requests[slot].busy) {
      ring->requests[slot].busy = true;
      continue;
    }
    while (i-- > 0) ring->requests[ring->columns.queue[i]].busy = false;
    return integer(env, valid ? -EBUSY : -EINVAL);
  }
  uint32_t tail = ring->fd < 0 ? 0 : atomic_load_explicit(ring->sq_tail, memory_order_relaxed);
  uint32_t queued = 0;
  for (uint32_t i = 0; i < count; i++) {
    uint32_t slot = (uint32_t)ring->columns.queue[i];
    request_load(ring, slot);
    int32_t op = ring->requests[slot].op;
    if (ring->fd < 0 || ((op == OP_DISCARD || op == OP_ZERO_OUT) && !ring->requests[slot].error)) pool_submit(ring, slot);
    else kernel_queue(ring, slot, tail + queued++);
  }
  ring->in_kernel += queued;
  if (queued > 0) kernel_submit(ring, tail + queued);
  return integer(env, 0);
}

uint32_t ring_take(ring_t *ring) {
  uint32_t count = ring->fd < 0 ? 0 : kernel_take(ring);
  return pool_take(ring, count);
}

/* ringReap(id): how many completions were written */
static napi_value ring_reap(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  ring_t *ring = ring_of(env, argv[0]);
  return integer(env, ring == NULL ? -EBADF : (int32_t)ring_take(ring));
}

/* Waits for everything in flight: afterwards nothing touches the guest. */
static void ring_stop(ring_t *ring) {
  pthread_mutex_lock(&ring->lock);
  ring->stopping = true;
  pthread_cond_broadcast(&ring->work);
  pthread_mutex_unlock(&ring->lock);
  for (uint32_t i = 0; i < ring->thread_count; i++) pthread_join(ring->threads[i], NULL);
  if (ring->fd >= 0) kernel_close(ring);
  ring->fd = -1;
  while (ring->pool_words != NULL && ring_take(ring) > 0) continue;
}

static void ring_free(ring_t *ring) {
  if (ring->event_fd >= 0) close(ring->event_fd);
  pthread_mutex_lock(&rings_lock);
  for (int i = 0; i < RINGS; i++) {
    if (rings[i].ring != ring) continue;
    rings[i].ring = NULL;
    rings[i].env = NULL;
  }
  pthread_mutex_unlock(&rings_lock);
  free(ring->requests);
  free(ring->vectors);
  free(ring->held);
  free(ring->waiting);
  free(ring->done);
  free(ring);
}

/* No JavaScript runs any more, so its views of the kernel's words need no detaching. */
static void ring_cleanup(void *argument) {
  ring_stop(argument);
  ring_free(argument);
}

/* 0 | -errno */
static int ring_allocate(ring_t *ring) {
  size_t entries = ring->entries, segments = entries * ring->max_segments;
  while (ring->pool_mask + 1 < entries) ring->pool_mask = 2 * ring->pool_mask + 1;
  ring->requests = calloc(entries, sizeof(*ring->requests));
  ring->vectors = calloc(segments, sizeof(*ring->vectors));
  ring->held = calloc(segments, sizeof(*ring->held));
  ring->waiting = calloc(ring->pool_mask + 1, sizeof(*ring->waiting));
  ring->done = calloc(ring->pool_mask + 1, sizeof(*ring->done));
  if (!ring->requests || !ring->vectors || !ring->held || !ring->waiting || !ring->done) return -ENOMEM;
  ring->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return ring->event_fd < 0 ? -errno : 0;
}

/* The order is RingColumns' in ring-columns.ts. False when the buffer is too small. */
static bool ring_columns(ring_t *ring, void *data, size_t size) {
  size_t entries = ring->entries, segments = entries * ring->max_segments;
  size_t needed = 8 * (2 * entries + 2 * segments) + 4 * (7 * entries + segments + POOL_WORDS);
  if (size < needed) return false;
  columns_t *columns = &ring->columns;
  columns->position = data;
  columns->length = columns->position + entries;
  columns->segment_offset = columns->length + entries;
  columns->segment_length = columns->segment_offset + segments;
  columns->op = (const int32_t *)(columns->segment_length + segments);
  columns->fd = columns->op + entries;
  columns->flags = columns->fd + entries;
  columns->segments = columns->flags + entries;
  columns->segment_handle = columns->segments + entries;
  columns->queue = columns->segment_handle + segments;
  columns->completions = (int32_t *)(columns->queue + entries);
  ring->pool_words = (_Atomic uint32_t *)(columns->completions + 2 * entries);
  return true;
}

static int ring_register(ring_t *ring) {
  int id = -EMFILE;
  pthread_mutex_lock(&rings_lock);
  for (int i = 0; i < RINGS && id < 0; i++) {
    if (rings[i].ring != NULL) continue;
    rings[i].ring = ring;
    rings[i].env = ring->env;
    id = i;
  }
  pthread_mutex_unlock(&rings_lock);
  return id;
}

/*
 * ringOpen(entries, maxSegments, columns: ArrayBuffer, forceThreads, out: Int32Array): ArrayBuffer | null | -errno
 * The buffer is the kernel's completion ring, null means threads only. out: id, eventFd, and the indices of the words
 * head, tail and flags in it.
 */
static napi_value ring_open(napi_env env, napi_callback_info info) {
  ARGUMENTS(5);
  int32_t entries = int_of(env, argv[0]), max_segments = int_of(env, argv[1]);
  void *data, *out;
  size_t size, out_length;
  if (entries < 1 || entries > 32768 || max_segments < 1 || max_segments > 1024) return integer(env, -EINVAL);
  if (napi_get_arraybuffer_info(env, argv[2], &data, &size) != napi_ok) return integer(env, -EINVAL);
  if (!elements_of(env, argv[4], napi_int32_array, &out, &out_length) || out_length < 5) return integer(env, -EINVAL);
  ring_t *ring = calloc(1, sizeof(*ring));
  if (ring == NULL) return integer(env, -ENOMEM);
  *ring = (ring_t){.env = env, .fd = -1, .event_fd = -1, .entries = (uint32_t)entries, .max_segments = (uint32_t)max_segments};
  pthread_mutex_init(&ring->lock, NULL);
  pthread_cond_init(&ring->work, NULL);

  int32_t *words = out;
  int error = ring_columns(ring, data, size) ? ring_allocate(ring) : -EINVAL;
  int id = error ? error : ring_register(ring);
  if (id < 0) {
    ring_free(ring);
    return integer(env, id);
  }
  words[0] = id;
  ring->cq_flags = ring->pool_words + POOL_FLAGS;
  napi_value buffer;
  napi_get_null(env, &buffer);
  if (!bool_of(env, argv[3]) && kernel_open(ring)) {
    if (napi_create_external_arraybuffer(env, ring->memory, ring->memory_size, ignore_finalize, NULL, &buffer) != napi_ok) {
      napi_get_and_clear_last_exception(env, &buffer);
      ring_cleanup(ring);
      return integer(env, -EOPNOTSUPP);
    }
    napi_create_reference(env, buffer, 1, &ring->words_ref);
    words[2] = (int32_t)((char *)ring->cq_head - (char *)ring->memory) / 4;
    words[3] = (int32_t)((char *)ring->cq_tail - (char *)ring->memory) / 4;
    words[4] = (int32_t)((char *)ring->cq_flags - (char *)ring->memory) / 4;
  }
  napi_create_reference(env, argv[2], 1, &ring->columns_ref);
  words[1] = ring->event_fd;
  napi_add_env_cleanup_hook(env, ring_cleanup, ring);
  return buffer;
}

/* ringClose(id): 0 | -EBADF */
static napi_value ring_close(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  ring_t *ring = ring_of(env, argv[0]);
  if (ring == NULL) return integer(env, -EBADF);
  napi_remove_env_cleanup_hook(env, ring_cleanup, ring);
  if (ring->words_ref != NULL) {
    napi_value buffer;
    napi_get_reference_value(env, ring->words_ref, &buffer);
    napi_detach_arraybuffer(env, buffer);
    napi_delete_reference(env, ring->words_ref);
  }
  ring_stop(ring);
  napi_delete_reference(env, ring->columns_ref);
  ring_free(ring);
  return integer(env, 0);
}


const function_t ring_functions[] = {
    {"ringOpen", ring_open},
    {"ringSubmit", ring_submit},
    {"ringReap", ring_reap},
    {"ringClose", ring_close},
    {NULL, NULL},
};
