import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';

/** A client that negotiates the version and then says nothing. */
export async function connectOnly(path: string): Promise<Socket> {
  const socket = createConnection(path);
  await once(socket, 'connect');
  const message = Buffer.alloc(20);
  message.writeUInt16LE(1, 0); // message id
  message.writeUInt16LE(1, 2); // VERSION
  message.writeUInt32LE(message.length, 4);
  message.writeUInt16LE(1, 18); // version 0.1, and no JSON
  socket.write(message);
  await once(socket, 'data');
  return socket;
}
