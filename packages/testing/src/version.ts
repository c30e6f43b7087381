import { VERSION_FIXED_BYTES, Version, type VersionData } from '@sidecard/core';
import { decodeFields, encodeFields, type Message } from './message.ts';

export interface VersionOffer {
  readonly major?: number;
  /** 1 unless given; QEMU says 0. */
  readonly minor?: number;
  /** Left out: VERSION without JSON. A string is sent as it is, NUL added. */
  readonly data?: VersionData | string;
}

export interface Negotiated {
  readonly major: number;
  readonly minor: number;
  readonly data: VersionData;
  readonly fds: readonly number[];
  /** Client end of the twin socket; -1 without. */
  readonly twinFd: number;
}

/** What QEMU 11.1 offers. */
export const qemuOffer: VersionOffer = {
  minor: 0,
  data: {
    capabilities: {
      pgsizes: 4096,
      max_msg_fds: 16,
      max_dma_maps: 65535,
      max_data_xfer_size: 1048576,
      migration: { max_bitmap_size: 268435456, pgsize: 4096 },
      write_multiple: true,
    },
  },
};

export function encodeVersion(offer: VersionOffer): Uint8Array {
  const { major = 0, minor = 1, data } = offer;
  const text = data === undefined ? '' : `${typeof data === 'string' ? data : JSON.stringify(data)}\0`;
  const json = new TextEncoder().encode(text);
  const payload = new Uint8Array(VERSION_FIXED_BYTES + json.length);
  payload.set(encodeFields(Version, VERSION_FIXED_BYTES, { major, minor }));
  payload.set(json, Version.data);
  return payload;
}

export function decodeVersion(message: Message): Negotiated {
  const { payload, fds } = message;
  const { major, minor } = decodeFields(Version, VERSION_FIXED_BYTES, payload);
  const text = new TextDecoder().decode(payload.subarray(Version.data));
  if (text !== '' && !text.endsWith('\0')) throw new Error('the JSON of the VERSION reply has no final NUL');
  const data: VersionData = text === '' ? {} : JSON.parse(text.slice(0, -1));
  const twin = data.capabilities?.twin_socket;
  const twinFd = twin?.supported === true ? (fds[twin.fd_index ?? -1] ?? -1) : -1;
  return { major, minor, data, fds, twinFd };
}
