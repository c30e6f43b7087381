import { spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';
import { moduleText, natives } from './natives.ts';

describe.each(natives)('a file cut behind its mapping: $name', ({ create }) => {
  const native = create();

  it('reads as zeroes, is told by the flag, and hurts no other mapping', () => {
    const [fd, other] = [native.memfd('cut', 16384), native.memfd('whole', 4096)];
    const buffer = native.map(fd, 0, 16384, true) as ArrayBuffer;
    const whole = native.map(other, 0, 4096, true) as ArrayBuffer;
    const view = new Uint8Array(buffer).fill(7);
    const handle = native.mapping(buffer);
    const faults = native.faultCount[0]!;
    expect(native.faulted(handle)).toBe(0);
    native.truncate(fd, 4096);
    expect([view[0], view[5000], view[12_288]]).toEqual([7, 0, 0]);
    view[12_288] = 3;
    expect(view[12_288]).toBe(3);
    expect(native.faulted(handle)).toBe(1);
    expect(native.faultCount[0]).toBeGreaterThan(faults);
    expect(native.faulted(native.mapping(whole))).toBe(0);
    expect([native.unmap(buffer), native.unmap(whole)]).toEqual([0, 0]);
    for (const cut of [fd, other]) native.close(cut);
  });
});

describe('SIGBUS', () => {
  const native = natives[0]!.create();

  it('is EFAULT in a system call', () => {
    const [fd, file] = [native.memfd('cut', 8192), native.memfd('file', 8192)];
    const buffer = native.map(fd, 0, 8192, true) as ArrayBuffer;
    native.truncate(fd, 0);
    const handle = native.mapping(buffer);
    expect(native.pwrite(file, handle, 0, 4096, 0)).toBe(-constants.errno.EFAULT);
    expect(native.pread(file, handle, 0, 4096, 0)).toBe(-constants.errno.EFAULT);
    native.unmap(buffer);
    for (const fdToClose of [fd, file]) native.close(fdToClose);
  });

  const file =
    process.env.SIDECARD_NATIVE ?? new URL('../build/Release/sidecard_native.node', import.meta.url).pathname;
  const built = JSON.stringify(file);

  const guarded = `
    const fd = native.memfd('cut', 8192);
    const view = new Uint8Array(native.map(fd, 0, 8192, true));
    native.truncate(fd, 0);
    if (view[1] !== 0) process.exit(3);
  `;

  function run(body: string): { status: number | null; signal: string | null } {
    const shell = ['-c', 'ulimit -c 0; exec "$0" "$@"', process.execPath, ...moduleText(guarded + body)];
    const { status, signal } = spawnSync('bash', shell);
    return { status, signal };
  }

  it('that is ours ends nothing', () => {
    expect(run('')).toEqual({ status: 0, signal: null });
  });

  it('that somebody sent still kills', () => {
    const sent = "process.kill(process.pid, 'SIGBUS'); setTimeout(() => {}, 5000);";
    expect(run(sent)).toEqual({ status: null, signal: 'SIGBUS' });
  });

  it('is left to whoever handled it before, and ours is still handled afterwards', () => {
    // A second copy of the addon, as of another version of the package: both guard mappings of their own.
    const twins = `
      import { copyFileSync, rmSync } from 'node:fs';
      import { createRequire } from 'node:module';
      const copy = '/tmp/sidecard-twin-' + process.pid + '.node';
      copyFileSync(${built}, copy);
      const twin = createRequire('/')(copy);
      rmSync(copy);
      const views = [native, twin, native, twin].map((addon) => {
        const fd = addon.memfd('twin', 8192);
        const view = new Uint8Array(addon.map(fd, 0, 8192, true));
        addon.truncate(fd, 0);
        return view;
      });
      for (const view of views) if (view[1] !== 0) process.exit(3);
    `;
    expect(run(twins)).toEqual({ status: 0, signal: null });
  });

  it('of memory that is not ours still kills', () => {
    // A copy of the addon, cut after it was loaded: its code is then a file mapping without a file.
    const copied = `
      import { copyFileSync, mkdtempSync, truncateSync, rmSync } from 'node:fs';
      import { createRequire } from 'node:module';
      const folder = mkdtempSync('/tmp/sidecard-cut-');
      const copy = folder + '/copy.node';
      copyFileSync(${built}, copy);
      const binding = createRequire('/')(copy);
      truncateSync(copy, 0);
      rmSync(folder, { recursive: true });
      binding.nowUs();
    `;
    expect(run(copied)).toEqual({ status: null, signal: 'SIGBUS' });
  });
});
