// The state of the page: one session, one cursor, one range of time. Everything else follows from these signals.

import { batch, effect, signal } from "./signals-core.js";
import { html, render, useEffect, useLayoutEffect, useRef, useState } from "./htm-preact.js";
import { get, progress } from "./api.js";
import { nameVenues } from "./format.js";

export { batch, effect, html, render, signal, useEffect, useLayoutEffect, useRef, useState };

export const session = signal(""); // "": the overview
export const head = signal(null);
export const cursor = signal({ seq: null, time: 0 });
export const view = signal([0, 1]); // range of time in the plots
export const hover = signal(null); // time under the pointer
export const selected = signal(""); // client order id
export const recordSeq = signal(null); // the record whose bytes are open
export const instrument = signal(0);
export const following = signal(false); // the cursor is glued to now
export const playing = signal(0); // times session time; 0: not
export const tick = signal(0); // counts changes of a running session
export const dock = signal("orders");
export const side = signal("why");
export const plotTab = signal("price");
export const theme = signal("auto");
export const loaded = signal(1);
export const notice = signal("");
export const seriesNames = signal([]);
export const expression = signal(null); // {name, points} of the SQL box
export const compared = signal(null);
export const helpOpen = signal(false);
export const confirming = signal(null); // the command that a person is asked to confirm
export const markKind = signal("fill");

effect(() => nameVenues(head.value?.instruments || []));

progress.listener = (share) => (loaded.value = share);

export function use(source) {
  const [, again] = useState(0);
  useLayoutEffect(() => {
    let first = true;
    return effect(() => {
      source.value;
      if (first) first = false;
      else again((count) => count + 1);
    });
  }, [source]);
  return source.peek();
}

// Keeps the answer to a question that depends on signals. One request at a time; the newest question wins.
export function useAnswer(question, every = 0) {
  const [answer, setAnswer] = useState({ value: null, error: "", key: "" });
  useEffect(() => {
    let busy = false,
      waiting = null,
      alive = true,
      last = "",
      quiet = 0;
    const ask = async (wanted) => {
      busy = true;
      try {
        const value = await get(wanted.path, wanted.parameters);
        loaded.value = 1;
        if (alive) setAnswer({ value, error: "", key: wanted.key });
      } catch (error) {
        if (alive) setAnswer((before) => ({ ...before, error: error.message }));
      }
      if (every) await new Promise((resume) => (quiet = setTimeout(resume, every)));
      busy = false;
      if (alive && waiting) {
        const next = waiting;
        waiting = null;
        ask(next);
      }
    };
    const stop = effect(() => {
      const wanted = question();
      if (!wanted) return;
      wanted.key = wanted.path + JSON.stringify(wanted.parameters || {}) + (wanted.again ?? "");
      if (wanted.key === last) return;
      last = wanted.key;
      if (busy) waiting = wanted;
      else ask(wanted);
    });
    return () => {
      alive = false;
      clearTimeout(quiet);
      stop();
    };
  }, []);
  return answer;
}

export const of = (name) => `s/${encodeURIComponent(session.value)}/${name}`;

export function moveTo(time, seq = null) {
  const end = head.value ? head.value.last_time : 0;
  batch(() => {
    cursor.value = { time: Math.max(0, Math.min(time, end)), seq };
    following.value = false;
  });
}

// Moves the cursor to a record, and the range of the plots if it is outside.
export async function goTo(seq, time = null) {
  if (seq === null || seq === undefined) return;
  if (time === null) {
    const found = await get(of("at"), { seq });
    time = found.time;
  }
  const [from, to] = view.value;
  batch(() => {
    moveTo(time, seq);
    if (time < from || time > to) setView(time - (to - from) / 2, time + (to - from) / 2);
  });
}

export function setView(from, to) {
  const end = head.value ? Math.max(head.value.last_time, 1) : 1;
  const width = Math.max(Math.min(to - from, end), 1e6);
  const begin = Math.max(0, Math.min(from, end - width));
  view.value = [Math.round(begin), Math.round(begin + width)];
}

export function zoom(factor, about = null) {
  const [from, to] = view.value;
  const centre = about ?? Math.min(Math.max(cursor.value.time, from), to);
  setView(centre - (centre - from) * factor, centre + (to - centre) * factor);
}

export async function jump(mark, way) {
  const { seq } = cursor.value;
  const at = seq ?? (await get(of("at"), { time: cursor.value.time })).seq;
  const found = await get(of("next"), { seq: at, mark, way });
  if (found.seq === null) notice.value = `no ${way === "back" ? "earlier" : "later"} ${mark}`;
  else {
    notice.value = "";
    recordSeq.value = found.seq;
    if (found.key) selectOrder(found.key);
    else selected.value = "";
    await goTo(found.seq, found.time);
  }
}

export async function step(count) {
  const { seq, time } = cursor.value;
  const at = seq ?? (await get(of("at"), { time })).seq;
  const next = Math.max(0, Math.min(at + count, head.value.last_seq));
  await goTo(next);
  recordSeq.value = next;
}

export const selectOrder = (id) => {
  selected.value = id;
  if (id) side.value = "why";
};

export const goLive = () => {
  following.value = true;
  cursor.value = { seq: null, time: head.value.last_time };
  const [from, to] = view.value;
  setView(head.value.last_time - (to - from), head.value.last_time);
};

// Shows a record's bytes, and moves the cursor to it.
export function openRecord(seq, time = null) {
  recordSeq.value = seq;
  return goTo(seq, time);
}
