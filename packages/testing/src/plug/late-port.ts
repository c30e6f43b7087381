import { VfioUserPort } from '../pci/vfio-user-port.ts';
import { generator } from '../random.ts';

/**
 * A port whose client answers DMA messages late, and not in the order in which they came; only writes keep theirs among themselves, as with any
 * client that there is: the last word of a completion is a message after the others.
 */
export class LatePort extends VfioUserPort {
  readonly #random = generator(7);

  override turn(): boolean {
    const worked = super.turn();
    const { dma } = this.client.wire;
    const held = dma.held.splice(0);
    if (held.length === 0) return worked;
    const writes = held.filter(({ kind }) => kind === 'write');
    held.sort(() => this.#random() - 0.5);
    held.forEach(({ kind }, index) => {
      if (kind === 'write') held[index] = writes.shift()!;
    });
    dma.held.push(...held.splice(Math.ceil(held.length / 2)));
    for (const request of held) dma.answer(request);
    return true;
  }
}
