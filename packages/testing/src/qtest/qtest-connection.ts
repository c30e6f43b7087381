import type { Native } from '@sidecard/native';

const EAGAIN = 11;
/** How long QEMU may take for an answer, ms: longer than it waits for a device. */
const ANSWER_TIMEOUT_MS = 15_000;

/** QEMU's qtest protocol (docs/devel/testing/qtest.rst of QEMU): lines of text over a stream, each answered by one; lines about interrupts come in between. */
export class QtestConnection {
  /** Level of each input of the interrupt controller that is listened to. */
  readonly levels = new Map<number, boolean>();
  /** How often each has risen. */
  readonly raised = new Map<number, number>();
  readonly #native: Native;
  readonly #fd: number;
  readonly #bytes = new Uint8Array(65536);
  readonly #fds = new Int32Array(2);
  readonly #sleeper = new Int32Array(new SharedArrayBuffer(4));
  readonly #text = new TextDecoder('latin1');
  readonly #deviceTurn: (() => boolean) | null;
  readonly #printed: () => string;
  #received = '';
  /** Answers to come that nobody waits for any more. */
  #abandoned = 0;
  #ended = false;

  /**
   * Takes over a connected, non-blocking socket. `deviceTurn` gives devices on this thread time while QEMU is waited for; `printed` answers what QEMU
   * has printed, for the error when it has gone.
   */
  constructor(native: Native, fd: number, deviceTurn: (() => boolean) | null = null, printed = () => '') {
    this.#native = native;
    this.#fd = fd;
    this.#deviceTurn = deviceTurn;
    this.#printed = printed;
  }

  /** Sends a command and waits for its answer, which blocks this thread: what comes after OK. @throws Error when QEMU refuses it, or is gone. */
  command(line: string): string {
    const what = line.slice(0, 80);
    this.#send(line);
    const answer = this.#answerTo(what);
    if (answer === 'OK') return '';
    if (answer.startsWith('OK ')) return answer.slice(3);
    throw new Error(`qtest: ${what}: ${answer}`);
  }

  /** As `command`, for those that answer a number. */
  number(line: string): number {
    return Number(this.command(line));
  }

  /** Takes what has come about interrupts, and gives devices on this thread time. True when they did something. @throws Error when QEMU is gone. */
  turn(): boolean {
    const stray = this.#answer();
    if (stray !== null) throw new Error(`qtest: an answer to nothing: ${stray}`);
    if (this.#ended) throw this.#gone();
    return this.#deviceTurn?.() ?? false;
  }

  /** Returns when QEMU's main loop has seen to everything that was readable before: it looks at all of it, and at our commands, once in a round. */
  passMainLoop(): void {
    for (let round = 0; round < 2; round++) this.command('readb 0x0');
  }

  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#native.close(this.#fd);
  }

  #send(line: string): void {
    if (this.#ended) throw this.#gone(line.slice(0, 80));
    const bytes = Buffer.from(`${line}\n`, 'latin1');
    let sent = 0;
    try {
      while (sent < bytes.length) {
        const count = this.#native.send(this.#fd, bytes, sent, bytes.length - sent, null);
        if (count > 0) sent += count;
        else if (count === -EAGAIN) this.#wait(0);
        else throw this.#gone(line.slice(0, 80));
      }
    } catch (error) {
      // Half a command cannot be taken back.
      this.close();
      throw error;
    }
  }

  /** An answer that is given up on is not taken for that to the next command. */
  #answerTo(what: string): string {
    const deadline = performance.now() + ANSWER_TIMEOUT_MS;
    try {
      for (let looks = 0; ; looks++) {
        const answer = this.#answer();
        if (answer !== null) return answer;
        if (this.#ended) throw this.#gone(what);
        if (performance.now() > deadline)
          throw new Error(`qtest: QEMU has not answered in ${ANSWER_TIMEOUT_MS} ms: ${what}`);
        this.#wait(looks);
      }
    } catch (error) {
      this.#abandoned++;
      throw error;
    }
  }

  #gone(what = ''): Error {
    return new Error(`QEMU has gone${what && `, at qtest's ${what}`}\n${this.#printed()}`.trimEnd());
  }

  #wait(looks: number): void {
    if (this.#deviceTurn?.() === true || looks < 100) return;
    Atomics.wait(this.#sleeper, 0, 0, 0.1);
  }

  /** The next line that is an answer, or null when none has come whole. */
  #answer(): string | null {
    for (;;) {
      const end = this.#received.indexOf('\n');
      if (end < 0) {
        if (!this.#receive()) return null;
        continue;
      }
      const line = this.#received.slice(0, end).trimEnd();
      this.#received = this.#received.slice(end + 1);
      if (line.startsWith('IRQ ')) this.#interrupt(line);
      else if (this.#abandoned > 0) this.#abandoned--;
      else return line;
    }
  }

  #receive(): boolean {
    if (this.#ended) return false;
    const count = this.#native.receive(this.#fd, this.#bytes, 0, this.#bytes.length, this.#fds);
    if (count === -EAGAIN) return false;
    if (count <= 0) {
      this.close();
      return false;
    }
    this.#received += this.#text.decode(this.#bytes.subarray(0, count));
    return true;
  }

  /** `IRQ raise 20`, `IRQ lower 20`. */
  #interrupt(line: string): void {
    const [, how, number] = line.split(' ');
    const input = Number(number);
    this.levels.set(input, how === 'raise');
    if (how === 'raise') this.raised.set(input, (this.raised.get(input) ?? 0) + 1);
  }
}
