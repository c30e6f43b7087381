/** What a handler answers instead of an errno: done, or the reply comes later, or the outbox has no room for it yet. */
export const Outcome = { done: 0, deferred: -1, stalled: -2 } as const;
