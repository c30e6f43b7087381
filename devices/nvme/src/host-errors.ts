import { EDQUOT, EFBIG, ENOSPC } from '@sidecard/block';

/** The number, positive, of what the host answered; 0 where it is no such error. */
export function errnoOf(error: unknown): number {
  const { errno, cause } = Object(error) as { errno?: unknown; cause?: unknown };
  if (typeof errno === 'number') return Math.abs(errno);
  return cause === undefined ? 0 : errnoOf(cause);
}

/** There is no room for it. */
export function isFull(errno: number): boolean {
  return errno === ENOSPC || errno === EDQUOT || errno === EFBIG;
}
