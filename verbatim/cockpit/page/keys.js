// Playing, and the keys.

import {
  cursor,
  dock,
  effect,
  goLive,
  head,
  helpOpen,
  jump,
  markKind,
  moveTo,
  notice,
  playing,
  plotTab,
  selectOrder,
  setView,
  step,
  view,
  zoom,
} from "./store.js";
import { DOCK } from "./tabs.js";
import { nextTheme } from "./theme.js";

let frame = 0,
  lastFrame = 0;
effect(() => {
  cancelAnimationFrame(frame);
  if (!playing.value) return;
  lastFrame = 0;
  const forward = (now) => {
    if (lastFrame) {
      const time = cursor.peek().time + (now - lastFrame) * 1e6 * playing.peek(),
        [from, to] = view.peek();
      if (time >= head.value.last_time) return (playing.value = 0);
      moveTo(time);
      if (time > to) setView(time - (to - from) * 0.1, time + (to - from) * 0.9);
    }
    lastFrame = now;
    frame = requestAnimationFrame(forward);
  };
  frame = requestAnimationFrame(forward);
});

const KEYS = {
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  "[": () => jump(markKind.value, "back"),
  "]": () => jump(markKind.value, "on"),
  d: () => jump("decision", "on"),
  D: () => jump("decision", "back"),
  f: () => jump("fill", "on"),
  F: () => jump("fill", "back"),
  r: () => jump("refusal", "on"),
  R: () => jump("refusal", "back"),
  a: () => jump("alarm", "on"),
  A: () => jump("alarm", "back"),
  "+": () => zoom(0.5),
  "=": () => zoom(0.5),
  "-": () => zoom(2),
  0: () => setView(0, head.value.last_time),
  " ": () => (playing.value = playing.value ? 0 : 1),
  l: () => head.value.is_live && goLive(),
  "/": () => {
    dock.value = "sql";
    setTimeout(() => document.querySelector(".sql textarea")?.focus(), 50);
  },
  g: () => document.querySelector("#goto")?.focus(),
  "?": () => (helpOpen.value = !helpOpen.value),
  Escape: () => {
    helpOpen.value = false;
    selectOrder("");
  },
  b: () => (plotTab.value = plotTab.value === "price" ? "book" : "price"),
  t: () => nextTheme(),
};
export const HELP = [
  ["← →", "one record back, on"],
  ["[ ]", "previous, next act of the chosen kind"],
  ["d f r a", "next decision, fill, refusal, alarm; with Shift the one before"],
  ["+ − 0", "zoom in, out, the whole session; the wheel zooms, dragging pans"],
  ["space", "play or stop"],
  ["l", "follow a running session"],
  ["g", "go to a record or a time"],
  ["/", "SQL"],
  ["1 … 7", "tables"],
  ["b", "price or book"],
  ["t", "light, dark, as the system"],
  ["?", "this help"],
];

addEventListener("keydown", (event) => {
  if (
    event.ctrlKey ||
    event.metaKey ||
    event.altKey ||
    /INPUT|TEXTAREA|SELECT/.test(event.target.tagName) ||
    !head.value
  )
    return;
  if (event.key === " " && event.target.tagName === "BUTTON") return;
  const tab = DOCK[Number(event.key) - 1];
  if (tab && event.key !== "0") dock.value = tab[0];
  else if (event.key in KEYS) {
    event.preventDefault();
    Promise.resolve(KEYS[event.key]()).catch((error) => (notice.value = error.message));
  }
});
