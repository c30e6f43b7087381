import {
  type Capabilities,
  DEFAULT_MAX_DATA_XFER_BYTES,
  HEADER_BYTES,
  MAX_DMA_MAPS,
  MAX_MESSAGE_FDS,
  MAX_VERSION_REPLY_BYTES,
  PROTOCOL_MAJOR,
  PROTOCOL_MINOR,
  VERSION_FIXED_BYTES,
  Version,
  type VersionData,
} from './messages.ts';

/** What the client has said of itself, with the specification's defaults where it said nothing. */
export interface ClientLimits {
  readonly minor: number;
  /** Descriptors that it takes in one message. */
  readonly maxMessageFds: number;
  /** Largest data of a DMA_READ or DMA_WRITE, bytes. */
  readonly maxDataXferBytes: number;
  readonly writeMultiple: boolean;
  readonly twinSocket: boolean;
}

export type VersionFault = 'short' | 'major' | 'json' | 'capability';

const MIN_DATA_XFER_BYTES = 4096;

/** Reads a VERSION request: 0.0 and 0.1 alike, with or without JSON, with or without the final NUL. */
export function readVersion(payload: Uint8Array): ClientLimits | VersionFault {
  if (payload.length < VERSION_FIXED_BYTES) return 'short';
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  if (view.getUint16(Version.major, true) !== PROTOCOL_MAJOR) return 'major';
  const minor = view.getUint16(Version.minor, true);
  const data = readData(payload.subarray(Version.data));
  if (data === null) return 'json';
  const offered: unknown = data.capabilities ?? {};
  if (!isObject(offered)) return 'capability';
  const capabilities = offered as Capabilities;
  const maxMessageFds = count(capabilities.max_msg_fds, 1, 0);
  const maxDataXferBytes = count(capabilities.max_data_xfer_size, DEFAULT_MAX_DATA_XFER_BYTES, MIN_DATA_XFER_BYTES);
  if (maxMessageFds < 0 || maxDataXferBytes < 0) return 'capability';
  return {
    minor,
    maxMessageFds,
    maxDataXferBytes,
    writeMultiple: capabilities.write_multiple === true,
    twinSocket: isObject(capabilities.twin_socket) && capabilities.twin_socket.supported === true && maxMessageFds > 0,
  };
}

/**
 * The payload of the reply. The numbers are this server's own limits; write_multiple and twin_socket only where the
 * client has them ("a subset of those proposed"). `twinFdIndex` is -1 without a twin socket.
 */
export function versionReply(client: ClientLimits, twinFdIndex: number): Uint8Array {
  const capabilities: Capabilities = {
    max_msg_fds: MAX_MESSAGE_FDS,
    max_data_xfer_size: DEFAULT_MAX_DATA_XFER_BYTES,
    max_dma_maps: MAX_DMA_MAPS,
    pgsizes: 4096,
    ...(client.writeMultiple ? { write_multiple: true } : {}),
    ...(twinFdIndex >= 0 ? { twin_socket: { supported: true, fd_index: twinFdIndex } } : {}),
  };
  const json = new TextEncoder().encode(`${JSON.stringify({ capabilities })}\0`);
  const payload = new Uint8Array(VERSION_FIXED_BYTES + json.length);
  if (HEADER_BYTES + payload.length > MAX_VERSION_REPLY_BYTES) throw new Error('VERSION reply is too long for QEMU');
  const view = new DataView(payload.buffer);
  view.setUint16(Version.major, PROTOCOL_MAJOR, true);
  view.setUint16(Version.minor, Math.min(client.minor, PROTOCOL_MINOR), true);
  payload.set(json, Version.data);
  return payload;
}

function readData(bytes: Uint8Array): VersionData | null {
  const nul = bytes.indexOf(0);
  const text = new TextDecoder().decode(nul < 0 ? bytes : bytes.subarray(0, nul)).trim();
  if (text === '') return {};
  try {
    const data: unknown = JSON.parse(text);
    return isObject(data) ? (data as VersionData) : null;
  } catch {
    return null;
  }
}

/** A whole number of at least `least`; -1 for anything else. */
function count(value: unknown, whenMissing: number, least: number): number {
  if (value === undefined) return whenMissing;
  return typeof value === 'number' && Number.isInteger(value) && value >= least ? value : -1;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
