/**
 * Speaks qtest and the monitor as QEMU does, and fails as its first argument says; a read of memory answers the address. `refuses`: it ends when it
 * meets its devices, as QEMU does, with its sockets connected. `dies` at a read of 0xdead. `late`: a read of 0x1a7e is answered with the command
 * after it. `stays`: it takes no notice of SIGTERM, nor of its reset button.
 */
import { connect } from 'node:net';

const [how, ...args] = process.argv.slice(2);
const pathOf = (option: string) => args[args.indexOf(option) + 1]!.replace('unix:', '');
if (how === 'stays') process.on('SIGTERM', () => {});

const monitor = connect(pathOf('-qmp'));
monitor.on('data', () => monitor.write('{"return": {}, "id": 1}\n'));
const qtest = connect(pathOf('-qtest'), () => {
  if (how === 'refuses') end('fake-qemu: no such device');
});

let late = '';
let pending = '';
qtest.setEncoding('utf8').on('data', (text: string) => {
  const lines = (pending + text).split('\n');
  pending = lines.pop()!;
  for (const line of lines) {
    const [command = '', address = ''] = line.split(' ');
    const answer = command.startsWith('read') ? `OK ${address}\n` : 'OK\n';
    if (how === 'dies' && address === '0xdead') end('fake-qemu: hardware error');
    else if (how === 'late' && address === '0x1a7e') late = answer;
    else {
      qtest.write(late + answer);
      late = '';
    }
  }
});
// Its parent has gone, or has closed.
qtest.on('close', () => how === 'stays' || process.exit(0));

function end(line: string): void {
  console.error(line);
  process.exit(1);
}
