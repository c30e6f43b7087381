import { type ControlRequest, type DeviceControl, type Metric, Refusal, type Schema } from '@sidecard/daemon';
import type { Idio16 } from './card.ts';
import { bitsOf, inputNames, type Levels, levelsOf, maskOf, outputNames } from './lines.ts';
import { Pulses } from './pulses.ts';

const level = { enum: [0, 1] };
const flag = { type: 'boolean' };
const some = (names: readonly string[]): Schema => ({
  type: 'object',
  properties: Object.fromEntries(names.map((name) => [name, level])),
  minProperties: 1,
  additionalProperties: false,
});
const all = (names: readonly string[]): Schema => ({ ...some(names), required: names });
const record = (properties: { readonly [name: string]: Schema }): Schema => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
});
const atMs = { type: 'number', description: 'Milliseconds of a clock that only goes on.' };

interface Pulse {
  readonly inputs: readonly string[];
  readonly ms: number;
}

/** What the control socket has of this card. */
export function control(card: Idio16): DeviceControl {
  const pulses = new Pulses(card);
  const inputs = () => levelsOf(inputNames, card.terminals);
  const outputs = () => levelsOf(outputNames, card.outputs);
  const refuseLoopback = () => {
    if (card.loopback) throw new Refusal(409, 'the inputs are wired to the outputs (--loopback)');
  };
  return {
    routes: [
      {
        method: 'GET',
        path: '/outputs',
        summary: 'The outputs, as the guest has set them.',
        answer: all(outputNames),
        handle: outputs,
      },
      {
        method: 'GET',
        path: '/inputs',
        summary: 'The levels at the inputs, before any filter.',
        answer: all(inputNames),
        handle: inputs,
      },
      {
        method: 'GET',
        path: '/card',
        summary: 'What the guest has switched on, and whether it has yet to serve an interrupt.',
        answer: record({
          interrupts: record({ on: flag, changedLow: flag, changedHigh: flag, asserted: flag }),
          filters: all(inputNames),
        }),
        handle: () => describe(card),
      },
      {
        method: 'PATCH',
        path: '/inputs',
        summary: 'Sets inputs, one, several or all, at the same moment. Answers all inputs.',
        body: some(inputNames),
        answer: all(inputNames),
        refusals: { 409: 'The inputs are wired to the outputs.' },
        handle: ({ body }: ControlRequest<Levels>) => {
          refuseLoopback();
          const mask = maskOf(inputNames, Object.keys(body));
          pulses.end(mask);
          card.setTerminals(bitsOf(inputNames, body), mask);
          return inputs();
        },
      },
      {
        method: 'POST',
        path: '/inputs/pulse',
        summary:
          'Turns inputs over for a time. Answers all inputs, when that is over. An input that is set meanwhile stays as it was set.',
        body: record({
          inputs: { type: 'array', items: { enum: inputNames }, minItems: 1, maxItems: 16, uniqueItems: true },
          ms: { type: 'number', minimum: 1, maximum: 60_000 },
        }),
        answer: all(inputNames),
        refusals: { 409: 'The inputs are wired to the outputs, or one of them is under a pulse already.' },
        handle: async ({ body }: ControlRequest<Pulse>) => {
          refuseLoopback();
          const mask = maskOf(inputNames, body.inputs);
          if (mask & pulses.inputs) throw new Refusal(409, 'an input is under a pulse already');
          await pulses.run(mask, body.ms);
          return inputs();
        },
      },
    ],
    events: [
      {
        path: '/changes',
        summary: 'Outputs and inputs, and each change of them.',
        state: {
          answer: record({ atMs, outputs: all(outputNames), inputs: all(inputNames), loopback: flag }),
          read: () => ({
            atMs: card.host.clock.now(),
            outputs: outputs(),
            inputs: inputs(),
            loopback: card.loopback,
          }),
        },
        change: {
          answer: record({ atMs, changed: some([...outputNames, ...inputNames]) }),
          subscribe: (send) =>
            card.changes.watch((changedOutputs, changedInputs) =>
              send({
                atMs: card.host.clock.now(),
                changed: {
                  ...levelsOf(outputNames, card.outputs, changedOutputs),
                  ...levelsOf(inputNames, card.terminals, changedInputs),
                },
              }),
            ),
        },
      },
    ],
    metrics: metrics(card),
  };
}

function describe({ registers, state, filters }: Idio16): object {
  const { changedLow, changedHigh, asserted } = registers.status;
  return {
    interrupts: {
      on: state.interruptsOn === 1,
      changedLow: changedLow === 1,
      changedHigh: changedHigh === 1,
      asserted: asserted === 1,
    },
    filters: levelsOf(inputNames, filters),
  };
}

function metrics(card: Idio16): Metric[] {
  const counter = (name: string, help: string, read: () => number): Metric => ({
    name: `sidecard_gpio_${name}_total`,
    type: 'counter',
    help,
    read,
  });
  return [
    counter('output_changes', 'Outputs that the guest has changed.', () => card.changes.outputs),
    counter('input_changes', 'Inputs that the world has changed, before filters.', () => card.changes.inputs),
    counter('interrupts', 'Times that the interrupt was asserted.', () => card.interrupts),
  ];
}
