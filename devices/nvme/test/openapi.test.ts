import { join } from 'node:path';
import { openControl } from '@sidecard/daemon';
import { testOpenApi } from '../../../packages/daemon/test/control/openapi-contract.ts';
import { startNvme } from './daemon.ts';

testOpenApi({
  start: async () => {
    const drives = ['--drive', 'file={folder}/disk.img,size=1M', '--drive', 'mem:1M'];
    const daemon = await startNvme([...drives, '--control', '{folder}/control.sock']);
    const controlPath = join(daemon.folder, 'control.sock');
    const control = await openControl(controlPath);
    const end = async () => {
      control.close();
      await daemon.stop();
      await daemon.remove();
    };
    return { control, controlPath, end };
  },
  file: new URL('../openapi.json', import.meta.url),
  requests: {
    postNamespaces: { body: { drive: 'mem:1M', nsid: 5, attached: false } },
    deleteNamespacesNsid: { parameters: { nsid: 2 }, status: 204 },
    patchNamespacesNsid: { body: { sizeBytes: 2 << 20 } },
    postNamespacesNsidAttach: { parameters: { nsid: 5 } },
    // Only what cannot be said without a drive that fails.
    postNamespacesNsidClearFailure: { status: 409 },
    patchNamespacesNsidLimits: { body: { iops: 5000, bytesPerSecond: null } },
  },
});
