import type { Guest } from '@sidecard/guest';

/** A file system, as a person at a shell makes, checks and scrubs it. Commands end with a status other than 0 for any fault. */
export interface FileSystem {
  name: 'ext4' | 'xfs' | 'btrfs';
  make: (device: string) => string;
  /** While it is not mounted. */
  check: (device: string) => string;
  /** While it is mounted: reads all that it has sums of. */
  scrub?: (folder: string) => string;
}

export const fileSystems: readonly FileSystem[] = [
  { name: 'ext4', make: (device) => `mkfs.ext4 -q -F ${device}`, check: (device) => `fsck.ext4 -fn ${device}` },
  // xfs_scrub needs a kernel with XFS_ONLINE_SCRUB, which Debian's have from 7 on.
  { name: 'xfs', make: (device) => `mkfs.xfs -q -f ${device}`, check: (device) => `xfs_repair -n ${device}` },
  {
    name: 'btrfs',
    make: (device) => `mkfs.btrfs -q -f ${device}`,
    check: (device) => `btrfs check --check-data-csum ${device}`,
    scrub: (folder) => `btrfs scrub start -B ${folder} && btrfs device stats -c ${folder}`,
  },
];

const folder = '/mnt';
const sums = '/tmp/sums';

/** Files of all sizes to 2 MiB; the guest's shell writes them until none is left to write or no room is. */
const files = `n=1; while [ $n -lt 1000 ] && head -c $((n * 40099 % 2097152)) /tmp/data >${folder}/$n; do n=$((n + 17)); done 2>/dev/null`;

export async function mount(guest: Guest, { name }: FileSystem, device: string): Promise<void> {
  await guest.check(`mount -t ${name} ${device} ${folder}`);
}

export async function unmount(guest: Guest): Promise<void> {
  await guest.check(`umount ${folder} && echo 3 >/proc/sys/vm/drop_caches`);
}

/** Fills what is mounted to its last block, gives most of it back, and writes files in the gaps, whose sums it keeps. */
export async function fill(guest: Guest): Promise<void> {
  await guest.check(`head -c 2M /dev/urandom >/tmp/data; ${files}
    dd if=/dev/zero of=${folder}/rest bs=1M 2>&1 | grep -q 'No space left on device' || exit 1
    sync; rm ${folder}/rest ${folder}/*0; sync; fstrim ${folder} && ${files}
    cd ${folder} && find . -type f | xargs sha256sum >${sums} && [ $(wc -l <${sums}) -gt 40 ]`);
}

/** The files that fill() wrote, against their sums. */
export async function compare(guest: Guest): Promise<void> {
  await guest.check(`cd ${folder} && sha256sum -c --quiet ${sums}`);
}
