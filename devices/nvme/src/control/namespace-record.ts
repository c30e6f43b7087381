import type { Schema } from '@sidecard/daemon';
import type { Namespace } from '../namespaces/namespace.ts';
import { Status } from '../status.ts';

const text = { type: 'string' };
const flag = { type: 'boolean' };
const count = { type: 'integer', minimum: 0 };
const hex = (digits: number) => ({ type: 'string', pattern: `^[0-9a-f]{${digits}}$` });

const properties = {
  nsid: { type: 'integer', minimum: 1 },
  source: { enum: ['drive', 'pool'], description: 'Given by a person, or made by the guest in the room of --pool.' },
  drive: { ...text, description: 'The image, the block device, or what memory it is.' },
  sizeBytes: { ...count, description: 'Of the drive. What is less than a block at its end is not shown to the guest.' },
  blocks: { ...count, description: 'NSZE: the size that the guest sees, in blocks.' },
  blockBytes: { enum: [512, 4096] },
  nguid: hex(32),
  eui64: hex(16),
  uuid: { type: 'string', format: 'uuid' },
  cache: {
    enum: ['writeback', 'writethrough', 'none', null],
    description: 'null: in memory, and gone with the daemon.',
  },
  readOnly: flag,
  attached: { ...flag, description: 'The guest has it: it is active.' },
  state: {
    enum: ['ready', 'formatting', 'notReady', 'removing'],
    description: 'notReady: commands fail until it has been formatted, since a format could not be recorded.',
  },
  formatRemainingPercent: { type: 'integer', minimum: 0, maximum: 100, description: 'Of a format under way.' },
  commandsInFlight: { ...count, description: 'Commands that are at it.' },
  failure: {
    type: ['string', 'null'],
    description: 'Why flushes fail: one has failed, so acknowledged data may be lost.',
  },
  stalled: { ...flag, description: 'With on-stall=error: the drive has not answered in time, and gets nothing new.' },
} as const;

/** A namespace as the control socket tells it. */
export const namespaceSchema: Schema = {
  type: 'object',
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
};

export function describeNamespace(namespace: Namespace): { readonly [name in keyof typeof properties]: unknown } {
  const { nsid, backend, identity, lbaBytes, blocks, readOnly, attached } = namespace;
  const { sizeBytes } = backend.geometry;
  return {
    nsid,
    source: namespace.deletable ? 'pool' : 'drive',
    drive: backend.description,
    sizeBytes,
    blocks,
    blockBytes: lbaBytes,
    nguid: digits(identity.nguid),
    eui64: digits(identity.eui64),
    uuid: digits(identity.uuid).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
    cache: namespace.cache,
    readOnly,
    attached,
    state: stateOf(namespace),
    formatRemainingPercent: namespace.formatRemaining,
    commandsInFlight: namespace.users,
    failure: backend.failure ?? (namespace.flushFailed ? 'a flush failed, acknowledged data may be lost' : null),
    stalled: backend.stalled ?? false,
  };
}

function stateOf({ condemned, formatting, unavailable }: Namespace): string {
  if (condemned) return 'removing';
  if (formatting !== null) return 'formatting';
  return unavailable === Status.success ? 'ready' : 'notReady';
}

function digits(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
