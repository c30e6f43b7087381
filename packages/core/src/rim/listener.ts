import { constants, fstatSync, lstatSync, readFileSync, statSync, unlinkSync } from 'node:fs';
import type { Native, Watch } from '@sidecard/native';

/** Where clients connect: a path, on which a socket is made, or a listening socket that was inherited (LISTEN_FDS). */
export type ListenAt = { readonly socketPath: string } | { readonly listenFd: number };

/** Only the owner may connect. */
const SOCKET_MODE = 0o600;
const BACKLOG = 16;

/** A socket that cannot be listened on; the message is one line for people. */
export class ListenError extends Error {}

export interface Listener {
  /** Stops listening; a socket file that this process made is removed. */
  close(): void;
}

/** A listening socket with a file that this process made. */
export interface BoundSocket {
  readonly fd: number;
  /** Removes the file; the fd stays. */
  remove(): void;
}

/** Binds and listens at a path, for the owner alone. A file that a killed daemon left is replaced. Throws ListenError. */
export function bindSocket(native: Native, path: string, backlog: number): BoundSocket {
  const fd = bind(native, path, backlog);
  const inode = inodeOf(path);
  return {
    fd,
    remove: () => {
      // Another daemon may have taken the path meanwhile: its socket stays.
      if (inode >= 0 && inodeOf(path) === inode) unlinkSync(path);
    },
  };
}

/** Listens, and hands every connection's fd to `accepted`. Throws ListenError. */
export function listen(native: Native, at: ListenAt, accepted: (fd: number) => void): Listener {
  const bound = 'socketPath' in at ? bindSocket(native, at.socketPath, BACKLOG) : null;
  const fd = 'listenFd' in at ? inherited(native, at.listenFd) : bound!.fd;
  const watch: Watch = native.watch(fd, 'read', () => {
    for (let client = native.accept(fd); client >= 0; client = native.accept(fd)) accepted(client);
  });
  return {
    close: () => {
      watch.close();
      // Who waits to be accepted would be reset, which ends QEMU; at a socket that was inherited it is the next daemon that accepts.
      if (bound !== null) {
        for (let client = native.accept(fd); client >= 0; client = native.accept(fd)) native.hangUp(client);
      }
      native.close(fd);
      bound?.remove();
    },
  };
}

function bind(native: Native, path: string, backlog: number): number {
  try {
    return native.listen(path, SOCKET_MODE, backlog);
  } catch (error) {
    if (codeOf(error) !== 'EADDRINUSE') throw refused(path, error);
  }
  removeStale(native, path);
  try {
    return native.listen(path, SOCKET_MODE, backlog);
  } catch (error) {
    throw refused(path, error);
  }
}

/** A socket file that nobody listens on is left over from a daemon that was killed. */
function removeStale(native: Native, path: string): void {
  if ((lstatSync(path).mode & constants.S_IFMT) !== constants.S_IFSOCK) {
    throw new ListenError(`${path} exists and is not a socket`);
  }
  try {
    native.close(native.connect(path));
  } catch (error) {
    if (codeOf(error) === 'ECONNREFUSED') {
      unlinkSync(path);
      return;
    }
    throw refused(path, error);
  }
  throw new ListenError(`${path} is in use by a running daemon`);
}

function inherited(native: Native, fd: number): number {
  if (native.isListening(fd) !== 1) throw new ListenError(`file descriptor ${fd} is not a listening socket`);
  if (isOther(fd)) throw new ListenError(`file descriptor ${fd} is not a UNIX stream socket`);
  native.setNonblock(fd, true);
  native.setCloexec(fd, true);
  return fd;
}

/** Another kind of socket than UNIX streams (TCP, packets), where the kernel tells: it could not take descriptors, or pieces of messages. */
function isOther(fd: number): boolean {
  try {
    const inode = String(fstatSync(fd).ino);
    // Num RefCount Protocol Flags Type St Inode Path; type 1 is SOCK_STREAM.
    const fields = readFileSync('/proc/net/unix', 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/\s+/));
    return !fields.some((one) => one[6] === inode && one[4] === '0001');
  } catch {
    return false;
  }
}

function refused(path: string, error: unknown): ListenError {
  const reasons: { readonly [code: string]: string } = {
    EAGAIN: 'it is in use by a running daemon, which does not answer',
    ENOENT: 'its folder does not exist',
    ENOTDIR: 'its folder is not a folder',
    EACCES: 'permission denied',
    EPERM: 'permission denied',
    EROFS: 'the file system is read-only',
    ENAMETOOLONG: 'the path is too long for a socket (107 bytes at most)',
    EINVAL: 'the path is too long for a socket (107 bytes at most)',
  };
  const reason = reasons[codeOf(error)] ?? (error instanceof Error ? error.message : String(error));
  return new ListenError(`Cannot listen on ${path}: ${reason}`, { cause: error });
}

function codeOf(error: unknown): string {
  return (error as { code?: string }).code ?? '';
}

function inodeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.ino ?? -1;
}
