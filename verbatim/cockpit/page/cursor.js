// The answers about the cursor, which several panels share.

import { cursor, head, of, signal, tick, useAnswer } from "./store.js";
import { utc } from "./format.js";

export const when = (time, digits = 3) => utc(head.value.origin_ns, time, digits);
export const live = () => (head.value?.is_live ? tick.value : 0);
export const atSeq = () => cursor.value.seq ?? at.value?.seq ?? null;
export const at = signal(null); // the answers about the cursor

export function AtCursor() {
  const answer = useAnswer(
    () =>
      head.value && {
        path: of("at"),
        parameters: cursor.value.seq !== null ? { seq: cursor.value.seq } : { time: Math.round(cursor.value.time) },
      },
    30,
  );
  if (answer.value && answer.value !== at.peek()) queueMicrotask(() => (at.value = answer.value));
  return null;
}
