import { getSystemErrorMap } from 'node:util';

/** What Node's own system calls throw: `code` is the name, `errno` the negative number. */
export interface SystemError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
  readonly path?: string;
}

/** The exception for a negative errno number. */
export function systemError(result: number, syscall: string, path?: string): SystemError {
  const [code, text] = getSystemErrorMap().get(result) ?? [`E${-result}`, 'unknown error'];
  const error = new Error(`${code}: ${text}, ${syscall}${path === undefined ? '' : ` '${path}'`}`);
  return Object.assign(error, { code, errno: result, syscall }, path === undefined ? {} : { path });
}

/** Passes a result on, and throws a negative one. */
export function checked(result: number, syscall: string, path?: string): number {
  if (result < 0) throw systemError(result, syscall, path);
  return result;
}
