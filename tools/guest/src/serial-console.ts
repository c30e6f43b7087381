import { createServer, type Server, type Socket } from 'node:net';

interface Waiting {
  text: string;
  resolve: (printed: string) => void;
}

/** A machine's serial port as a person at a terminal has it: text comes, text is typed, prompts end no line. */
export class SerialConsole {
  readonly #server: Server;
  #socket: Socket | undefined;
  #printed = '';
  /** How much of it was waited for. */
  #seen = 0;
  #waiting: Waiting | undefined;

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => this.#connected(socket));
  }

  static listen(path: string): Promise<SerialConsole> {
    return new Promise((resolve, reject) => {
      const server = createServer();
      server.once('error', reject);
      server.listen(path, () => resolve(new SerialConsole(server)));
    });
  }

  /** All that was printed so far, without what moves cursors and chooses colours. */
  get printed(): string {
    return this.#printed;
  }

  type(text: string): void {
    this.#socket?.write(text);
  }

  /** What is printed from where the last wait ended up to and with that text. */
  until(text: string): Promise<string> {
    return new Promise((resolve) => {
      this.#waiting = { text, resolve };
      this.#look();
    });
  }

  close(): void {
    this.#socket?.destroy();
    this.#server.close();
  }

  #connected(socket: Socket): void {
    this.#socket = socket;
    let raw = '';
    socket.setEncoding('latin1');
    socket.on('error', () => {});
    socket.on('data', (text: string) => {
      raw += text;
      // A sequence may come in pieces: what may be the beginning of one waits for the rest.
      const cut = raw.lastIndexOf('\x1b');
      const whole = cut >= 0 && raw.length - cut < 16 && !controlSequence.test(raw.slice(cut)) ? cut : raw.length;
      this.#printed += raw.slice(0, whole).replaceAll(controlSequences, '');
      raw = raw.slice(whole);
      this.#look();
    });
  }

  #look(): void {
    if (!this.#waiting) return;
    const at = this.#printed.indexOf(this.#waiting.text, this.#seen);
    if (at < 0) return;
    const { text, resolve } = this.#waiting;
    const printed = this.#printed.slice(this.#seen, at + text.length);
    this.#seen = at + text.length;
    this.#waiting = undefined;
    resolve(printed);
  }
}

/** ECMA-48, 5.4: a control sequence; and the two-character escapes beside it. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what terminals are sent
const controlSequence = /\x1b(\[[0-?]*[ -/]*[@-~]|[^[])/;
const controlSequences = new RegExp(controlSequence, 'g');
