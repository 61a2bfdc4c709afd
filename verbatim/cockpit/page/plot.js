// A canvas that draws when something it reads changes, with time on its x axis and prices on its right.

import { cursor, effect, goTo, head, hover, html, moveTo, setView, useEffect, useRef, view, zoom } from "./store.js";
import { get } from "./api.js";
import { utc } from "./format.js";

export const AXIS = 74; // width of the price axis
export const LEFT = 6;

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

let known = {};
export function palette() {
  const key = document.documentElement.dataset.theme + matchMedia("(prefers-color-scheme: dark)").matches;
  if (known.key !== key) {
    known = { key, isDark: getComputedStyle(document.documentElement).colorScheme === "dark" };
    for (const name of [
      "bg",
      "panel",
      "line",
      "grid",
      "text",
      "dim",
      "faint",
      "accent",
      "buy",
      "sell",
      "alarm",
      "good",
      "warn",
      "bid",
      "ask",
      "selected",
    ])
      known[name] = colour(name);
  }
  return known;
}

export const xOf = (time, width, [from, to]) => LEFT + ((time - from) / (to - from)) * (width - AXIS - LEFT);
export const timeOf = (x, width, [from, to]) => from + ((x - LEFT) / (width - AXIS - LEFT)) * (to - from);

const NICE = [1, 2, 5];
export function ticks(low, high, count) {
  if (!(high > low)) return [];
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = (NICE.find((nice) => nice * power >= rough) || 10) * power;
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) found.push(value);
  return found;
}

const TIME_STEPS = [
  1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7, 2e7, 5e7, 1e8, 2e8, 5e8, 1e9, 2e9, 5e9, 1e10, 1.5e10,
  3e10, 6e10, 1.2e11, 3e11, 6e11, 9e11, 1.8e12, 3.6e12, 7.2e12, 1.44e13, 2.16e13, 4.32e13, 8.64e13,
];
export function timeTicks([from, to], count) {
  const step = TIME_STEPS.find((each) => each >= (to - from) / count) || 8.64e13;
  const origin = head.value ? Number(BigInt(head.value.origin_ns) % 86400000000000n) : 0;
  const found = [];
  for (let time = Math.ceil((from + origin) / step) * step - origin; time <= to; time += step) found.push(time);
  return { found, digits: step >= 1e9 ? 0 : step >= 1e6 ? 3 : step >= 1e3 ? 6 : 9 };
}

export function drawTimeAxis(g, width, height, range, p) {
  const { found, digits } = timeTicks(range, Math.max(2, Math.floor((width - AXIS) / (digits_width(range) + 34))));
  g.strokeStyle = p.grid;
  g.fillStyle = p.dim;
  g.textAlign = "center";
  g.textBaseline = "alphabetic";
  for (const time of found) {
    const x = Math.round(xOf(time, width, range)) + 0.5;
    line(g, x, 0, x, height - 16);
    if (x > 32 && x < width - AXIS - 12) g.fillText(utc(head.value.origin_ns, time, digits), x, height - 4);
  }
}
const digits_width = ([from, to]) => (to - from > 6e9 ? 52 : 84);

export function drawPriceAxis(g, width, height, low, high, label, p) {
  const y = (value) => height - 16 - ((value - low) / (high - low)) * (height - 22);
  g.textAlign = "left";
  g.textBaseline = "middle";
  for (const value of ticks(low, high, Math.max(3, Math.floor(height / 44)))) {
    const at = Math.round(y(value)) + 0.5;
    if (at < 8 || at > height - 18) continue;
    g.strokeStyle = p.grid;
    line(g, LEFT, at, width - AXIS, at);
    g.fillStyle = p.dim;
    g.fillText(label(value), width - AXIS + 6, at);
  }
  return y;
}

export function line(g, x0, y0, x1, y1) {
  g.beginPath();
  g.moveTo(x0, y0);
  g.lineTo(x1, y1);
  g.stroke();
}

export function drawCursor(g, width, height, range, p) {
  const x = Math.round(xOf(cursor.value.time, width, range)) + 0.5;
  if (x >= LEFT - 1 && x <= width - AXIS + 1) {
    g.strokeStyle = p.accent;
    g.lineWidth = 1;
    line(g, x, 0, x, height - 16);
  }
  if (hover.value !== null) {
    const at = Math.round(xOf(hover.value, width, range)) + 0.5;
    if (at >= LEFT && at <= width - AXIS) {
      g.strokeStyle = p.faint;
      g.setLineDash([3, 3]);
      line(g, at, 0, at, height - 16);
      g.setLineDash([]);
    }
  }
}

// spans [from, to or null, ...] in order, those that overlap as one: it has what the first of them has
export function union(spans) {
  const found = [];
  for (const [from, to, ...rest] of [...spans].sort((a, b) => a[0] - b[0])) {
    const last = found.at(-1);
    if (last && (last[1] === null || from <= last[1]))
      last[1] = to === null || last[1] === null ? null : Math.max(last[1], to);
    else found.push([from, to, ...rest]);
  }
  return found;
}

