import { expect, test } from 'vitest';
import { HEADER_BYTES, MAX_VERSION_REPLY_BYTES, type VersionData } from '../../src/protocol/messages.ts';
import { type ClientLimits, readVersion, versionReply } from '../../src/protocol/negotiation.ts';

function request(major: number, minor: number, data: string): Uint8Array {
  return new Uint8Array([major, 0, minor, 0, ...new TextEncoder().encode(data)]);
}

function reply(client: ClientLimits, twinFdIndex = -1): { minor: number; data: VersionData; sizeBytes: number } {
  const payload = versionReply(client, twinFdIndex);
  expect(payload.at(-1)).toBe(0);
  const data = JSON.parse(new TextDecoder().decode(payload.subarray(4, -1))) as VersionData;
  return { minor: payload[2]!, data, sizeBytes: HEADER_BYTES + payload.length };
}

// What QEMU 11.1 sends.
const qemu = `{"capabilities":{"pgsizes":4096,"max_msg_fds":16,"max_dma_maps":65535,"max_data_xfer_size":1048576,
  "migration":{"max_bitmap_size":268435456,"pgsize":4096},"write_multiple":true}}\0`;

test('QEMU gets its capabilities in a reply that fits into its buffer', () => {
  const client = readVersion(request(0, 0, qemu)) as ClientLimits;
  expect(client).toEqual({
    minor: 0,
    maxMessageFds: 16,
    maxDataXferBytes: 1048576,
    writeMultiple: true,
    twinSocket: false,
  });
  const { minor, data, sizeBytes } = reply(client);
  expect(minor).toBe(0);
  expect(data.capabilities).toEqual({
    max_msg_fds: 16,
    max_data_xfer_size: 1048576,
    max_dma_maps: 65535,
    pgsizes: 4096,
    write_multiple: true,
  });
  expect(sizeBytes).toBeLessThanOrEqual(MAX_VERSION_REPLY_BYTES);
});

test.each(['', '\0', '{}', '{}\0', '{"capabilities":{}}'])('defaults where the client says nothing: %j', (data) => {
  const client = readVersion(request(0, 1, data)) as ClientLimits;
  expect(client).toMatchObject({
    maxMessageFds: 1,
    maxDataXferBytes: 1048576,
    writeMultiple: false,
    twinSocket: false,
  });
  expect(reply(client).data.capabilities).not.toHaveProperty('write_multiple');
});

test('the minor version in the reply is the lower one', () => {
  expect(reply(readVersion(request(0, 0, '')) as ClientLimits).minor).toBe(0);
  expect(reply(readVersion(request(0, 1, '')) as ClientLimits).minor).toBe(1);
  expect(reply(readVersion(request(0, 9, '')) as ClientLimits).minor).toBe(1);
});

test('a twin socket only where it was asked for, and the reply still fits', () => {
  const client = readVersion(
    request(0, 1, '{"capabilities":{"max_msg_fds":8,"write_multiple":true,"twin_socket":{"supported":true}}}'),
  ) as ClientLimits;
  expect(client.twinSocket).toBe(true);
  const { data, sizeBytes } = reply(client, 0);
  expect(data.capabilities?.twin_socket).toEqual({ supported: true, fd_index: 0 });
  expect(sizeBytes).toBeLessThanOrEqual(MAX_VERSION_REPLY_BYTES);
});

test.each([
  ['short', new Uint8Array(3)],
  ['major', request(1, 0, '')],
  ['json', request(0, 1, '{"capabilities":')],
  ['json', request(0, 1, '[]')],
  ['json', request(0, 1, '7')],
  ['json', request(0, 1, 'null')],
  ['capability', request(0, 1, '{"capabilities":[]}')],
  ['capability', request(0, 1, '{"capabilities":{"max_msg_fds":-1}}')],
  ['capability', request(0, 1, '{"capabilities":{"max_msg_fds":"16"}}')],
  ['capability', request(0, 1, '{"capabilities":{"max_data_xfer_size":0}}')],
  ['capability', request(0, 1, '{"capabilities":{"max_data_xfer_size":1.5}}')],
])('a request that makes no sense: %s', (fault, bytes) => {
  expect(readVersion(bytes as Uint8Array)).toBe(fault);
});
