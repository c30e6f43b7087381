import { createHash, randomBytes } from 'node:crypto';

/** PCI ids that no vendor has: drivers match an NVMe controller by its class, and no quirk of another device applies. */
export const pciVendor = 0x1234;
export const pciDevice = 0x5c08;
/** NVM Express I/O controller (PCI Code and ID Assignment 1.11: 01h, 08h, 02h). */
export const pciClass = 0x01_08_02;

export const modelNumber = 'Sidecard NVMe Controller';

function derive(seed: Uint8Array, purpose: string, lengthBytes: number): Uint8Array {
  const hash = createHash('sha256').update('sidecard/nvme/').update(purpose).update(seed).digest();
  return new Uint8Array(hash.subarray(0, lengthBytes));
}

/** A UUID of version 8, made by us of the seed (RFC 9562, 5.8). */
function uuid(seed: Uint8Array, purpose: string): Uint8Array {
  const id = derive(seed, purpose, 16);
  id[6] = (id[6]! & 0x0f) | 0x80;
  id[8] = (id[8]! & 0x3f) | 0x80;
  return id;
}

function uuidText(id: Uint8Array): string {
  const hex = Buffer.from(id).toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** Who the controller is: derived from its first drive, so that two never are the same (storage.md, Identity). */
export interface ControllerIdentity {
  readonly serialNumber: string;
  readonly subnqn: string;
  /** For the PCI Device Serial Number capability: an EUI-64. */
  readonly pciSerial: Uint8Array;
}

/** @param serial what the person gave as `serial=`, or null. */
export function controllerIdentity(seed: Uint8Array, serial: string | null): ControllerIdentity {
  const serialNumber =
    serial ??
    Buffer.from(derive(seed, 'serial', 10))
      .toString('hex')
      .toUpperCase();
  return {
    serialNumber,
    subnqn: `nqn.2014-08.org.nvmexpress:uuid:${uuidText(uuid(seed, `subnqn/${serialNumber}`))}`,
    pciSerial: localEui64(seed, 'pci'),
  };
}

export interface NamespaceIdentity {
  readonly nguid: Uint8Array;
  readonly eui64: Uint8Array;
  readonly uuid: Uint8Array;
}

export function namespaceIdentity(seed: Uint8Array): NamespaceIdentity {
  const nguid = derive(seed, 'nguid', 16);
  // Bytes 10:8 are an OUI; with the local bit nobody's (NVMe Base 2.0, 4.5.1.2).
  nguid[8] = (nguid[8]! & 0xfc) | 0x02;
  return { nguid, eui64: localEui64(seed, 'eui64'), uuid: uuid(seed, 'uuid') };
}

/** Of a namespace that is made now: of nobody else's, ever. */
export function randomIdentity(): NamespaceIdentity {
  return namespaceIdentity(randomBytes(32));
}

/** An EUI-64, locally administered. */
function localEui64(seed: Uint8Array, purpose: string): Uint8Array {
  const id = derive(seed, purpose, 8);
  id[0] = (id[0]! & 0xfc) | 0x02;
  return id;
}
