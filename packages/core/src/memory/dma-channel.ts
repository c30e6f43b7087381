/**
 * The way to guest memory that is not mapped here: DMA_READ and DMA_WRITE messages to the client. The session provides
 * it. Each call is one message of at most MAX_DMA_MESSAGE_BYTES; its answer comes to `ClientMemory.dmaReplied` with the
 * same token. Tokens are never reused while an answer to them may still come.
 */
export interface DmaChannel {
  /** Most bytes of one message, where the client takes less than MAX_DMA_MESSAGE_BYTES. */
  readonly maxLengthBytes?: number;
  /** Asks for guest memory. False when it can't be sent now: asked again later, from `ClientMemory.poll`. */
  read(token: number, iova: number, lengthBytes: number): boolean;
  /** Writes guest memory; the source has been copied when this returns. False as with `read`. */
  write(token: number, iova: number, source: Uint8Array, offset: number, lengthBytes: number): boolean;
}

/** QEMU loses what doesn't fit in its socket buffer of a longer reply (facts/qemu-client.md, DMA by message). */
export const MAX_DMA_MESSAGE_BYTES = 32 * 1024;
