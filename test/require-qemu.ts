/** Tests of the project `qemu` are skipped where QEMU cannot be had, and never pass. */
import { beforeEach } from 'vitest';

const missing = process.env.SIDECARD_NO_QEMU;
if (missing !== undefined) beforeEach(({ skip }) => skip(missing));
