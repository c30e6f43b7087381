import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LineSocket } from '@sidecard/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { qemuEnd } from '../../../packages/testing/test/qemu-end.ts';
import { Agent } from '../src/agent.ts';

let folder: string;
let lines: LineSocket;
let path: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sidecard-channel-'));
  path = join(folder, 'socket');
  lines = await LineSocket.listen(path);
});
afterEach(() => {
  lines.close();
  rmSync(folder, { recursive: true });
});

describe('the agent', () => {
  const done = (line: string): string => {
    const [number, , command] = line.split(' ') as [string, string, string];
    return `${number} 3 ${Buffer.from(`ran ${Buffer.from(command, 'base64')}`).toString('base64')}\n`;
  };

  test('runs commands, also those asked for before the guest is up', async () => {
    const agent = new Agent(lines);
    const early = agent.run('one', 1000);
    const socket = qemuEnd(path, done);
    expect(await early).toEqual({ status: 3, stdout: 'ran one' });
    expect(await agent.run('two\nlines', 1000)).toEqual({ status: 3, stdout: 'ran two\nlines' });
    socket.destroy();
  });

  test('counts boots, and gives up commands of the boot before', async () => {
    const agent = new Agent(lines);
    const socket = qemuEnd(path, () => '');
    socket.write('ready 1\n');
    await agent.booted(1);
    const lost = expect(agent.run('sleep', 1000)).rejects.toThrow('the guest was reset during: sleep');
    socket.write('rea');
    socket.write('dy 2\n');
    await agent.booted(2);
    await lost;
    socket.destroy();
  });

  test('ends every wait when the guest is gone', async () => {
    const agent = new Agent(lines);
    const waits = [agent.run('x', 1000), agent.booted(1)].map((wait) => expect(wait).rejects.toThrow('gone'));
    agent.close(new Error('gone'));
    await Promise.all(waits);
    await expect(agent.run('y', 1000)).rejects.toThrow('gone');
  });
});
