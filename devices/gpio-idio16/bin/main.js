#!/usr/bin/env -S node --no-memory-reducer
// Committed JavaScript: pnpm links bins before dist exists, and only this can speak to a Node that is too old.
// V8's memory reducer wakes an idle process every 8 s, for nothing, and can only be left out at the start.
const major = Number(process.versions.node.split('.')[0]);
if (major < 22) {
  console.error(
    `sidecard-gpio-idio16 needs Node 22 or later, this is ${process.version}; in the repository, use node_modules/.bin/node`,
  );
  process.exit(1);
}
await import('../dist/main.js');
