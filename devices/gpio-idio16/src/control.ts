import { type ControlRequest, type DeviceControl, type Metric, Refusal, type Schema } from '@sidecard/daemon';
import type { Idio16 } from './card.ts';
import { bitsOf, inputNames, type Levels, levelsOf, maskOf, outputNames } from './lines.ts';
import { Pulses } from './pulses.ts';
import { type WaveStep, Waves } from './waves.ts';

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
/** Longest time that a request may take, ms. */
const longestMs = 60_000;
const atMs = { type: 'number', description: 'Milliseconds of a clock that only goes on.' };

const wave: Schema = {
  type: 'object',
  properties: {
    startMs: {
      type: 'number',
      description: "When the steps' times begin, by the clock of /changes; now unless given.",
    },
    steps: {
      type: 'array',
      items: record({ ms: { type: 'number', minimum: 0, maximum: longestMs }, inputs: some(inputNames) }),
      minItems: 1,
      maxItems: 1000,
    },
  },
  required: ['steps'],
  additionalProperties: false,
};

interface Pulse {
  readonly inputs: readonly string[];
  readonly ms: number;
}

interface Wave {
  readonly startMs?: number;
  readonly steps: readonly WaveStep[];
}
/** What the control socket has of this card. */
export function control(card: Idio16): DeviceControl {
  const pulses = new Pulses(card);
  const inputs = () => levelsOf(inputNames, card.terminals);
  const outputs = () => levelsOf(outputNames, card.outputs);
  const refuseLoopback = () => {
    if (card.loopback) throw new Refusal(409, 'the inputs are wired to the outputs (--loopback)');
  };
  const set = (levels: Levels) => {
    const mask = maskOf(inputNames, Object.keys(levels));
    pulses.end(mask);
    card.setTerminals(bitsOf(inputNames, levels), mask);
  };
  const waves = new Waves(card.host.clock, set);
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
          set(body);
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
          ms: { type: 'number', minimum: 1, maximum: longestMs },
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
      {
        method: 'POST',
        path: '/inputs/wave',
        summary: 'Sets inputs at given times. Answers when that is over, with how late the latest step was.',
        body: wave,
        answer: record({ latestMs: { type: 'number', minimum: 0 } }),
        refusals: { 409: 'The inputs are wired to the outputs.' },
        handle: async ({ body: { startMs, steps } }: ControlRequest<Wave>) => {
          refuseLoopback();
          const nowMs = card.host.clock.now();
          if (startMs !== undefined && startMs > nowMs + longestMs)
            throw new Refusal(400, `startMs is more than a minute away: it is ${nowMs} now`);
          const early = steps.findIndex(({ ms }, index) => index > 0 && ms < steps[index - 1]!.ms);
          if (early > 0) throw new Refusal(400, `step ${early} is before the one before it`);
          return { latestMs: await waves.play(startMs ?? nowMs, steps) };
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
