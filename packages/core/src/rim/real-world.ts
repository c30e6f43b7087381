import type { Native } from '@sidecard/native';
import type { ReactorWorld } from '../reactor/reactor.ts';

/** Node's event loop as a reactor needs it. */
export function realWorld(native: Native): ReactorWorld {
  return {
    cpus: native.cpuCount(),
    yieldCpu: () => native.yieldThread(),
    // A call into the addon would allocate its result.
    nowUs: () => (performance.now() * 1000) & 0x3fff_ffff,
    involuntarySwitches: () => native.contextSwitches(),
    watch: (fd, readable) => {
      const watch = native.watch(fd, 'read', readable);
      return () => watch.close();
    },
    soon: (callback) => void setImmediate(callback),
    later: (callback) => {
      const timer = setTimeout(callback, 1);
      return () => clearTimeout(timer);
    },
  };
}
