import { connect, type Socket } from 'node:net';

/** QEMU's end of a channel of lines: answers each with whatever `reply` makes of it. */
export function qemuEnd(path: string, reply: (line: string) => string): Socket {
  const socket = connect(path);
  let pending = '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    const parts = (pending + text).split('\n');
    pending = parts.pop() as string;
    for (const line of parts) socket.write(reply(line));
  });
  return socket;
}
