/** The errno numbers of Linux that replies carry; the same on x86-64 and arm64. */
export const Errno = {
  ENOENT: 2,
  EIO: 5,
  EACCES: 13,
  EEXIST: 17,
  EINVAL: 22,
  ENOSPC: 28,
  ENOTSUP: 95,
  ETIMEDOUT: 110,
} as const;
