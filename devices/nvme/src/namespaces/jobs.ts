import type { Command } from '../command/command.ts';
import type { Controller } from '../controller.ts';
import { type Failure, Status } from '../status.ts';

/** How a job has ended: the failure of its command, or success and dword 0. */
export interface Outcome {
  readonly failure: Failure;
  readonly result?: number;
}

/**
 * Steps of a command whose work is a job, behind all others. A successor that finds `working` looks into the journal: what the arena does not have yet (the
 * row of a namespace, its attachment) is what the command has done.
 */
export const JobStep = { working: 64, answered: 65 } as const;

/**
 * Work that may outlast the command that asked for it: formats, and what is done to the namespaces there are. It touches files, and nothing of the
 * guest's, so the command waits for it parked: a reset takes the command back at once, and the work goes on to its end. A successor finds it in a journal
 * (notes of drives, table of the pool).
 */
export class Jobs {
  /** The daemon ends: what is under way is left where a start finds it. */
  stopping = false;
  /** Called when it begins to. */
  readonly whenStopping = new Set<() => void>();
  readonly #controller: Controller;
  readonly #running = new Set<Promise<void>>();
  /** Of `exclusive`: the end of the last, and how many have not ended. */
  #last: Promise<void> = Promise.resolve();
  #exclusives = 0;

  constructor(controller: Controller) {
    this.#controller = controller;
  }

  /** Has the command wait for the work, and then end at step `answered`. Always false, as `park`. */
  answer(command: Command, work: Promise<Outcome>): false {
    const { generation } = command;
    command.step = JobStep.working;
    this.run(
      work
        .catch((error: unknown) => this.#failed(error))
        .then((outcome) => {
          const { processor, running } = this.#controller;
          // After a reset it is another command, and after a shutdown or a failure nobody is told anything more.
          if (command.generation !== generation || !command.parked || !running) return;
          if (outcome.failure !== Status.success) command.fail(outcome.failure);
          else command.result = outcome.result ?? 0;
          command.step = JobStep.answered;
          processor.unpark(command);
          this.#controller.wake();
        }),
    );
    return this.#controller.processor.park(command);
  }

  /** Work that nobody waits for. */
  run(work: Promise<unknown>): void {
    const running = work
      .catch((error: unknown) => this.#failed(error))
      .then(() => {
        this.#running.delete(running);
      });
    this.#running.add(running);
  }

  /**
   * Work on which namespaces there are, for a command. What has not begun when a reset takes its command back does not begin any more: nobody would hear
   * of it, and a driver that resets again and again would pile it up.
   */
  exclusive(work: () => Promise<Outcome>): Promise<Outcome> {
    const { processor } = this.#controller;
    const { generation } = processor;
    return this.inTurn(async () => {
      const isWanted = !this.stopping && generation === processor.generation;
      return isWanted ? work() : { failure: Status.internalError };
    });
  }

  /** Work on which namespaces there are, whoever wants it: one after the other, the first at once. It looks by itself whether the daemon ends. */
  inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const next = this.#exclusives++ === 0 ? work() : this.#last.then(work);
    const ended = () => {
      this.#exclusives--;
    };
    this.#last = next.then(ended, ended);
    this.run(this.#last);
    return next;
  }

  /** Our mistake: what the host refuses is an outcome. */
  #failed(error: unknown): Outcome {
    this.#controller.host.log.error({ error }, 'Work of the device failed: please report it');
    return { failure: Status.internalError };
  }

  /** Has everything end where it is; resolves when it has. */
  async stop(): Promise<void> {
    this.stopping = true;
    for (const tell of this.whenStopping) tell();
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}
