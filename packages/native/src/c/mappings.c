/* Memory: mapped files, pinned buffers, memfds. */
#include "mapping-table.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Runs after an unmap too, and at the end of the environment for whatever was left. */
static void finalize_map(napi_env env, void *data, void *hint) {
  (void)env;
  (void)data;
  int32_t handle = (int32_t)(intptr_t)hint;
  mapping_t *m = mapping_of(handle);
  if (m == NULL) return;
  mapping_orphan(m);
}

static uint64_t page_size_of(int fd) {
  struct statfs fs;
  if (fstatfs(fd, &fs) == 0 && (uint64_t)fs.f_type == HUGETLBFS_MAGIC) return (uint64_t)fs.f_bsize;
  return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* map(fd, offset, length, writable): ArrayBuffer | -errno */
static napi_value map(napi_env env, napi_callback_info info) {
  ARGUMENTS(4);
  int fd = int_of(env, argv[0]);
  uint64_t offset, length;
  if (!size_of(env, argv[1], &offset) || !size_of(env, argv[2], &length) || length == 0) return integer(env, -EINVAL);
  sigbus_guard();

  mapping_t *m = mapping_claim();
  if (m == NULL) return integer(env, -ENOMEM);
  m->env = env;
  m->writable = bool_of(env, argv[3]);
  m->page_size = page_size_of(fd);
  void *base = mmap(NULL, length, PROT_READ | (m->writable ? PROT_WRITE : 0), MAP_SHARED, fd, (off_t)offset);
  if (base == MAP_FAILED) {
    int error = errno;
    mapping_unclaim(m);
    return integer(env, -error);
  }
  int32_t handle = mapping_publish(m, MAPPED, base, length);
  napi_value buffer;
  napi_status status = napi_create_external_arraybuffer(env, base, length, finalize_map, (void *)(intptr_t)handle, &buffer);
  if (status != napi_ok) {
    mapping_orphan(m);
    napi_value pending;
    napi_get_and_clear_last_exception(env, &pending);
    return integer(env, -EOPNOTSUPP);
  }
  /* Held until unmap: a handle alone must keep its memory, or I/O would depend on the garbage collector. */
  napi_create_reference(env, buffer, 1, &m->buffer);
  return buffer;
}

/* mapping(view over the whole buffer): handle | -ENOENT */
static napi_value mapping_handle(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  void *data;
  size_t length;
  elements_of(env, argv[0], napi_uint8_array, &data, &length);
  mapping_t *m = mapping_by_address(env, data);
  return integer(env, m == NULL ? -ENOENT : atomic_load(&m->handle));
}

/* unmap(buffer): 0 | -EBUSY | -EINVAL */
static napi_value unmap(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  void *data;
  size_t length;
  if (napi_get_arraybuffer_info(env, argv[0], &data, &length) != napi_ok) return integer(env, -EINVAL);
  bool detached = false;
  napi_is_detached_arraybuffer(env, argv[0], &detached);
  if (detached) return integer(env, 0);
  mapping_t *m = mapping_by_address(env, data);
  if (m == NULL || m->kind != MAPPED || m->env != env) return integer(env, -EINVAL);
  int32_t handle = atomic_load(&m->handle);
  if (!mapping_retire(m)) return integer(env, -EBUSY);
  if (napi_detach_arraybuffer(env, argv[0]) != napi_ok) {
    atomic_store(&m->handle, handle);
    return integer(env, -EINVAL);
  }
  napi_delete_reference(env, m->buffer);
  mapping_free(m);
  return integer(env, 0);
}

/* pin(view over the whole buffer): handle | -errno */
static napi_value pin(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  void *data;
  size_t length;
  if (!elements_of(env, argv[0], napi_uint8_array, &data, &length) || length == 0) return integer(env, -EINVAL);
  if (mapping_by_address(env, data) != NULL) return integer(env, -EEXIST);
  mapping_t *m = mapping_claim();
  if (m == NULL) return integer(env, -ENOMEM);
  m->env = env;
  m->writable = true;
  napi_create_reference(env, argv[0], 1, &m->buffer);
  return integer(env, mapping_publish(m, PINNED, data, length));
}

/* unpin(handle): 0 | -EBUSY | -EINVAL */
static napi_value unpin(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int32_t handle = int_of(env, argv[0]);
  mapping_t *m = mapping_of(handle);
  if (m == NULL || m->kind != PINNED || m->env != env) return integer(env, -EINVAL);
  if (!mapping_retire(m)) return integer(env, -EBUSY);
  napi_delete_reference(env, m->buffer);
  mapping_free(m);
  return integer(env, 0);
}

void unpin_all(void *env) {
  int32_t used = atomic_load(&mappings_used);
  for (int32_t i = 0; i < used; i++) {
    mapping_t *m = &mappings[i];
    int32_t handle = atomic_load(&m->handle);
    if (handle != 0 && m->kind == PINNED && m->env == env) mapping_orphan(m);
  }
}

/* faulted(handle): 1 | 0 | -EINVAL */
static napi_value faulted(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  mapping_t *m = mapping_of(int_of(env, argv[0]));
  return integer(env, m == NULL ? -EINVAL : (int32_t)atomic_load(&m->faulted));
}

/* lockMemory(handle) */
static napi_value lock_memory(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  mapping_t *m = mapping_get(env, int_of(env, argv[0]));
  if (m == NULL) return integer(env, -EINVAL);
  int error = mlock((void *)atomic_load(&m->base), atomic_load(&m->length)) < 0 ? errno : 0;
  mapping_put(m);
  return integer(env, -error);
}

/*
 * Asks for the first page of a source all at once: it is in no cache when a drive has not used it for a while, and the
 * hardware's own prefetch starts slowly. A 4 KiB read of a memory drive, at random: 700 ns instead of 830.
 */
static void prefetch(const char *from, uint64_t length) {
  uint64_t end = length < 4096 ? length : 4096;
  for (uint64_t at = 0; at < end; at += 64) __builtin_prefetch(from + at);
}

/* copy(targetHandle, targetOffset, sourceHandle, sourceOffset, length): 0 | -EFAULT */
static napi_value copy_memory(napi_env env, napi_callback_info info) {
  ARGUMENTS(5);
  uint64_t target_offset, source_offset, length;
  if (!size_of(env, argv[1], &target_offset) || !size_of(env, argv[3], &source_offset) || !size_of(env, argv[4], &length)) {
    return integer(env, -EFAULT);
  }
  mapping_t *target = mapping_borrow(env, int_of(env, argv[0])), *source = mapping_borrow(env, int_of(env, argv[2]));
  void *to = target == NULL || !target->writable ? NULL : mapping_address(target, target_offset, length);
  void *from = source == NULL ? NULL : mapping_address(source, source_offset, length);
  bool valid = to != NULL && from != NULL;
  if (valid) {
    prefetch(from, length);
    memmove(to, from, length);
  }
  if (target != NULL) mapping_return(env, target);
  if (source != NULL) mapping_return(env, source);
  return integer(env, valid ? 0 : -EFAULT);
}

static napi_value memfd(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  char name[200];
  uint64_t size;
  if (!path_of(env, argv[0], name, sizeof(name)) || !size_of(env, argv[1], &size)) return integer(env, -EINVAL);
  int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd >= 0 && ftruncate(fd, (off_t)size) < 0) {
    int error = errno;
    close(fd);
    return integer(env, -error);
  }
  return outcome(env, fd);
}

static napi_value seal(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  return outcome(env, fcntl(int_of(env, argv[0]), F_ADD_SEALS, int_of(env, argv[1])));
}


const function_t mapping_functions[] = {
    {"memfd", memfd},
    {"seal", seal},
    {"map", map},
    {"unmap", unmap},
    {"mapping", mapping_handle},
    {"pin", pin},
    {"unpin", unpin},
    {"faulted", faulted},
    {"lockMemory", lock_memory},
    {"copy", copy_memory},
    {NULL, NULL},
};
