// C: the book over time, sizes by colour on a logarithmic scale, with own orders and trades.

import { head, html, instrument, of, selected, use, useAnswer, view } from "./store.js";
import { AXIS, Canvas, LEFT, drawCursor, drawPriceAxis, drawTimeAxis, line, palette, xOf } from "./plot.js";
import { classes, scaled } from "./format.js";
import { ORDER } from "./price.js";

// viridis, which keeps its order for colour-blind eyes and in grey
const STOPS = [
  [68, 1, 84],
  [59, 82, 139],
  [33, 145, 140],
  [94, 201, 98],
  [253, 231, 37],
];
const tone = (share) => {
  const at = Math.max(0, Math.min(share, 0.9999)) * (STOPS.length - 1),
    low = STOPS[Math.floor(at)],
    high = STOPS[Math.floor(at) + 1],
    part = at % 1;
  return `rgb(${low.map((value, index) => Math.round(value + (high[index] - value) * part)).join(",")})`;
};
const TONES = Array.from({ length: 32 }, (_, at) => tone(at / 31));

export function Heat() {
  const answer = useAnswer(
    () =>
      head.value?.instruments.length && {
        path: of("heat"),
        parameters: { instrument: instrument.value, from: view.value[0], to: view.value[1], columns: 160 },
      },
    300,
  );
  const acts = useAnswer(
    () =>
      head.value?.instruments.length && {
        path: of("plot"),
        parameters: { instrument: instrument.value, from: view.value[0], to: view.value[1] },
      },
    300,
  );
  const series = useAnswer(
    () =>
      head.value?.instruments.length && {
        path: of("series"),
        parameters: { instrument: instrument.value, columns: 700, from: view.value[0], to: view.value[1] },
      },
    300,
  );
  use(selected);
  const data = answer.value,
    about = head.value.instruments[instrument.value];
  const draw = (g, width, height, p) => {
    const range = view.value;
    drawTimeAxis(g, width, height, range, p);
    if (!data || !about) return;
    const sides = data.columns.flatMap(([bids, asks]) => (bids.length && asks.length ? [[bids, asks]] : []));
    if (!sides.length) return;
    let low = Infinity,
      high = -Infinity;
    const mids = [],
      sizes = [];
    for (const [bids, asks] of sides) {
      mids.push((bids[0][0] + asks[0][0]) / 2);
      for (const side of [bids, asks]) for (let place = 0; place < side.length; place += 5) sizes.push(side[place][1]);
    }
    mids.sort((a, b) => a - b);
    sizes.sort((a, b) => a - b);
    const least = Math.log(Math.max(sizes[Math.floor(sizes.length * 0.15)], 1)),
      most = Math.max(Math.log(sizes[Math.floor(sizes.length * 0.985)]), least + 1);
    const depth = sides
      .map(([bids, asks]) => Math.min(mids[0] - bids.at(-1)[0], asks.at(-1)[0] - mids[0], 1e15))
      .sort((a, b) => a - b);
    const reach = Math.max((mids.at(-1) - mids[0]) * 0.3, depth[Math.floor(depth.length / 2)] * 0.5, 2);
    [low, high] = [mids[0] - reach, mids.at(-1) + reach];
    const y = drawPriceAxis(g, width, height, low, high, (value) => scaled(value, about.price_scale), p);
    g.save();
    g.beginPath();
    g.rect(LEFT, 0, width - AXIS - LEFT, height - 16);
    g.clip();
    const cell = Math.max(((height - 22) / (high - low)) * 1, 2.2);
    data.columns.forEach(([bids, asks], at) => {
      const x0 = xOf(at ? data.edges[at - 1] : data.from, width, range),
        x1 = xOf(data.edges[at], width, range);
      if (x1 < LEFT || x0 > width - AXIS) return;
      for (const side of [bids, asks])
        for (const [price, size] of side) {
          if (price < low || price > high) continue;
          const share = Math.round(((Math.log(Math.max(size, 1)) - least) / (most - least)) * 31),
            at = Math.max(0, Math.min(31, share));
          g.fillStyle = TONES[p.isDark ? at : 31 - at]; // a large size stands out from the background
          g.fillRect(x0, y(price) - cell / 2, x1 - x0 + 0.6, cell);
        }
    });
    const unit = 10 ** about.price_scale;
    if (series.value) {
      const { trades } = series.value;
      g.strokeStyle = "#000";
      trades.time.forEach((time, at) => {
        g.fillStyle = trades.buy[at] >= trades.sell[at] ? p.buy : p.sell;
        g.beginPath();
        g.arc(xOf(time, width, range), y(trades.close[at]), 1.8, 0, 6.3);
        g.fill();
      });
    }
    for (const row of acts.value?.orders || []) {
      const level = y(Number(row[ORDER.price]) * unit),
        x0 = xOf(row[ORDER.time], width, range),
        x1 = xOf(row[ORDER.end] || head.value.last_time, width, range);
      g.strokeStyle = "#000";
      g.lineWidth = 4;
      line(g, x0, level, x1, level);
      g.strokeStyle = row[ORDER.side] === "BUY" ? "#8cc8ff" : "#ffb26b";
      g.lineWidth = row[ORDER.id] === selected.value ? 3 : 1.8;
      line(g, x0, level, x1, level);
    }
    g.restore();
    drawCursor(g, width, height, range, palette());
  };
  return html`<div class="plot">
    <${Canvas} draw=${draw} label="order book over time" />
    ${answer.error && html`<p class="quiet over">${answer.error}</p>`}
    ${!answer.error && !data && html`<p class="quiet over">folding the book …</p>`} ${data && html`<${Scale} />`}
  </div>`;
}

function Scale() {
  return html`<div class=${classes("scale", !palette().isDark && "reversed")} aria-hidden="true">
    <span>small</span><i></i><span>large</span>
  </div>`;
}
