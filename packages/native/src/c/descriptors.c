/* What can be done to any file descriptor: eventfds, flags, locks. */
#include "native.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

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

/* The value of the counter, which is then zero; 0 when there is nothing. A client may have sent a pipe or a socket, and closed its end. */
static napi_value drain(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int fd = int_of(env, argv[0]);
  uint64_t value = 0;
  struct iovec vector = {&value, sizeof(value)};
  ssize_t result = preadv2(fd, &vector, 1, -1, RWF_NOWAIT);
  if (result < 0 && (errno == EOPNOTSUPP || errno == EINVAL || errno == ESPIPE)) {
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    if (poll(&ready, 1, 0) <= 0 || !(ready.revents & (POLLIN | POLLHUP | POLLERR))) return integer(env, 0);
    result = read(fd, &value, sizeof(value));
  }
  if (result < 0) return integer(env, errno == EAGAIN ? 0 : -errno);
  if (result == 0) return integer(env, -EPIPE);
  return number(env, (double)value);
}

/* fdInfo(fd, out): see FdInfo in constants.ts for the columns */
static napi_value fd_info(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  int fd = int_of(env, argv[0]);
  void *data;
  size_t length;
  if (!elements_of(env, argv[1], napi_float64_array, &data, &length) || length < 8) return integer(env, -EINVAL);
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


const function_t descriptor_functions[] = {
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
    {NULL, NULL},
};
