import { expect, test } from 'vitest';
import { isLoopback, panelAddress, panelUrl } from '../../src/panel/panel-address.ts';

test.each([
  ['8080', '127.0.0.1', 8080, true],
  ['0', '127.0.0.1', 0, true],
  ['localhost:65535', '127.0.0.1', 65535, true],
  ['127.0.0.2:1', '127.0.0.2', 1, true],
  ['[::1]:8080', '::1', 8080, true],
  ['0.0.0.0:8080', '0.0.0.0', 8080, false],
  ['[::]:8080', '::', 8080, false],
  ['192.0.2.7:8080', '192.0.2.7', 8080, false],
])('%s', (text, address, port, loopback) => {
  expect(panelAddress(text)).toEqual({ address, port });
  expect(isLoopback(address)).toBe(loopback);
});

test.each([
  ...['', 'x', '-1', '65536', '100000', '1.5', '0x50', ' 80', '80 ', ':80', '127.0.0.1', '127.0.0.1:', '127.0.0.1:x'],
  ...['::1:80', '[127.0.0.1]:80', '[::1]', '[::1%lo]:80', 'example.org:80', '256.0.0.1:80', '127.1:80', 'http://x:80'],
])('%j is none', (text) => {
  expect(() => panelAddress(text)).toThrow(`--panel ${text}: neither a port`);
});

test.each([
  ['127.0.0.1', 'http://127.0.0.1:80/#token=t'],
  ['::1', 'http://[::1]:80/#token=t'],
  ['0.0.0.0', 'http://127.0.0.1:80/#token=t'],
  ['::', 'http://[::1]:80/#token=t'],
])('a browser finds %s at %s', (address, url) => {
  expect(panelUrl({ address, port: 80 }, 't')).toBe(url);
});
