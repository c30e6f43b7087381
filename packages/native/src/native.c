/*
 * Sidecard's only native code: functions on file descriptors, no policy.
 *
 * Every function takes and returns plain numbers (a result, or a negative errno), so that a hot call makes no object and
 * throws nothing; binding.ts gives them their types, and kernel.ts turns the errors of cold calls into exceptions.
 *
 * Memory that a system call may touch is named by a handle, never by a pointer: the table of mappings below is the one
 * place where (handle, offset, length) becomes an address, after a bounds check.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <linux/magic.h>
#include <node_api.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

/* ------------------------------------------------------------------------------------------ arguments and results */

#define ARGUMENTS(count)           \
  napi_value argv[count];          \
  size_t argc = (count);           \
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL)

static napi_value integer(napi_env env, int32_t value) {
  napi_value result;
  napi_create_int32(env, value, &result);
  return result;
}

static napi_value number(napi_env env, double value) {
  napi_value result;
  napi_create_double(env, value, &result);
  return result;
}

/* What a system call returned: itself, or the negative errno. */
static napi_value outcome(napi_env env, int64_t result) {
  if (result < 0) return integer(env, -errno);
  return result <= INT32_MAX ? integer(env, (int32_t)result) : number(env, (double)result);
}

/* -1 for anything that is not a number: as an fd it gives EBADF. */
static int32_t int_of(napi_env env, napi_value value) {
  int32_t result = -1;
  napi_get_value_int32(env, value, &result);
  return result;
}

/* A non-negative integer that a double holds exactly. */
static bool double_to_size(double value, uint64_t *size) {
  if (!(value >= 0 && value <= 9007199254740991.0)) return false;
  *size = (uint64_t)value;
  return (double)*size == value;
}

static bool size_of(napi_env env, napi_value value, uint64_t *size) {
  double d;
  return napi_get_value_double(env, value, &d) == napi_ok && double_to_size(d, size);
}

static bool bool_of(napi_env env, napi_value value) {
  bool result = false;
  napi_get_value_bool(env, value, &result);
  return result;
}

static bool path_of(napi_env env, napi_value value, char *path, size_t room) {
  size_t length;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok || length >= room) return false;
  napi_get_value_string_utf8(env, value, path, room, &length);
  return strlen(path) == length;
}

/* Elements of a typed array; false (and no elements) for null. */
static bool elements_of(napi_env env, napi_value value, void **data, size_t *length) {
  *data = NULL;
  *length = 0;
  return napi_get_typedarray_info(env, value, NULL, length, data, NULL, NULL) == napi_ok;
}

/* --------------------------------------------------------------------------------------------- the table of mappings */

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
  _Atomic int32_t in_flight; /* requests of rings that refer to it */
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

static mapping_t mappings[MAPPINGS];
static _Atomic int32_t mappings_used; /* one past the highest index ever used */
static pthread_mutex_t mapping_lock = PTHREAD_MUTEX_INITIALIZER;

/* Faults of all guarded mappings so far; JavaScript looks at it with a plain load. */
static _Atomic uint32_t fault_count;

static struct sigaction sigbus_before;

static bool replace_with_anonymous(mapping_t *m, uintptr_t address, uint64_t length) {
  int protection = PROT_READ | (m->writable ? PROT_WRITE : 0);
  void *page = mmap((void *)address, length, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
  return page != MAP_FAILED;
}

static void on_sigbus(int signal_number, siginfo_t *info, void *context) {
  (void)context;
  int saved_errno = errno;
  uintptr_t address = (uintptr_t)info->si_addr;
  int32_t used = atomic_load(&mappings_used);
  if (info->si_code == BUS_ADRERR) {
    for (int32_t i = 0; i < used; i++) {
      mapping_t *m = &mappings[i];
      uintptr_t base = atomic_load(&m->base);
      uint64_t length = atomic_load(&m->length);
      if (!atomic_load(&m->guarded) || address < base || address - base >= length) continue;
      uintptr_t page = base + (address - base) / m->page_size * m->page_size;
      /* Page by page may run out of the process's mappings; the whole range then costs one. */
      if (!replace_with_anonymous(m, page, m->page_size) && !replace_with_anonymous(m, base, length)) break;
      atomic_store(&m->faulted, 1);
      atomic_fetch_add(&fault_count, 1);
      errno = saved_errno;
      return;
    }
  }
  /* Not ours. A fault happens again when we return; a signal that was sent has to be sent again. */
  sigaction(signal_number, &sigbus_before, NULL);
  if (info->si_code <= 0) raise(signal_number);
  errno = saved_errno;
}

static void guard_sigbus(void) {
  struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, &sigbus_before);
}

static pthread_once_t sigbus_once = PTHREAD_ONCE_INIT;

