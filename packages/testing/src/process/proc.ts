/** What the kernel tells about a process: proc(5). */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** What a process holds, that a client may have left behind. */
export interface Holdings {
  /** Open descriptors, by what they are; numbers in them are N. Sorted. */
  readonly fds: readonly string[];
  /** Mappings of files and memory files, by name. Sorted. */
  readonly maps: readonly string[];
}

export function holdingsOf(pid: number): Holdings {
  const folder = `/proc/${pid}/fd`;
  const fds = readdirSync(folder).flatMap((fd) => {
    try {
      return [readlinkSync(`${folder}/${fd}`).replace(/\d+/g, 'N')];
    } catch {
      return []; // Closed meanwhile.
    }
  });
  const maps = readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n');
  const files = maps.filter((line) => line.includes(' /')).map((line) => line.slice(line.indexOf(' /') + 1));
  return { fds: fds.sort(), maps: files.sort() };
}

/** Time that all its threads have had on a processor, ns (schedstat). */
export function cpuNsOf(pid: number): number {
  const tasks = readdirSync(`/proc/${pid}/task`);
  const times = tasks.map((task) => Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]));
  return times.reduce((sum, ns) => sum + ns, 0);
}

/** Memory that is resident (VmRSS), bytes. */
export function residentBytesOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024;
}

/** __SO_ACCEPTCON in the flags of /proc/net/unix. */
const listening = 0x1_0000;

/** Whether a UNIX socket is listened on. Connecting would tell as well, and would be a client. */
export function isListening(path: string): boolean {
  // Num RefCount Protocol Flags Type St Inode Path
  const lines = readFileSync('/proc/net/unix', 'utf8').split('\n');
  return lines.some(
    (line) => line.endsWith(` ${path}`) && (Number.parseInt(line.split(/\s+/)[3]!, 16) & listening) !== 0,
  );
}
