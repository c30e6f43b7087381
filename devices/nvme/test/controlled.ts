import { setImmediate } from 'node:timers/promises';
import { type DriveOptions, fileIdentity } from '@sidecard/block';
import { Refusal, type Route } from '@sidecard/daemon';
import { control } from '../src/control/control.ts';
import type { OpenedDrive } from '../src/namespaces/backing.ts';
import type { Machine } from './machine.ts';
import { TestDrive } from './test-drive.ts';

export interface Answer {
  readonly status: number;
  /** JSON, or the reason of a refusal. */
  // biome-ignore lint/suspicious/noExplicitAny: as JSON comes.
  readonly body: any;
}

/** A request that was made. */
export class Asked {
  /** Null as long as there is none. */
  answer: Answer | null = null;

  constructor(work: () => unknown) {
    const ended = (answer: Answer) => {
      this.answer = answer;
    };
    new Promise((resolve) => resolve(work())).then(
      (body) => ended({ status: body === undefined ? 204 : 200, body }),
      (error) => {
        if (!(error instanceof Refusal)) throw error;
        ended({ status: error.status, body: error.message });
      },
    );
  }
}

/** The controller of a machine, as who has its control socket asks it. */
export class Controlled {
  readonly #machine: Pick<Machine, 'controller' | 'settle'>;
  readonly #routes: readonly Route[];

  constructor(machine: Pick<Machine, 'controller' | 'settle'>) {
    this.#machine = machine;
    this.#routes = control(machine.controller).routes;
  }

  /** Asks, while nothing else goes on. */
  begin(method: string, path: string, body?: object): Asked {
    for (const route of this.#routes) {
      const match = new RegExp(`^${route.path.replace('{nsid}', '(\\d+)')}$`).exec(path);
      if (route.method !== method || match === null) continue;
      return new Asked(() => route.handle({ body, parameters: { nsid: Number(match[1]) } }));
    }
    throw new Error(`there is no ${method} ${path}`);
  }

  /** Asks, and gives everything time until it has been answered. */
  ask(method: string, path: string, body?: object): Promise<Answer> {
    return this.answered(this.begin(method, path, body));
  }

  async answered(asked: Asked): Promise<Answer> {
    for (const end = Date.now() + 10_000; asked.answer === null; ) {
      if (Date.now() > end) throw new Error('no answer comes');
      await this.pass(1);
    }
    return asked.answer;
  }

  /** Gives everything time: the device its turns, promises and files theirs. */
  async pass(turns = 50): Promise<void> {
    for (let turn = 0; turn < turns; turn++) {
      this.#machine.settle(5);
      await setImmediate();
    }
  }
}

/** Drives that can be added: by their path. A drive in memory gets one of its size. */
export function opener(drives: { readonly [path: string]: TestDrive } = {}) {
  const discarded: TestDrive[] = [];
  const open = (options: DriveOptions): OpenedDrive => {
    const backend = drives[options.path] ?? new TestDrive(options.sizeBytes ?? 1 << 20, { seed: 50 });
    backend.closed = false;
    return {
      namespace: { backend, drive: options, file: options.path && fileIdentity(options.path), lbaBytes: options.lba },
      discard: () => void discarded.push(backend),
    };
  };
  return { open, discarded };
}
