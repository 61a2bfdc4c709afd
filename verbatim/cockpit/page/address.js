// The address of the page: opening what it names, writing what is shown, following a running session.

import {
  batch,
  cursor,
  dock,
  following,
  goTo,
  head,
  instrument,
  loaded,
  moveTo,
  notice,
  of,
  playing,
  plotTab,
  recordSeq,
  selectOrder,
  selected,
  session,
  setView,
  side,
  tick,
  view,
} from "./store.js";
import { get, source } from "./api.js";
import { at } from "./cursor.js";
import { DOCK, SIDE } from "./tabs.js";

const parse = () => {
  const [path, query = ""] = location.hash.replace(/^#/, "").split("?");
  return { name: decodeURIComponent(path.replace(/^\/?(s\/)?/, "")), given: new URLSearchParams(query) };
};

export function readAddress() {
  const { name, given } = parse();
  if (name !== session.value) return open(name, given);
  applyAddress(given);
}

function applyAddress(given) {
  const number = (key) => (given.has(key) && Number.isFinite(Number(given.get(key))) ? Number(given.get(key)) : null);
  batch(() => {
    if (number("from") !== null && number("to") !== null && number("to") > number("from"))
      setView(number("from"), number("to"));
    if (number("seq") !== null) goTo(number("seq")).catch(() => {});
    else if (number("time") !== null) moveTo(number("time"));
    if (given.has("order")) selectOrder(given.get("order"));
    if (number("record") !== null) recordSeq.value = number("record");
    if (DOCK.some(([key]) => key === given.get("tab"))) dock.value = given.get("tab");
    if (SIDE.some(([key]) => key === given.get("side"))) side.value = given.get("side");
    if (["price", "book"].includes(given.get("plot"))) plotTab.value = given.get("plot");
    if (number("i") !== null && head.value?.instruments[number("i")]) instrument.value = number("i");
    following.value = head.value?.is_live === true && (given.get("live") === "1" || !given.has("from"));
  });
}

let written = "";
export function writeAddress() {
  if (!session.value || !head.value || source.offline) return;
  const found = {
    seq: cursor.value.seq ?? undefined,
    time: cursor.value.seq === null ? Math.round(cursor.value.time) : undefined,
    from: view.value[0],
    to: view.value[1],
    order: selected.value || undefined,
    record: recordSeq.value ?? undefined,
    tab: dock.value,
    side: side.value,
    plot: plotTab.value === "price" ? undefined : plotTab.value,
    i: instrument.value || undefined,
    live: following.value ? 1 : undefined,
  };
  if (following.value) (delete found.seq, delete found.time);
  const query = new URLSearchParams(Object.entries(found).filter(([, value]) => value !== undefined));
  const address = `#/s/${encodeURIComponent(session.value)}?${query}`;
  if (address !== written && address !== location.hash) history.replaceState(null, "", address);
  written = address;
}

let stream = null,
  opening = 0;
async function open(name, given = new URLSearchParams()) {
  const mine = ++opening;
  stream?.close();
  stream = null;
  batch(() => {
    session.value = name;
    head.value = null;
    selected.value = "";
    recordSeq.value = null;
    at.value = null;
    playing.value = 0;
    following.value = false;
    instrument.value = 0;
    notice.value = "";
  });
  document.title = name ? `${name} · Verbatim` : "Verbatim cockpit";
  if (!name) return;
  try {
    const found = await get(of("head"));
    if (mine !== opening) return;
    loaded.value = 1;
    batch(() => {
      head.value = found;
      setView(0, Math.max(found.last_time, 1));
      cursor.value = { seq: null, time: found.last_time };
    });
    applyAddress(given);
    if (found.is_live && !source.offline) follow(name);
  } catch (error) {
    if (mine === opening) notice.value = error.message;
  }
}

function follow(name) {
  stream = new EventSource(`/api/s/${encodeURIComponent(name)}/stream`);
  stream.onmessage = (event) => {
    const now = JSON.parse(event.data);
    if (session.value !== name || !head.value) return;
    batch(() => {
      const before = head.value.last_time,
        [from, to] = view.value;
      head.value = { ...head.value, ...now };
      tick.value += 1;
      if (following.value) {
        cursor.value = { seq: null, time: now.last_time };
        const whole = from === 0 && to >= before * 0.98;
        if (whole) view.value = [0, now.last_time];
        else view.value = [Math.max(now.last_time - (to - from), 0), now.last_time];
      }
    });
    if (!now.is_live) {
      stream.close();
      following.value = false;
      get(of("head"))
        .then((found) => (head.value = found))
        .catch(() => {});
    }
  };
}
