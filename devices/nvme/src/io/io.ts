import { IoOpcode } from '../command/commands.ts';
import { changesBlocks, type OpcodeTable, opcodeTable } from '../command/opcode.ts';
import { compare } from './compare.ts';
import { copy } from './copy.ts';
import { manageDataset } from './dataset-management.ts';
import { flush } from './flush.ts';
import { read, write, writeZeroes } from './read-write.ts';
import { verify } from './verify.ts';
import { writeUncorrectable } from './write-uncorrectable.ts';

/** Opcodes of I/O queues (NVM Command Set 1.0, figure 21). ONCS says which of the optional ones there are. */
export const ioOpcodes: OpcodeTable = opcodeTable({
  [IoOpcode.flush]: { name: 'Flush', replay: 'again', effects: 0, run: flush },
  [IoOpcode.write]: {
    name: 'Write',
    replay: { resume: 'cursor 1: half of a fused operation, compared, so only written; else run again' },
    effects: changesBlocks,
    run: write,
  },
  [IoOpcode.read]: { name: 'Read', replay: 'again', effects: 0, run: read },
  [IoOpcode.compare]: { name: 'Compare', replay: 'again', effects: 0, run: compare },
  [IoOpcode.writeUncorrectable]: {
    name: 'Write Uncorrectable',
    replay: 'again',
    effects: changesBlocks,
    run: writeUncorrectable,
  },
  [IoOpcode.writeZeroes]: { name: 'Write Zeroes', replay: 'again', effects: changesBlocks, run: writeZeroes },
  [IoOpcode.datasetManagement]: {
    name: 'Dataset Management',
    replay: 'again',
    effects: changesBlocks,
    run: manageDataset,
  },
  [IoOpcode.verify]: { name: 'Verify', replay: 'again', effects: 0, run: verify },
  [IoOpcode.copy]: {
    name: 'Copy',
    replay: { resume: 'cursor: the blocks that are done' },
    effects: changesBlocks,
    run: copy,
  },
});
