import { GuestPort, type HookTable } from './guest-port.ts';
import { HostBuffer } from './host-buffer.ts';
import type { AccessMode, Declaration } from './register.ts';
import type { Hooks, RegisterFile, RegisterHooks } from './register-file.ts';
import { defineGroup } from './register-group.ts';
import { type PlacedRegister, RegisterLayout } from './register-layout.ts';
import { RegisterPlan } from './register-plan.ts';

/** The layout of a register file: data only, shared by the device, the driver's side, tracers and documents. */
export interface RegisterMap<D extends Declaration = Declaration> {
  readonly sizeBytes: number;
  readonly declaration: D;
  readonly registers: readonly PlacedRegister[];
  /** The register that owns each byte: its place in `registers` plus 1, or 0 for none. */
  readonly owner: Uint16Array;
  /** Per byte: the bits of each access mode. */
  readonly masks: { readonly [M in AccessMode]: Uint8Array };
  /** The bytes after a reset. */
  readonly resetBytes: Uint8Array;
  /** A register file over memory of its own, with the reset values. */
  create(hooks?: Hooks<D>): RegisterFile<D>;
  /**
   * A register file over `bytes`, which stay as they are (an arena's may be those of a predecessor; arena.registers() has
   * given new ones their reset values). @throws when they are not of the map's size.
   */
  create(bytes: HostBuffer, hooks?: Hooks<D>): RegisterFile<D>;
}

/**
 * Declares registers. @throws when registers overlap, do not fit, are misdeclared, or a reset value does not fit.
 */
export function registers<D extends Declaration>(sizeBytes: number, declaration: D): RegisterMap<D> {
  const layout = new RegisterLayout(sizeBytes, declaration);
  const plan = new RegisterPlan(layout);

  class Registers extends GuestPort {
    get map(): RegisterMap<D> {
      return map;
    }
    constructor(bytes: HostBuffer, hooks: HookTable) {
      super(bytes, plan, hooks);
      addChildren(this, bytes);
    }
  }
  const addChildren = defineGroup(declaration, Registers.prototype);

  function create(first?: HostBuffer | Hooks<D>, second?: Hooks<D>): RegisterFile<D> {
    const given = first instanceof HostBuffer;
    const bytes = given ? first : HostBuffer.alloc(sizeBytes);
    if (bytes.lengthBytes !== sizeBytes) {
      throw new Error(`a register file of ${sizeBytes} bytes over ${bytes.lengthBytes}`);
    }
    if (!given) bytes.bytes.set(plan.resetBytes);
    const hooks = hookTable(layout, (given ? second : first) as HookTree | undefined);
    return new Registers(bytes, hooks) as unknown as RegisterFile<D>;
  }
  const { registers: placed, owner, masks, resetBytes } = layout;
  const map: RegisterMap<D> = { sizeBytes, declaration, registers: placed, owner, masks, resetBytes, create };
  return map;
}

interface HookTree {
  readonly [name: string]: HookTree | RegisterHooks | undefined;
}

function hookTable(layout: RegisterLayout, tree: HookTree | undefined): HookTable {
  const none = () => new Array(layout.registers.length + 1).fill(null);
  const read: HookTable['read'][number][] = none();
  const cleared: HookTable['cleared'][number][] = none();
  const write: HookTable['write'][number][] = none();
  if (tree !== undefined) {
    for (const [i, { path }] of layout.registers.entries()) {
      let node: HookTree | RegisterHooks | undefined = tree;
      // Array elements share the hooks of their array: an index is no level of the tree. Names never look like one.
      for (const name of path) if (!/^\d+$/.test(name)) node = (node as HookTree | undefined)?.[name];
      const hooks = node as RegisterHooks | undefined;
      read[i + 1] = hooks?.read ?? null;
      cleared[i + 1] = hooks?.cleared ?? null;
      write[i + 1] = hooks?.write ?? null;
    }
  }
  return { read, cleared, write };
}
