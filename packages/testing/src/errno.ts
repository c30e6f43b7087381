import { getSystemErrorName } from 'node:util';
import { Command, HeaderFlag } from '@sidecard/core';
import type { Message } from './message.ts';

const commandNames = new Map<number, string>(Object.entries(Command).map(([name, number]) => [number, name]));

/** A command that the server answered with an error. */
export class CommandError extends Error {
  readonly command: number;
  /** A positive errno. */
  readonly errno: number;

  constructor(message: Message) {
    const name = message.error > 0 ? getSystemErrorName(-message.error) : 'an error without a number';
    super(`${commandNames.get(message.command) ?? `command ${message.command}`}: ${name}`);
    this.command = message.command;
    this.errno = message.error;
  }
}

/** The message itself when it is no error. @throws CommandError */
export function succeeded(message: Message): Message {
  if ((message.flags & HeaderFlag.error) !== 0) throw new CommandError(message);
  return message;
}
