import { provision } from '@sidecard/guest';
import { missing } from '../missing.ts';

/** Why no guest can run on this machine, or undefined. */
export const noGuests: string | undefined = await missing(provision);
