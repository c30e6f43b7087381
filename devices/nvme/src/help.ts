export const doorbellsHelp =
  'trapped (costs nothing when idle), or mapped: a page for drivers that poll; looked at all the time with --poll, else at least every 1 ms when idle';

export const poolHelp =
  'room for namespaces that the guest makes: a folder (made if missing) and options size= (needed), cache=writeback|writethrough|none, sparse (room is not reserved)';

export const driveHelp =
  'a namespace: an image or block device, mem:SIZE or null:SIZE, with options size=, cache=writeback|writethrough|none, readonly, lba=512|4096, serial=, discard=unmap|ignore, iops= and bps= (limits in a second), on-stall=wait|error (fail what a file or device has not answered after=25s); may be repeated';
