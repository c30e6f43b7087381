import { acceptsPerSlice } from './acceptor.ts';
import { EventTopic } from './event-topic.ts';
import { type EventRoute, Refusal } from './route.ts';
import { Slices } from './slices.ts';
import { Turns } from './turns.ts';

/** Readers of streams at once. */
export const maxStreams = 16;

/** What the control servers of a device have of its thread: one share for all of them, however many there are. */
export class Share {
  readonly accepts = new Slices(acceptsPerSlice);
  readonly turns = new Turns();
  readonly #topics = new Map<EventRoute, EventTopic>();

  /** @throws Refusal 503 when there are too many streams. */
  topic(route: EventRoute): EventTopic {
    let readers = 0;
    for (const topic of this.#topics.values()) readers += topic.readers;
    if (readers >= maxStreams) throw new Refusal(503, `there are ${maxStreams} streams already`);
    const topic = this.#topics.get(route) ?? new EventTopic(route);
    this.#topics.set(route, topic);
    return topic;
  }
}
