/** Of Linux: what a region access or SET_IRQS that makes no sense is answered with. */
export const EINVAL = 22;