// A picture that is kept until one of its inputs changes, for what does not move with the cursor or the range.
export class Layer {
  #picture = document.createElement("canvas");
  #inputs = [];

  draw(g, width, height, inputs, paint) {
    const ratio = devicePixelRatio || 1;
    const now = [width, height, ratio, ...inputs];
    if (now.some((value, at) => value !== this.#inputs[at])) {
      this.#inputs = now;
      this.#picture.width = Math.round(width * ratio);
      this.#picture.height = Math.round(height * ratio);
      const on = this.#picture.getContext("2d");
      on.setTransform(ratio, 0, 0, ratio, 0, 0);
      paint(on);
    }
    g.drawImage(this.#picture, 0, 0, width, height);
  }
}

// `draw(g, width, height, palette)` reads signals; it is called again in the next frame after one of them changed.
export function Canvas({ draw, label, onPick, onHover, ownTime = null, className = "" }) {
  const place = useRef(null);
  const latest = useRef(draw);
  latest.current = draw;
  useEffect(() => {
    const canvas = place.current;
    let frame = 0,
      width = 0,
      height = 0,
      drag = null;
    const paint = () => {
      frame = 0;
      const ratio = devicePixelRatio || 1;
      if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
        canvas.width = Math.round(width * ratio);
        canvas.height = Math.round(height * ratio);
      }
      if (width < 20 || height < 20 || !head.value) return;
      const p = palette(),
        g = canvas.getContext("2d", { alpha: false }); // an opaque picture is composed faster
      g.setTransform(ratio, 0, 0, ratio, 0, 0);
      g.fillStyle = p.panel;
      g.fillRect(0, 0, width, height);
      g.font = "11px " + MONO;
      g.lineWidth = 1;
      latest.current(g, width, height, p);
    };
    const schedule = () => (frame = frame || requestAnimationFrame(paint));
    const stop = effect(() => {
      [cursor, view, hover, head].forEach((each) => each.value);
      schedule();
    });
    canvas.redraw = schedule;
    const size = new ResizeObserver(([entry]) => {
      ({ width, height } = entry.contentRect);
      schedule();
    });
    size.observe(canvas);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", schedule);
    const range = () => (ownTime ? ownTime() : view.value);
    const at = (event) => event.clientX - canvas.getBoundingClientRect().left;
    const y = (event) => event.clientY - canvas.getBoundingClientRect().top;
    const clamp = (time) => Math.max(0, Math.min(time, head.value.last_time));
    const down = (event) => {
      if (!head.value || event.button > 0) return;
      canvas.setPointerCapture(event.pointerId);
      drag = { x: at(event), view: view.value, moved: false };
    };
    const move = (event) => {
      if (!head.value) return;
      const x = at(event);
      if (drag && (drag.moved || Math.abs(x - drag.x) > 3)) {
        drag.moved = true;
        if (ownTime) moveTo(clamp(timeOf(x, width, range())));
        else {
          const shift = ((drag.x - x) / (width - AXIS - LEFT)) * (drag.view[1] - drag.view[0]);
          setView(drag.view[0] + shift, drag.view[1] + shift);
        }
      }
      const time = timeOf(x, width, range());
      hover.value = x <= width - AXIS && time >= 0 ? time : null;
      onHover?.({ x, y: y(event), time, width, height, range: range() });
    };
    const up = (event) => {
      if (drag && !drag.moved) {
        const x = at(event);
        const picked = onPick?.({ x, y: y(event), time: timeOf(x, width, range()), width, height, range: range() });
        if (!picked) moveTo(clamp(timeOf(x, width, range())));
      }
      drag = null;
    };
    const leave = () => {
      hover.value = null;
      onHover?.(null);
    };
    const wheel = (event) => {
      event.preventDefault();
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        const [from, to] = view.value,
          shift = ((event.deltaX || event.deltaY) / width) * (to - from);
        setView(from + shift, to + shift);
      } else zoom(Math.exp(event.deltaY * 0.0016), timeOf(at(event), width, range()));
    };
    canvas.addEventListener("pointerdown", down);
    canvas.addEventListener("pointermove", move);
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointerleave", leave);
    canvas.addEventListener("wheel", wheel, { passive: false });
    return () => {
      stop();
      size.disconnect();
      scheme.removeEventListener("change", schedule);
      cancelAnimationFrame(frame);
    };
  }, []);
  useEffect(() => place.current?.redraw?.());
  return html`<canvas ref=${place} class=${className} role="img" aria-label=${label}></canvas>`;
}

export const MONO =
  'ui-monospace, "SF Mono", "Cascadia Mono", "JetBrains Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';
export { get, goTo };
