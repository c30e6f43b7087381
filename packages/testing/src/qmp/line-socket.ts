import { createServer, type Server, type Socket } from 'node:net';

/** A UNIX socket that waits for QEMU to connect, and then gives its lines and takes ours. */
export class LineSocket {
  /** Called with every line; set it before the other side connects. */
  onLine: (line: string) => void = () => {};
  readonly #server: Server;
  #socket: Socket | undefined;
  #pending = '';
  #unsent: string[] = [];

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => this.#connected(socket));
  }

  static listen(path: string): Promise<LineSocket> {
    return new Promise((resolve, reject) => {
      const server = createServer();
      server.once('error', reject);
      server.listen(path, () => resolve(new LineSocket(server)));
    });
  }

  send(line: string): void {
    if (this.#socket) this.#socket.write(`${line}\n`);
    else this.#unsent.push(line);
  }

  close(): void {
    this.#socket?.destroy();
    this.#server.close();
  }

  #connected(socket: Socket): void {
    this.#socket = socket;
    this.#pending = '';
    socket.setEncoding('utf8');
    // QEMU that is killed resets the connection; whoever waits hears of it from the process.
    socket.on('error', () => {});
    socket.on('data', (text: string) => this.#received(text));
    for (const line of this.#unsent.splice(0)) this.send(line);
  }

  #received(text: string): void {
    const lines = (this.#pending + text).split('\n');
    this.#pending = lines.pop() as string;
    for (const line of lines) this.onLine(line.trimEnd());
  }
}
