import type { Command } from './command.ts';

// Memory of our own that a drive reads into, where it is not the guest's (`command.drive`). False when it is used up.

/** For data that is looked at, or written elsewhere. */
export function makeBuffer(command: Command, lengthBytes: number): boolean {
  return isThere(command, lengthBytes) || command.drive.addBuffer(lengthBytes);
}

/** For data that nobody wants. */
export function makeSink(command: Command, lengthBytes: number): boolean {
  return isThere(command, lengthBytes) || command.drive.addSink(lengthBytes);
}

/** Whether it is as long already, from the piece before; else it begins anew. */
function isThere(command: Command, lengthBytes: number): boolean {
  const { drive } = command;
  if (command.holdsDrive && drive.lengthBytes === lengthBytes) return true;
  if (command.holdsDrive) drive.release();
  command.holdsDrive = true;
  drive.begin('toGuest');
  return false;
}
