import type { LineSocket } from '@sidecard/testing';

export interface CommandResult {
  /** As a shell has it: 124 when the guest ended the command at its time limit. */
  status: number;
  /** Standard output and standard error, in the order they were written. */
  stdout: string;
}

interface Waiting {
  command: string;
  resolve: (result: CommandResult) => void;
  reject: (error: Error) => void;
  timer: NodeJS.Timeout;
}

/** The host's end of root/guest-agent, which runs shell commands in the guest over a virtio-serial port. */
export class Agent {
  readonly #lines: LineSocket;
  readonly #waiting = new Map<number, Waiting>();
  #lastNumber = 0;
  #boots = 0;
  #bootWaiters: { boots: number; resolve: () => void; reject: (error: Error) => void }[] = [];
  #closed: Error | undefined;

  constructor(lines: LineSocket) {
    this.#lines = lines;
    lines.onLine = (line) => this.#received(line);
  }

  /** How often an agent has said that it is ready: one more with every boot. */
  get boots(): number {
    return this.#boots;
  }

  /** Until the guest has booted for the nth time. */
  booted(boots: number): Promise<void> {
    if (this.#closed) return Promise.reject(this.#closed);
    if (this.#boots >= boots) return Promise.resolve();
    return new Promise((resolve, reject) => this.#bootWaiters.push({ boots, resolve, reject }));
  }

  /** Runs in a shell of its own; several may run side by side. */
  run(command: string, timeoutMs: number): Promise<CommandResult> {
    if (this.#closed) return Promise.reject(this.#closed);
    this.#lastNumber += 1;
    const number = this.#lastNumber;
    return new Promise((resolve, reject) => {
      // The guest ends the command at its limit; when even that answer does not come, the guest hangs.
      const timer = setTimeout(() => {
        this.#waiting.delete(number);
        reject(new Error(`the guest does not answer ${timeoutMs / 1000} s and more after: ${command}`));
      }, timeoutMs + 15_000);
      this.#waiting.set(number, { command, resolve, reject, timer });
      this.#lines.send(`${number} ${Math.ceil(timeoutMs / 1000)} ${Buffer.from(command).toString('base64')}`);
    });
  }

  close(error: Error): void {
    this.#closed = error;
    this.#abandon(error);
    for (const waiter of this.#bootWaiters.splice(0)) waiter.reject(error);
    this.#lines.close();
  }

  #received(line: string): void {
    const [first, status, output] = line.split(' ');
    if (first === 'ready') {
      this.#ready();
      return;
    }
    const waiting = this.#waiting.get(Number(first));
    if (!waiting) return;
    this.#waiting.delete(Number(first));
    clearTimeout(waiting.timer);
    waiting.resolve({ status: Number(status), stdout: Buffer.from(output ?? '', 'base64').toString() });
  }

  #ready(): void {
    this.#boots += 1;
    this.#abandon(new Error('the guest was reset'));
    const reached = this.#bootWaiters.filter((waiter) => waiter.boots <= this.#boots);
    this.#bootWaiters = this.#bootWaiters.filter((waiter) => waiter.boots > this.#boots);
    for (const waiter of reached) waiter.resolve();
  }

  /** No answer will come for what runs now. */
  #abandon(error: Error): void {
    for (const { command, reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(new Error(`${error.message} during: ${command}`));
    }
    this.#waiting.clear();
  }
}
