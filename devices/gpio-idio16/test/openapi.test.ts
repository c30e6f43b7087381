import { testOpenApi } from '../../../packages/daemon/test/control/openapi-contract.ts';
import { GpioDaemon } from './daemon.ts';

testOpenApi({
  start: async () => {
    const daemon = await GpioDaemon.start();
    const end = async () => {
      await daemon.stop();
      await daemon.remove();
    };
    return { control: daemon.control, controlPath: daemon.controlPath, end };
  },
  file: new URL('../openapi.json', import.meta.url),
  requests: {
    patchInputs: { body: { IN0: 1, IN1: 0 } },
    postInputsPulse: { body: { inputs: ['IN2'], ms: 1 } },
    postInputsWave: { body: { steps: [{ ms: 1, inputs: { IN2: 1 } }] } },
  },
  streams: { '/changes': (control) => control.patch('/inputs', { IN5: 1 }) },
});