/* NULL when the table is full. Nobody else sees the row before mapping_publish. */
static mapping_t *mapping_claim(void) {
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

static int32_t mapping_publish(mapping_t *m, enum mapping_kind kind, void *base, uint64_t length) {
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

/* Gives the row back; the caller has already made the handle invalid. */
static void mapping_free(mapping_t *m) {
  void *base = (void *)atomic_load(&m->base);
  uint64_t length = atomic_load(&m->length);
  /* The guard goes first: whatever is mapped there next is not ours to patch. */
  atomic_store(&m->guarded, false);
  if (m->kind == MAPPED) munmap(base, length);
  atomic_store(&m->base, 0);
  atomic_store(&m->length, 0);
  pthread_mutex_lock(&mapping_lock);
  m->claimed = false;
  pthread_mutex_unlock(&mapping_lock);
}

static mapping_t *mapping_of(int32_t handle) {
  if (handle <= 0) return NULL;
  mapping_t *m = &mappings[handle & (MAPPINGS - 1)];
  return atomic_load_explicit(&m->handle, memory_order_acquire) == handle ? m : NULL;
}

/* The one place where JavaScript's numbers become an address. NULL: out of bounds or no such mapping. */
static void *mapping_address(mapping_t *m, uint64_t offset, uint64_t length) {
  uint64_t size = atomic_load_explicit(&m->length, memory_order_relaxed);
  if (offset > size || length > size - offset) return NULL;
  return (void *)(atomic_load_explicit(&m->base, memory_order_relaxed) + offset);
}

static void mapping_put(mapping_t *m) {
  if (atomic_fetch_sub(&m->in_flight, 1) == 1 && atomic_exchange(&m->orphaned, false)) mapping_free(m);
}

/* A request takes the mapping before it looks whether it is still there, unmap does it the other way round. */
static mapping_t *mapping_get(int32_t handle) {
  if (handle <= 0) return NULL;
  mapping_t *m = &mappings[handle & (MAPPINGS - 1)];
  atomic_fetch_add(&m->in_flight, 1);
  if (atomic_load(&m->handle) == handle) return m;
  mapping_put(m);
  return NULL;
}

/* False when requests in flight still refer to it. */
static bool mapping_retire(mapping_t *m, int32_t handle) {
  atomic_store(&m->handle, 0);
  if (atomic_load(&m->in_flight) == 0) return true;
  atomic_store(&m->handle, handle);
  return false;
}

/* Runs after an unmap too, and at the end of the environment for whatever was left. */
static void finalize_map(napi_env env, void *data, void *hint) {
  (void)env;
  (void)data;
  int32_t handle = (int32_t)(intptr_t)hint;
  mapping_t *m = mapping_of(handle);
  if (m == NULL) return;
  atomic_store(&m->handle, 0);
  atomic_store(&m->orphaned, true);
  if (atomic_load(&m->in_flight) == 0 && atomic_exchange(&m->orphaned, false)) mapping_free(m);
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
  pthread_once(&sigbus_once, guard_sigbus);

  mapping_t *m = mapping_claim();
  if (m == NULL) return integer(env, -ENOMEM);
  m->writable = bool_of(env, argv[3]);
  m->page_size = page_size_of(fd);
  void *base = mmap(NULL, length, PROT_READ | (m->writable ? PROT_WRITE : 0), MAP_SHARED, fd, (off_t)offset);
  if (base == MAP_FAILED) {
    int error = errno;
    pthread_mutex_lock(&mapping_lock);
    m->claimed = false;
    pthread_mutex_unlock(&mapping_lock);
    return integer(env, -error);
  }
  int32_t handle = mapping_publish(m, MAPPED, base, length);
  napi_value buffer;
  napi_status status = napi_create_external_arraybuffer(env, base, length, finalize_map, (void *)(intptr_t)handle, &buffer);
  if (status != napi_ok) {
    if (mapping_retire(m, handle)) mapping_free(m);
    napi_value pending;
    napi_get_and_clear_last_exception(env, &pending);
    return integer(env, -EOPNOTSUPP);
  }
  m->env = env;
  /* Held until unmap: a handle alone must keep its memory, or I/O would depend on the garbage collector. */
  napi_create_reference(env, buffer, 1, &m->buffer);
  return buffer;
}

static mapping_t *mapping_by_address(const void *base) {
  int32_t used = atomic_load(&mappings_used);
  for (int32_t i = 0; i < used && base != NULL; i++) {
    if (atomic_load(&mappings[i].handle) != 0 && atomic_load(&mappings[i].base) == (uintptr_t)base) return &mappings[i];
  }
  return NULL;
}

/* mapping(view over the whole buffer): handle | -ENOENT */
static napi_value mapping_handle(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  void *data;
  size_t length;
  elements_of(env, argv[0], &data, &length);
  mapping_t *m = mapping_by_address(data);
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
  mapping_t *m = mapping_by_address(data);
  if (m == NULL || m->kind != MAPPED || m->env != env) return integer(env, -EINVAL);
  int32_t handle = atomic_load(&m->handle);
  if (!mapping_retire(m, handle)) return integer(env, -EBUSY);
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
  if (!elements_of(env, argv[0], &data, &length) || length == 0) return integer(env, -EINVAL);
  if (mapping_by_address(data) != NULL) return integer(env, -EEXIST);
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
  if (!mapping_retire(m, handle)) return integer(env, -EBUSY);
  napi_delete_reference(env, m->buffer);
  mapping_free(m);
  return integer(env, 0);
}

/* Pinned memory belongs to an environment that ends: whoever still holds the handle gets EFAULT. */
static void unpin_all(void *env) {
  int32_t used = atomic_load(&mappings_used);
  for (int32_t i = 0; i < used; i++) {
    mapping_t *m = &mappings[i];
    int32_t handle = atomic_load(&m->handle);
    if (handle != 0 && m->kind == PINNED && m->env == env && mapping_retire(m, handle)) mapping_free(m);
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
  mapping_t *m = mapping_of(int_of(env, argv[0]));
  if (m == NULL) return integer(env, -EINVAL);
  return outcome(env, mlock((void *)atomic_load(&m->base), atomic_load(&m->length)));
}

/* copy(targetHandle, targetOffset, sourceHandle, sourceOffset, length): 0 | -EFAULT */
static napi_value copy_memory(napi_env env, napi_callback_info info) {
  ARGUMENTS(5);
  uint64_t target_offset, source_offset, length;
  mapping_t *target = mapping_of(int_of(env, argv[0])), *source = mapping_of(int_of(env, argv[2]));
  if (target == NULL || source == NULL || !target->writable) return integer(env, -EFAULT);
  if (!size_of(env, argv[1], &target_offset) || !size_of(env, argv[3], &source_offset) || !size_of(env, argv[4], &length)) {
    return integer(env, -EFAULT);
  }
  void *to = mapping_address(target, target_offset, length), *from = mapping_address(source, source_offset, length);
  if (to == NULL || from == NULL) return integer(env, -EFAULT);
  memmove(to, from, length);
  return integer(env, 0);
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

/* --------------------------------------------------------------------------------------------------------- sockets */

static bool unix_address(napi_env env, napi_value path, struct sockaddr_un *address) {
  memset(address, 0, sizeof(*address));
  address->sun_family = AF_UNIX;
  return path_of(env, path, address->sun_path, sizeof(address->sun_path));
}

static napi_value close_with(napi_env env, int fd, int error) {
  if (fd >= 0) close(fd);
  return integer(env, -error);
}

static napi_value listen_at(napi_env env, napi_callback_info info) {
  ARGUMENTS(3);
  struct sockaddr_un address;
  if (!unix_address(env, argv[0], &address)) return integer(env, -ENAMETOOLONG);
  mode_t mode = (mode_t)int_of(env, argv[1]);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return integer(env, -errno);
  /* bind takes the socket's own mode less the umask: set before, there is no moment at which others may connect. */
  if (fchmod(fd, mode) < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) return close_with(env, fd, errno);
  if (chmod(address.sun_path, mode) < 0 || listen(fd, int_of(env, argv[2])) < 0) {
    int error = errno;
    unlink(address.sun_path);
    return close_with(env, fd, error);
  }
  return integer(env, fd);
}

static napi_value connect_to(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  struct sockaddr_un address;
  if (!unix_address(env, argv[0], &address)) return integer(env, -ENAMETOOLONG);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return integer(env, -errno);
  if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) return close_with(env, fd, errno);
  if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0) return close_with(env, fd, errno);
  return integer(env, fd);
}

static napi_value accept_from(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  return outcome(env, accept4(int_of(env, argv[0]), NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

/* socketPair(out: Int32Array): 0 | -errno */
static napi_value socket_pair(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  void *out;
  size_t length;
  if (!elements_of(env, argv[0], &out, &length) || length < 2) return integer(env, -EINVAL);
  return outcome(env, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, out));
}

/* The kernel sends at most 253 fds with one message (SCM_MAX_FD). */
#define MOST_FDS 253

typedef union {
  struct cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(int) * MOST_FDS)];
} control_t;

static void close_fds(const int *fds, size_t count) {
  for (size_t i = 0; i < count; i++) close(fds[i]);
}

/* receive(fd, buffer, offset, length, fds, peek) */
static napi_value receive(napi_env env, napi_callback_info info) {
  ARGUMENTS(6);
  void *data, *fd_list;
  size_t room, fd_room;
  uint64_t offset, length;
  if (!elements_of(env, argv[1], &data, &room) || !elements_of(env, argv[4], &fd_list, &fd_room)) return integer(env, -EINVAL);
  if (!size_of(env, argv[2], &offset) || !size_of(env, argv[3], &length)) return integer(env, -EINVAL);
  if (fd_room < 1 || length == 0 || offset > room || length > room - offset) return integer(env, -EINVAL);

  int32_t *fds = fd_list;
  fds[0] = 0;
  control_t control;
  struct iovec vector = {(char *)data + offset, length};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
  int flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC | (bool_of(env, argv[5]) ? MSG_PEEK : 0);
  ssize_t result = recvmsg(int_of(env, argv[0]), &message, flags);
  if (result < 0) return integer(env, -errno);

  bool lost = (message.msg_flags & MSG_CTRUNC) != 0;
  size_t count = 0;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    size_t more = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    if (lost || count + more > fd_room - 1) {
      lost = true;
      close_fds((int *)CMSG_DATA(c), more);
      continue;
    }
    memcpy(fds + 1 + count, CMSG_DATA(c), more * sizeof(int));
    count += more;
  }
  if (lost) {
    close_fds(fds + 1, count);
    fds[0] = -(int32_t)result;
    return integer(env, -EMSGSIZE);
  }
  fds[0] = (int32_t)count;
  return integer(env, (int32_t)result);
}

/* send(fd, buffer, offset, length, fds | null) */
static napi_value send_to(napi_env env, napi_callback_info info) {
  ARGUMENTS(5);
  void *data, *fd_list;
  size_t room, fd_room;
  uint64_t offset, length;
  if (!elements_of(env, argv[1], &data, &room)) return integer(env, -EINVAL);
  if (!size_of(env, argv[2], &offset) || !size_of(env, argv[3], &length)) return integer(env, -EINVAL);
  if (length == 0 || offset > room || length > room - offset) return integer(env, -EINVAL);
  int fd = int_of(env, argv[0]);
  char *from = (char *)data + offset;

  elements_of(env, argv[4], &fd_list, &fd_room);
  int32_t *fds = fd_list;
  if (fd_room == 0 || fds[0] == 0) return outcome(env, send(fd, from, length, MSG_DONTWAIT | MSG_NOSIGNAL));
  if (fds[0] < 0 || fds[0] > MOST_FDS || (size_t)fds[0] > fd_room - 1) return integer(env, -EINVAL);

  size_t size = sizeof(int) * (size_t)fds[0];
  control_t control;
  memset(&control, 0, sizeof(control));
  control.header.cmsg_level = SOL_SOCKET;
  control.header.cmsg_type = SCM_RIGHTS;
  control.header.cmsg_len = CMSG_LEN(size);
  memcpy(CMSG_DATA(&control.header), fds + 1, size);
  struct iovec vector = {from, length};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(size)};
  return outcome(env, sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL));
}

