/** `node program.js fio`: prints, as JSON, how a program of the guests' packages is run on this machine itself. For benchmarks. */
import { ProvisionError } from './archive.ts';
import { provisionProgram } from './provision.ts';

try {
  console.log(JSON.stringify(await provisionProgram(process.argv[2] ?? '')));
} catch (error) {
  if (!(error instanceof ProvisionError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
