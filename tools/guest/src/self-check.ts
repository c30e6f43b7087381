import type { Guest } from './guest.ts';

interface Step {
  name: string;
  /** Fails by its exit status; the last line that it prints is shown. */
  script: string;
}

const disk = '/dev/nvme0n1';

/** What `npm start` shows without a terminal: an unchanged Linux uses the device as its disk. */
const steps: readonly Step[] = [
  {
    name: 'identify',
    script: `nvme id-ctrl /dev/nvme0 >/run/id && echo "$(sed -n 's/^mn *: *//; T; s/ *$//p' /run/id), $(lsblk -dno SIZE ${disk})"`,
  },
  {
    name: 'write',
    script: `head -c 32M /dev/urandom >/tmp/data && dd if=/tmp/data of=${disk} bs=1M oflag=direct conv=fsync 2>&1 | tail -n 1`,
  },
  {
    name: 'read back',
    script: `sum() { sha256sum | cut -d ' ' -f 1; }; want=$(sum </tmp/data); echo 3 >/proc/sys/vm/drop_caches
      got=$(dd if=${disk} bs=1M count=32 iflag=direct status=none | sum); echo "sha256 $got"; [ "$got" = "$want" ]`,
  },
  {
    name: 'file system',
    script: `mkfs.ext4 -q ${disk} && mount ${disk} /mnt && cp /tmp/data /mnt/copy && umount /mnt && fsck.ext4 -fn ${disk} >/run/fsck 2>&1 &&
      mount ${disk} /mnt && cmp /tmp/data /mnt/copy && umount /mnt && echo 'ext4 made, filled, checked clean'`,
  },
];

/** True when every step went well; prints a line for each. */
export async function selfCheck(guest: Guest): Promise<boolean> {
  for (const { name, script } of steps) {
    const { status, stdout } = await guest.run(script);
    const said = stdout.trimEnd().split('\n').at(-1) ?? '';
    console.log(`${status === 0 ? 'ok    ' : 'FAILED'} ${name}: ${said}`);
    if (status === 0) continue;
    console.error(stdout, guest.log);
    return false;
  }
  return true;
}