static napi_value is_listening(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int value = 0;
  socklen_t size = sizeof(value);
  if (getsockopt(int_of(env, argv[0]), SOL_SOCKET, SO_ACCEPTCONN, &value, &size) < 0) return integer(env, -errno);
  return integer(env, value != 0);
}

/* ------------------------------------------------------------------------------------------------------------- fds */

static napi_value close_fd(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  return outcome(env, close(int_of(env, argv[0])));
}

static napi_value event_fd(napi_env env, napi_callback_info info) {
  (void)info;
  return outcome(env, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

static napi_value duplicate(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  return outcome(env, fcntl(int_of(env, argv[0]), F_DUPFD_CLOEXEC, 0));
}

/*
 * A client's eventfd may be in blocking mode, and the flag belongs to the open file description that it shares with us:
 * setting O_NONBLOCK would change it for the client as well, so the question is asked first.
 */
static napi_value signal_fd(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  struct pollfd ready = {.fd = int_of(env, argv[0]), .events = POLLOUT};
  int result = poll(&ready, 1, 0);
  if (result < 0) return integer(env, -errno);
  if (ready.fd < 0 || (ready.revents & POLLNVAL)) return integer(env, -EBADF);
  if (ready.revents & (POLLERR | POLLHUP)) return integer(env, -EPIPE);
  if (result == 0) return integer(env, -EAGAIN);
  uint64_t one = 1;
  return write(ready.fd, &one, sizeof(one)) < 0 ? integer(env, -errno) : integer(env, 0);
}

/* The value of the counter, which is then zero; 0 when there is nothing. */
static napi_value drain(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int fd = int_of(env, argv[0]);
  uint64_t value = 0;
  struct iovec vector = {&value, sizeof(value)};
  ssize_t result = preadv2(fd, &vector, 1, -1, RWF_NOWAIT);
  if (result < 0 && (errno == EOPNOTSUPP || errno == EINVAL || errno == ESPIPE)) {
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    if (poll(&ready, 1, 0) <= 0 || !(ready.revents & POLLIN)) return integer(env, 0);
    result = read(fd, &value, sizeof(value));
  }
  if (result < 0) return integer(env, errno == EAGAIN ? 0 : -errno);
  return number(env, (double)value);
}

/* fdInfo(fd, out): see FdInfo in constants.ts for the columns */
static napi_value fd_info(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  int fd = int_of(env, argv[0]);
  void *data;
  size_t length;
  if (!elements_of(env, argv[1], &data, &length) || length < 8) return integer(env, -EINVAL);
  struct stat status;
  if (fstat(fd, &status) < 0) return integer(env, -errno);
  double *out = data;
  out[0] = (double)status.st_dev;
  /* A double cannot hold every inode number: overlayfs uses the top bits. */
  out[1] = (double)(uint32_t)status.st_ino;
  out[2] = (double)(uint32_t)(status.st_ino >> 32);
  out[3] = (double)status.st_size;
  out[4] = (double)(status.st_mode & S_IFMT);
  out[5] = (double)fcntl(fd, F_GET_SEALS);
  out[6] = (double)fcntl(fd, F_GETFL);
  out[7] = (double)status.st_blksize;
  return integer(env, 0);
}

static napi_value set_flag(napi_env env, napi_callback_info info, int get, int set, int flag) {
  ARGUMENTS(2);
  int fd = int_of(env, argv[0]);
  int flags = fcntl(fd, get);
  if (flags < 0) return integer(env, -errno);
  return outcome(env, fcntl(fd, set, bool_of(env, argv[1]) ? flags | flag : flags & ~flag));
}

static napi_value set_cloexec(napi_env env, napi_callback_info info) {
  return set_flag(env, info, F_GETFD, F_SETFD, FD_CLOEXEC);
}

static napi_value set_nonblock(napi_env env, napi_callback_info info) {
  return set_flag(env, info, F_GETFL, F_SETFL, O_NONBLOCK);
}

static napi_value lock_file(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  return outcome(env, flock(int_of(env, argv[0]), int_of(env, argv[1])));
}

/* lockRange(fd, type, start, length, test): 0, 1 (test: somebody holds it) or -errno */
static napi_value lock_range(napi_env env, napi_callback_info info) {
  ARGUMENTS(5);
  uint64_t start, length;
  if (!size_of(env, argv[2], &start) || !size_of(env, argv[3], &length)) return integer(env, -EINVAL);
  struct flock lock = {
      .l_type = (short)int_of(env, argv[1]), .l_whence = SEEK_SET, .l_start = (off_t)start, .l_len = (off_t)length};
  bool test = bool_of(env, argv[4]);
  if (fcntl(int_of(env, argv[0]), test ? F_OFD_GETLK : F_OFD_SETLK, &lock) < 0) return integer(env, -errno);
  return integer(env, test && lock.l_type != F_UNLCK);
}

/* ----------------------------------------------------------------------------------------------------------- files */

static napi_value open_file(napi_env env, napi_callback_info info) {
  ARGUMENTS(3);
  char path[4096];
  if (!path_of(env, argv[0], path, sizeof(path))) return integer(env, -ENAMETOOLONG);
  return outcome(env, open(path, int_of(env, argv[1]) | O_CLOEXEC, int_of(env, argv[2])));
}

static napi_value file_size(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int fd = int_of(env, argv[0]);
  struct stat status;
  if (fstat(fd, &status) < 0) return integer(env, -errno);
  if (!S_ISBLK(status.st_mode)) return number(env, (double)status.st_size);
  uint64_t size;
  if (ioctl(fd, BLKGETSIZE64, &size) < 0) return integer(env, -errno);
  return number(env, (double)size);
}

static napi_value sector_size(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int size;
  return ioctl(int_of(env, argv[0]), BLKSSZGET, &size) < 0 ? integer(env, -errno) : integer(env, size);
}

/* directAlignment(fd, out): out[0] memory, out[1] file offset, bytes */
static napi_value direct_alignment(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  void *data;
  size_t length;
  if (!elements_of(env, argv[1], &data, &length) || length < 2) return integer(env, -EINVAL);
  struct statx status;
  if (statx(int_of(env, argv[0]), "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) < 0) return integer(env, -errno);
  if (!(status.stx_mask & STATX_DIOALIGN) || status.stx_dio_offset_align == 0) return integer(env, -EOPNOTSUPP);
  ((double *)data)[0] = status.stx_dio_mem_align;
  ((double *)data)[1] = status.stx_dio_offset_align;
  return integer(env, 0);
}

static napi_value truncate_file(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  uint64_t size;
  if (!size_of(env, argv[1], &size)) return integer(env, -EINVAL);
  return outcome(env, ftruncate(int_of(env, argv[0]), (off_t)size));
}

static napi_value transfer(napi_env env, napi_callback_info info, bool writing) {
  ARGUMENTS(5);
  uint64_t offset, length, position;
  if (!size_of(env, argv[2], &offset) || !size_of(env, argv[3], &length)) return integer(env, -EFAULT);
  if (!size_of(env, argv[4], &position)) return integer(env, -EINVAL);
  mapping_t *m = mapping_of(int_of(env, argv[1]));
  void *address = m == NULL ? NULL : mapping_address(m, offset, length);
  if (address == NULL) return integer(env, -EFAULT);
  int fd = int_of(env, argv[0]);
  return outcome(env, writing ? pwrite(fd, address, length, (off_t)position) : pread(fd, address, length, (off_t)position));
}

static napi_value pread_file(napi_env env, napi_callback_info info) { return transfer(env, info, false); }

static napi_value pwrite_file(napi_env env, napi_callback_info info) { return transfer(env, info, true); }

static napi_value fallocate_file(napi_env env, napi_callback_info info) {
  ARGUMENTS(4);
  uint64_t position, length;
  if (!size_of(env, argv[2], &position) || !size_of(env, argv[3], &length)) return integer(env, -EINVAL);
  return outcome(env, fallocate(int_of(env, argv[0]), int_of(env, argv[1]), (off_t)position, (off_t)length));
}

static napi_value block_range(napi_env env, napi_callback_info info, unsigned long request) {
  ARGUMENTS(3);
  uint64_t range[2];
  if (!size_of(env, argv[1], &range[0]) || !size_of(env, argv[2], &range[1])) return integer(env, -EINVAL);
  return outcome(env, ioctl(int_of(env, argv[0]), request, range));
}

static napi_value block_discard(napi_env env, napi_callback_info info) { return block_range(env, info, BLKDISCARD); }

static napi_value block_zero_out(napi_env env, napi_callback_info info) { return block_range(env, info, BLKZEROOUT); }

static napi_value sync_data(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  return outcome(env, fdatasync(int_of(env, argv[0])));
}

/* ------------------------------------------------------------------------------------------------ asynchronous I/O */

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
  pthread_t threads[8];
  uint32_t thread_count, idle, waiting_head, waiting_tail;
  int32_t *waiting;         /* slots, a ring of `entries` */
  completion_t *done;       /* a ring of `entries`: a slot is in it once at most, so it never overflows */
  bool stopping;
} ring_t;

#define RINGS 256
#define POOL_THREADS 8

static ring_t *rings[RINGS];
static pthread_mutex_t rings_lock = PTHREAD_MUTEX_INITIALIZER;

static ring_t *ring_of(napi_env env, napi_value value) {
  uint32_t id = RINGS;
  napi_get_value_uint32(env, value, &id);
  return id < RINGS && rings[id] != NULL && rings[id]->env == env ? rings[id] : NULL;
}

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
  ring->done[tail % ring->entries] = (completion_t){(int32_t)slot, (int32_t)result};
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
    uint32_t slot = (uint32_t)ring->waiting[ring->waiting_head++ % ring->entries];
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

static void pool_submit(ring_t *ring, uint32_t slot) {
  bool failed = false;
  pthread_mutex_lock(&ring->lock);
  uint32_t backlog = ring->waiting_tail - ring->waiting_head + 1;
  if (backlog > ring->idle && ring->thread_count < POOL_THREADS) pool_grow(ring);
  if (ring->requests[slot].error || ring->thread_count == 0) {
    failed = true;
    pool_complete(ring, slot, ring->requests[slot].error ? ring->requests[slot].error : -EAGAIN);
  } else {
    ring->waiting[ring->waiting_tail++ % ring->entries] = (int32_t)slot;
    pthread_cond_signal(&ring->work);
  }
  pthread_mutex_unlock(&ring->lock);
  if (failed) ring_notify(ring);
}

static void request_release(ring_t *ring, uint32_t slot) {
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
      mapping = mapping_get(handle);
      if (mapping == NULL) return -EFAULT;
      ring->held[i] = mapping;
      last_handle = handle;
    }
    request->segments++;
    if (!double_to_size(ring->columns.segment_offset[i], &offset) || !double_to_size(ring->columns.segment_length[i], &length)) return -EFAULT;
    void *address = mapping == NULL ? NULL : mapping_address(mapping, offset, length);
    if (address == NULL) return -EFAULT;
    ring->vectors[i] = (struct iovec){address, length};
  }
  return 0;
}

/* Copies the columns of a slot and checks them; what is wrong becomes its completion. */
static void request_load(ring_t *ring, uint32_t slot) {
  request_t *request = &ring->requests[slot];
  *request = (request_t){.op = ring->columns.op[slot], .fd = ring->columns.fd[slot], .flags = ring->columns.flags[slot], .busy = true};
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

static void kernel_queue(ring_t *ring, uint32_t slot, uint32_t tail) {
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

/* What the kernel does not take (no memory, no room) the threads do. */
static void kernel_submit(ring_t *ring, uint32_t tail) {
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

/* ringReap(id): completions written as [slot, result] pairs */
static uint32_t ring_take(ring_t *ring) {
  uint32_t count = 0;
  int32_t *out = ring->columns.completions;
  if (ring->fd >= 0) {
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
  }
  uint32_t head = atomic_load(&ring->pool_words[POOL_HEAD]);
  uint32_t tail = atomic_load(&ring->pool_words[POOL_TAIL]);
  for (; head != tail && count < ring->entries; head++, count++) {
    completion_t *done = &ring->done[head % ring->entries];
    out[2 * count] = done->slot;
    out[2 * count + 1] = done->result;
    request_release(ring, (uint32_t)done->slot);
  }
  atomic_store(&ring->pool_words[POOL_HEAD], head);
  return count;
}

static napi_value ring_reap(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  ring_t *ring = ring_of(env, argv[0]);
  return integer(env, ring == NULL ? -EBADF : (int32_t)ring_take(ring));
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

/* False where io_uring is missing or forbidden. */
static bool kernel_open(ring_t *ring) {
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

static void kernel_close(ring_t *ring) {
  while (ring->in_kernel > 0) {
    if (ring_take(ring) == 0 && ring_enter(ring, 0, 1) < 0 && errno != EINTR) break;
  }
  close(ring->fd);
  munmap(ring->memory, ring->memory_size);
  munmap(ring->sqes, ring->sqes_size);
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
    if (rings[i] == ring) rings[i] = NULL;
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

static bool ring_allocate(ring_t *ring) {
  size_t entries = ring->entries, segments = entries * ring->max_segments;
  ring->requests = calloc(entries, sizeof(*ring->requests));
  ring->vectors = calloc(segments, sizeof(*ring->vectors));
  ring->held = calloc(segments, sizeof(*ring->held));
  ring->waiting = calloc(entries, sizeof(*ring->waiting));
  ring->done = calloc(entries, sizeof(*ring->done));
  ring->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return ring->requests && ring->vectors && ring->held && ring->waiting && ring->done && ring->event_fd >= 0;
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

static void ignore_finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)data;
  (void)hint;
}

static int ring_register(ring_t *ring) {
  int id = -EMFILE;
  pthread_mutex_lock(&rings_lock);
  for (int i = 0; i < RINGS && id < 0; i++) {
    if (rings[i] != NULL) continue;
    rings[i] = ring;
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
  if (!elements_of(env, argv[4], &out, &out_length) || out_length < 5) return integer(env, -EINVAL);
  ring_t *ring = calloc(1, sizeof(*ring));
  if (ring == NULL) return integer(env, -ENOMEM);
  *ring = (ring_t){.env = env, .fd = -1, .event_fd = -1, .entries = (uint32_t)entries, .max_segments = (uint32_t)max_segments};
  pthread_mutex_init(&ring->lock, NULL);
  pthread_cond_init(&ring->work, NULL);

  int32_t *words = out;
  bool usable = ring_columns(ring, data, size) && ring_allocate(ring);
  words[0] = usable ? ring_register(ring) : -ENOMEM;
  if (words[0] < 0) {
    ring_free(ring);
    return integer(env, words[0]);
  }
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

/* ---------------------------------------------------------------------------------------- readiness on the event loop */

typedef struct {
  uv_poll_t poll; /* first: a handle of libuv's is cast back to its watch */
  napi_env env;
  napi_ref callback, resource;
  napi_async_context context;
  napi_async_cleanup_hook_handle hook;
  int events;
  bool closing;
} watch_t;

/* Through napi_make_callback, so that ticks and promises run; what it throws is an uncaught exception, as anywhere. */
static void watch_ready(uv_poll_t *poll, int status, int events) {
  watch_t *watch = (watch_t *)poll;
  napi_env env = watch->env;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value callback, resource, argument, result;
  napi_get_reference_value(env, watch->callback, &callback);
  napi_get_reference_value(env, watch->resource, &resource);
  napi_create_int32(env, status < 0 ? status : events, &argument);
  if (napi_make_callback(env, watch->context, resource, callback, 1, &argument, &result) == napi_pending_exception) {
    napi_value error;
    napi_get_and_clear_last_exception(env, &error);
    napi_fatal_exception(env, error);
  }
  napi_close_handle_scope(env, scope);
}

static void watch_closed(uv_handle_t *handle) {
  watch_t *watch = (watch_t *)handle;
  if (watch->hook != NULL) napi_remove_async_cleanup_hook(watch->hook);
  free(watch);
}

static void watch_release(watch_t *watch) {
  if (watch->closing) return;
  watch->closing = true;
  uv_poll_stop(&watch->poll);
  napi_delete_reference(watch->env, watch->callback);
  napi_delete_reference(watch->env, watch->resource);
  napi_async_destroy(watch->env, watch->context);
  uv_close((uv_handle_t *)&watch->poll, watch_closed);
}

static void watch_cleanup(napi_async_cleanup_hook_handle hook, void *argument) {
  (void)hook;
  watch_release(argument);
}

/* uv_poll_init sets O_NONBLOCK, which a client that shares the open file description would notice. */
static int poll_init_keeping_flags(uv_loop_t *loop, uv_poll_t *poll, int fd) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return -errno;
  int result = uv_poll_init(loop, poll, fd);
  if (result == 0 && !(flags & O_NONBLOCK)) fcntl(fd, F_SETFL, flags);
  return result;
}

/* watchOpen(fd, events, callback, resource): External | -errno; not started yet */
static napi_value watch_open(napi_env env, napi_callback_info info) {
  ARGUMENTS(4);
  uv_loop_t *loop;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return integer(env, -EINVAL);
  watch_t *watch = calloc(1, sizeof(*watch));
  if (watch == NULL) return integer(env, -ENOMEM);
  int error = poll_init_keeping_flags(loop, &watch->poll, int_of(env, argv[0]));
  if (error) {
    free(watch);
    return integer(env, error);
  }
  watch->env = env;
  watch->events = int_of(env, argv[1]);
  napi_value name, external;
  napi_create_string_utf8(env, "sidecard:watch", NAPI_AUTO_LENGTH, &name);
  napi_async_init(env, argv[3], name, &watch->context);
  napi_create_reference(env, argv[2], 1, &watch->callback);
  napi_create_reference(env, argv[3], 1, &watch->resource);
  napi_add_async_cleanup_hook(env, watch_cleanup, watch, &watch->hook);
  napi_create_external(env, watch, NULL, NULL, &external);
  return external;
}

enum { WATCH_START, WATCH_STOP, WATCH_REF, WATCH_UNREF, WATCH_CLOSE };

/* watchControl(watch, action): 0 | -errno; not after WATCH_CLOSE, see watch.ts */
static napi_value watch_control(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  void *data;
  if (napi_get_value_external(env, argv[0], &data) != napi_ok) return integer(env, -EINVAL);
  watch_t *watch = data;
  switch (int_of(env, argv[1])) {
    case WATCH_START: return integer(env, uv_poll_start(&watch->poll, watch->events, watch_ready));
    case WATCH_STOP: return integer(env, uv_poll_stop(&watch->poll));
    case WATCH_REF: uv_ref((uv_handle_t *)&watch->poll); break;
    case WATCH_UNREF: uv_unref((uv_handle_t *)&watch->poll); break;
    case WATCH_CLOSE: watch_release(watch); break;
    default: return integer(env, -EINVAL);
  }
  return integer(env, 0);
}

/* ------------------------------------------------------------------------------------------------------------ host */

static napi_value context_switches(napi_env env, napi_callback_info info) {
  (void)info;
  struct rusage usage;
  getrusage(RUSAGE_THREAD, &usage);
  return number(env, (double)usage.ru_nivcsw);
}

static napi_value cpu_count(napi_env env, napi_callback_info info) {
  (void)info;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) < 0) return integer(env, (int32_t)sysconf(_SC_NPROCESSORS_ONLN));
  return integer(env, CPU_COUNT(&set));
}

static napi_value pin_thread(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int cpu = int_of(env, argv[0]);
  if (cpu < 0 || cpu >= CPU_SETSIZE) return integer(env, -EINVAL);
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return outcome(env, sched_setaffinity(0, sizeof(set), &set));
}

static napi_value now_us(napi_env env, napi_callback_info info) {
  (void)info;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return number(env, (double)now.tv_sec * 1e6 + (double)now.tv_nsec * 1e-3);
}

static napi_value yield_thread(napi_env env, napi_callback_info info) {
  (void)info;
  return outcome(env, sched_yield());
}

/* ---------------------------------------------------------------------------------------------------------- module */

static const struct {
  const char *name;
  napi_callback function;
} functions[] = {
    {"listen", listen_at},
    {"connect", connect_to},
    {"accept", accept_from},
    {"socketPair", socket_pair},
    {"receive", receive},
    {"send", send_to},
    {"isListening", is_listening},
    {"close", close_fd},
    {"eventfd", event_fd},
    {"dup", duplicate},
    {"signal", signal_fd},
    {"drain", drain},
    {"fdInfo", fd_info},
    {"setCloexec", set_cloexec},
    {"setNonblock", set_nonblock},
    {"flock", lock_file},
    {"lockRange", lock_range},
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
    {"open", open_file},
    {"fileSize", file_size},
    {"blkSectorSize", sector_size},
    {"statxDioAlign", direct_alignment},
    {"truncate", truncate_file},
    {"pread", pread_file},
    {"pwrite", pwrite_file},
    {"fallocate", fallocate_file},
    {"blkDiscard", block_discard},
    {"blkZeroOut", block_zero_out},
    {"fdatasync", sync_data},
    {"ringOpen", ring_open},
    {"ringSubmit", ring_submit},
    {"ringReap", ring_reap},
    {"ringClose", ring_close},
    {"watchOpen", watch_open},
    {"watchControl", watch_control},
    {"contextSwitches", context_switches},
    {"cpuCount", cpu_count},
    {"pinThread", pin_thread},
    {"nowUs", now_us},
    {"yieldThread", yield_thread},
};

NAPI_MODULE_INIT() {
  /* A write to a client's pipe must not end us; Node ignores it as well, an embedder may not. */
  struct sigaction action;
  if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL) signal(SIGPIPE, SIG_IGN);
  for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
    napi_value function;
    napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].function, NULL, &function);
    napi_set_named_property(env, exports, functions[i].name, function);
  }
  napi_value faults;
  if (napi_create_external_arraybuffer(env, &fault_count, sizeof(fault_count), ignore_finalize, NULL, &faults) == napi_ok) {
    napi_set_named_property(env, exports, "faultCount", faults);
  }
  napi_add_env_cleanup_hook(env, unpin_all, env);
  return exports;
}
