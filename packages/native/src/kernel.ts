import { constants } from 'node:os';
import { markAsUntransferable } from 'node:worker_threads';
import { type Binding, loadBinding } from './binding.ts';
import { KernelRing } from './kernel-ring.ts';
import { KernelWatch } from './kernel-watch.ts';
import type { Native } from './native.ts';
import { checked, systemError } from './system-error.ts';

let loaded: Native | undefined;

/** The real thing. One per thread, however often it is asked for. Throws when the addon is not built. */
export function loadNative(): Native {
  loaded ??= createNative(loadBinding());
  return loaded;
}

/** Hot calls are C's own functions; only what throws or takes something apart has a wrapper. */
function createNative(binding: Binding): Native {
  if (binding.faultCount === undefined)
    throw new Error('this runtime refuses external ArrayBuffers; Sidecard needs them');
  return {
    ...binding,
    ...throwing(binding),
    faultCount: new Uint32Array(binding.faultCount),
    lockRange: (fd, type, start, length) => binding.lockRange(fd, type, start, length, false),
    testRange: (fd, type, start, length) => binding.lockRange(fd, type, start, length, true),
    mapping: (buffer) => binding.mapping(new Uint8Array(buffer)),
    openRing: (entries, options = {}) => new KernelRing(binding, entries, options),
    watch: (fd, events, callback) => new KernelWatch(binding, fd, events, callback),
  };
}

function throwing(
  binding: Binding,
): Pick<Native, 'listen' | 'listenTcp' | 'connect' | 'socketPair' | 'eventfd' | 'memfd' | 'map' | 'pin'> {
  return {
    listen: (path, mode, backlog) => checked(binding.listen(path, mode, backlog), 'listen', path),
    listenTcp: (address, port, backlog) =>
      checked(binding.listenTcp(address, port, backlog), 'listen', `${address} port ${port}`),
    connect: (path) => checked(binding.connect(path), 'connect', path),
    socketPair: () => {
      const out = new Int32Array(2);
      checked(binding.socketPair(out), 'socketpair');
      return [out[0]!, out[1]!];
    },
    eventfd: () => checked(binding.eventfd(), 'eventfd'),
    memfd: (name, sizeBytes) => checked(binding.memfd(name, sizeBytes), 'memfd_create'),
    map: (fd, offset, length, writable) => {
      const result = binding.map(fd, offset, length, writable);
      if (result === -constants.errno.EOPNOTSUPP) throw systemError(result, 'napi_create_external_arraybuffer');
      return result;
    },
    pin: (buffer) => {
      const resizable = buffer instanceof ArrayBuffer ? buffer.resizable : buffer.growable;
      if (resizable) throw new TypeError('a resizable buffer cannot be pinned');
      if (buffer instanceof ArrayBuffer) markAsUntransferable(buffer);
      return binding.pin(new Uint8Array(buffer));
    },
  };
}
