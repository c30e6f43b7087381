import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { digest } from './digest.ts';

const unfinished = '.unfinished-';

/** Where downloads and images are kept: SIDECARD_CACHE, or sidecard in XDG_CACHE_HOME or ~/.cache. */
export function cacheFolder(): string {
  const { SIDECARD_CACHE, XDG_CACHE_HOME } = process.env;
  const folder = SIDECARD_CACHE || join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'sidecard');
  mkdirSync(folder, { recursive: true });
  return folder;
}

/**
 * The cached folder of that name; `make` fills it when it is not there yet (`scratch` is thrown away after). It is made under another name and renamed
 * when complete, so an interrupted download is never taken for a finished one, and two processes never make the same.
 */
export async function cached(name: string, make: (folder: string, scratch: string) => Promise<void>): Promise<string> {
  const root = cacheFolder();
  const finished = join(root, name);
  if (existsSync(finished)) return finished;
  return locked(root, async () => {
    if (existsSync(finished)) return finished;
    // Whoever holds the lock is the only maker, so anything unfinished is what a dead one left.
    for (const entry of readdirSync(root)) {
      if (entry.startsWith(unfinished)) rmSync(join(root, entry), { recursive: true, force: true });
    }
    const work = join(root, `${unfinished}${process.pid}`);
    const [folder, scratch] = [join(work, 'made'), join(work, 'scratch')];
    for (const path of [work, folder, scratch]) mkdirSync(path);
    try {
      await make(folder, scratch);
      renameSync(folder, finished);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
    return finished;
  });
}

/** The answer to a question that takes long and rarely changes; the name says what it depends on. */
export async function remembered(name: string, ask: () => Promise<string>): Promise<string> {
  const file = join(cacheFolder(), `${name}.txt`);
  if (existsSync(file)) return readFileSync(file, 'utf8');
  const answer = await ask();
  writeFileSync(`${file}.${process.pid}`, answer);
  renameSync(`${file}.${process.pid}`, file);
  return answer;
}

/** One holder per folder and machine. The lock is an abstract socket: the kernel drops it with its process. */
async function locked<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const name = `\0sidecard-cache-${digest(folder)}`;
  let told = false;
  let server: Server | undefined;
  while (!server) {
    server = await tryListen(name);
    if (server) break;
    if (!told) console.error('sidecard: waiting for another process that fills the cache');
    told = true;
    await sleep(100);
  }
  try {
    return await work();
  } finally {
    server.close();
  }
}

function tryListen(name: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen(name, () => resolve(server));
  });
}
