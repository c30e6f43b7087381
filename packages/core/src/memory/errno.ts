// Answers to DMA_MAP and DMA_UNMAP (errno.h of Linux).
export const ENOENT = 2;
export const EACCES = 13;
export const EBUSY = 16;
export const EEXIST = 17;
export const EINVAL = 22;
export const ENOSPC = 28;
