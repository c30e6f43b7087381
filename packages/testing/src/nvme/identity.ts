/** Identify Controller (NVMe Base 2.0, figure 275), what tests look at. */
export interface ControllerIdentity {
  readonly vendor: number;
  readonly serial: string;
  readonly model: string;
  readonly firmware: string;
  /** Most data of one command, bytes; 0: no limit. */
  readonly maxTransferBytes: number;
  readonly version: number;
  readonly oacs: number;
  readonly oncs: number;
  readonly namespaces: number;
  readonly volatileWriteCache: boolean;
  readonly subsystemName: string;
  readonly raw: Uint8Array;
}

/** Identify Namespace (NVM Command Set 1.0, figure 97). */
export interface NamespaceIdentity {
  readonly sizeBlocks: number;
  readonly capacityBlocks: number;
  readonly blockBytes: number;
  readonly features: number;
  readonly raw: Uint8Array;
}

export function parseController(raw: Uint8Array): ControllerIdentity {
  const view = new DataView(raw.buffer, raw.byteOffset, raw.length);
  const mdts = view.getUint8(77);
  return {
    vendor: view.getUint16(0, true),
    serial: ascii(raw, 4, 20),
    model: ascii(raw, 24, 40),
    firmware: ascii(raw, 64, 8),
    maxTransferBytes: mdts === 0 ? 0 : 4096 * 2 ** mdts,
    version: view.getUint32(80, true),
    oacs: view.getUint16(256, true),
    oncs: view.getUint16(520, true),
    namespaces: view.getUint32(516, true),
    volatileWriteCache: (view.getUint8(525) & 1) !== 0,
    subsystemName: ascii(raw, 768, 256),
    raw,
  };
}

export function parseNamespace(raw: Uint8Array): NamespaceIdentity {
  const view = new DataView(raw.buffer, raw.byteOffset, raw.length);
  const format = view.getUint8(26) & 0xf;
  return {
    sizeBlocks: Number(view.getBigUint64(0, true)),
    capacityBlocks: Number(view.getBigUint64(8, true)),
    blockBytes: 2 ** view.getUint8(128 + format * 4 + 2),
    features: view.getUint8(24),
    raw,
  };
}

function ascii(raw: Uint8Array, offset: number, length: number): string {
  return new TextDecoder('latin1').decode(raw.subarray(offset, offset + length)).replace(/[ \0]+$/, '');
}
