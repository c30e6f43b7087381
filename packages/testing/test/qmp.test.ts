import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LineSocket, Qmp } from '@sidecard/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { qemuEnd } from './qemu-end.ts';

let folder: string;
let lines: LineSocket;
let path: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sidecard-qmp-'));
  path = join(folder, 'socket');
  lines = await LineSocket.listen(path);
});
afterEach(() => {
  lines.close();
  rmSync(folder, { recursive: true });
});

test('the monitor matches replies, errors and events', async () => {
  const qmp = new Qmp(lines);
  const event = qmp.event('RESET');
  const socket = qemuEnd(path, (line) => {
    const { execute, id } = JSON.parse(line);
    if (execute === 'bad')
      return `${JSON.stringify({ id, error: { class: 'GenericError', desc: 'no such thing' } })}\n`;
    return `{"event":"RESET"}\n${JSON.stringify({ id, return: { did: execute } })}\n`;
  });
  expect(await qmp.execute('good')).toEqual({ did: 'good' });
  await expect(qmp.execute('bad')).rejects.toThrow('QEMU: no such thing');
  expect((await event).event).toBe('RESET');
  qmp.close(new Error('gone'));
  await expect(qmp.execute('good')).rejects.toThrow('gone');
  socket.destroy();
});
