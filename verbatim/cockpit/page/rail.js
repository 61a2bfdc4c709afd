// A: the whole session on one line: density of records, acts by kind, gaps, UNKNOWN, modes; the range of the plots.

import { cursor, head, html, markKind, of, tick, use, useAnswer, useRef, view } from "./store.js";
import { AXIS, Canvas, LEFT, Layer, drawCursor, line, union, xOf } from "./plot.js";
import { span } from "./format.js";

const ROWS = [
  ["decision", "dim"],
  ["order", "accent"],
  ["fill", "good"],
  ["refusal", "warn"],
  ["gap", "warn"],
  ["link", "faint"],
  ["alarm", "alarm"],
  ["command", "alarm"],
];
const MODE = { running: "good", paused: "warn", halted: "alarm", syncing: "faint", starting: "faint" };

export function Rail() {
  const answer = useAnswer(
    () => head.value && { path: of("rail"), parameters: { columns: 1200 }, again: Math.floor(tick.value / 4) },
    500,
  );
  use(markKind);
  const data = answer.value;
  const whole = () => [0, Math.max(head.value.last_time, 1)];
  // all but the range of the plots and the cursor: it changes seldom
  const paint = (g, width, height, p) => {
    const range = whole(),
      inner = width - AXIS - LEFT;
    const share = data.span / Math.max(range[1], 1);
    const top = 2,
      base = 30;
    // modes, as a thin band
    data.modes.forEach(([time, mode], at) => {
      const end = data.modes[at + 1]?.[0] ?? data.span;
      const x0 = xOf(time, width, range),
        x1 = xOf(end, width, range);
      g.fillStyle = p[MODE[mode] || "faint"];
      g.globalAlpha = mode === "running" ? 0.75 : 0.9;
      g.fillRect(x0, base + 1, Math.max(x1 - x0, 1), 3);
    });
    g.globalAlpha = 1;
    // density
    const most = Math.max(...data.density, 1);
    g.fillStyle = p.faint;
    g.globalAlpha = 0.55;
    const w = (inner * share) / data.columns;
    data.density.forEach((count, at) => {
      const h = Math.sqrt(count / most) * (base - top);
      g.fillRect(LEFT + at * w, base - h, Math.max(w - 0.3, 0.6), h);
    });
    g.globalAlpha = 1;
    // spans in which something was not known
    for (const [spans, name] of [
      [data.gaps, "warn"],
      [data.unknowns, "alarm"],
    ]) {
      g.fillStyle = p[name];
      g.globalAlpha = 0.28;
      for (const [from, to] of union(spans)) {
        const x0 = xOf(from, width, range),
          x1 = xOf(to ?? data.span, width, range);
        g.fillRect(x0, top, Math.max(x1 - x0, 2), base - top);
      }
    }
    g.globalAlpha = 1;
    // acts: one row for each kind, as ticks
    g.textBaseline = "middle";
    g.textAlign = "left";
    g.font = "10px system-ui, sans-serif";
    const begin = base + 7,
      row = (height - begin - 1) / ROWS.length;
    ROWS.forEach(([name, tone], at) => {
      const y = begin + at * row,
        chosen = markKind.value === name;
      g.fillStyle = p[tone];
      for (const [column, count] of data.marks[name] || []) {
        g.globalAlpha = Math.min(0.45 + count * 0.18, 1);
        g.fillRect(LEFT + column * w, y, Math.max(w, 1.4), row - 1.5);
      }
      g.globalAlpha = 1;
      g.fillStyle = chosen ? p.text : p.dim;
      g.fillText(
        `${name} ${(data.marks[name] || []).reduce((sum, [, count]) => sum + count, 0)}`,
        width - AXIS + 6,
        y + row / 2 - 0.5,
        AXIS - 8, // a long count is drawn narrower
      );
    });
  };
  const layer = useRef(null);
  const draw = (g, width, height, p) => {
    if (!data) return;
    const range = whole();
    layer.current ??= new Layer();
    layer.current.draw(g, width, height, [data, p, range[1], markKind.value], (on) => paint(on, width, height, p));
    // the range of the plots
    const [from, to] = view.value,
      x0 = xOf(from, width, range),
      x1 = xOf(to, width, range);
    g.fillStyle = p.accent;
    g.globalAlpha = 0.1;
    g.fillRect(x0, 0, Math.max(x1 - x0, 2), height);
    g.globalAlpha = 0.8;
    g.strokeStyle = p.accent;
    line(g, Math.round(x0) + 0.5, 0, Math.round(x0) + 0.5, height);
    line(g, Math.round(x1) - 0.5, 0, Math.round(x1) - 0.5, height);
    g.globalAlpha = 1;
    g.font = "11px system-ui, sans-serif";
    g.lineWidth = 1.5;
    drawCursor(g, width, height + 16, range, p);
  };
  const label = `time rail, ${span(head.value?.last_time ?? 0)}, cursor at ${span(cursor.peek().time)}`;
  return html`<section class="rail" aria-label="Time rail">
    <${Canvas} draw=${draw} label=${label} ownTime=${whole} />
  </section>`;
}
