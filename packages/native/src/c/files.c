/* Files and block devices, synchronously. */
#include "mapping-table.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

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
  if (!elements_of(env, argv[1], napi_float64_array, &data, &length) || length < 2) return integer(env, -EINVAL);
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
  mapping_t *m = mapping_get(env, int_of(env, argv[1]));
  if (m == NULL) return integer(env, -EFAULT);
  int fd = int_of(env, argv[0]);
  void *address = mapping_address(m, offset, length);
  ssize_t result = -1;
  errno = EFAULT;
  if (address != NULL && writing) result = pwrite(fd, address, length, (off_t)position);
  else if (address != NULL) result = pread(fd, address, length, (off_t)position);
  int error = errno;
  mapping_put(m);
  errno = error;
  return outcome(env, result);
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


const function_t file_functions[] = {
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
    {NULL, NULL},
};
