// B: bid and ask, trades, own orders from placed to gone, fills, refused intents, the position.

import {
  batch,
  cursor,
  expression,
  goTo,
  head,
  html,
  instrument,
  of,
  plotTab,
  recordSeq,
  selectOrder,
  selected,
  seriesNames,
  side,
  signal,
  tick,
  use,
  useAnswer,
  useEffect,
  view,
  compared,
} from "./store.js";
import { AXIS, Canvas, LEFT, drawCursor, drawPriceAxis, drawTimeAxis, line, union, xOf } from "./plot.js";
import { scaled, short, shortId, span, utc } from "./format.js";

const near = signal(null);
const COLUMNS = 1000;
const READING_MS = 500; // until the next question while a long session is read the first time
const reading = signal(0); // counts those questions
const wide = ([from, to]) => [Math.max(0, from - (to - from) * 0.25), to + (to - from) * 0.25];
// a range a little wider than the plot, on a grid, so that panning finds its data at hand
const fetched = ([from, to]) => {
  const width = to - from,
    step = Math.max(Math.round(width / 8), 1);
  const [low, high] = wide([from, to]);
  return { from: Math.floor(low / step) * step, to: Math.ceil(high / step) * step };
};

export const ORDER = {
  seq: 0,
  time: 1,
  end: 2,
  id: 3,
  side: 4,
  price: 5,
  quantity: 6,
  status: 7,
  filled: 8,
  strategy: 9,
  stop: 10,
};

export function Price() {
  const again = () => (view.value[1] >= (head.value?.last_time ?? 0) * 0.999 ? tick.value : 0);
  const series = useAnswer(
    () =>
      head.value?.instruments.length && {
        path: of("series"),
        parameters: { instrument: instrument.value, columns: COLUMNS, ...fetched(view.value) },
        again: `${again()} ${reading.value}`,
      },
    60,
  );
  const acts = useAnswer(
    () =>
      head.value?.instruments.length && {
        path: of("plot"),
        parameters: { instrument: instrument.value, ...fetched(view.value) },
        again: again(),
      },
    60,
  );
  const other = useAnswer(() => {
    const with_ = compared.value;
    if (!with_ || !head.value?.instruments.length) return null;
    const { from, to } = fetched(view.value);
    const shift = -Number(with_.shift);
    return {
      path: `s/${encodeURIComponent(with_.other)}/plot`,
      parameters: { instrument: instrument.value, from: Math.max(from + shift, 0), to: Math.max(to + shift, 1) },
    };
  }, 200);
  use(selected);
  use(instrument);
  useEffect(() => {
    if (!series.value?.missing?.length) return undefined;
    const timer = setTimeout(() => (reading.value += 1), READING_MS);
    return () => clearTimeout(timer);
  }, [series.value]);
  const tip = use(near);
  const data = series.value,
    own = acts.value;
  const about = head.value.instruments[instrument.value];
  const unit = about ? 10 ** about.price_scale : 1;
  const label = (value) => scaled(value * 1, about.price_scale);
  const shapes = { list: [] };

  const draw = (g, width, height, p) => {
    const range = view.value;
    drawTimeAxis(g, width, height, range, p);
    if (!data || !about) return;
    const { low, high } = bounds(data, range);
    if (!(high > low)) {
      if (data.missing?.length) {
        drawMissing(g, data.missing, width, height, range, p);
        return drawCursor(g, width, height, range, p);
      }
      g.fillStyle = p.dim;
      g.textAlign = "left";
      g.fillText("no market data in this range", LEFT + 8, 20);
      drawCursor(g, width, height, range, p);
      return;
    }
    const margin = (high - low) * 0.12;
    const y = drawPriceAxis(g, width, height, low - margin, high + margin, label, p);
    const x = (time) => xOf(time, width, range);
    g.save();
    g.beginPath();
    g.rect(LEFT, 0, width - AXIS - LEFT, height - 16);
    g.clip();
    drawGaps(g, union(own?.gaps || []), width, height, range, p);
    if (own) drawPosition(g, own.positions, x, range, height, width, p);
    drawQuotes(g, data.quotes, x, y, range, p);
    drawTrades(g, data.trades, x, y, range, p);
    drawMissing(g, data.missing || [], width, height, range, p);
    shapes.list = own ? drawActs(g, own, x, y, unit, range, p, quoteAt(data.quotes)) : [];
    if (other.value && compared.value) drawOther(g, other.value, Number(compared.value.shift), x, y, unit, p);
    g.restore();
    drawLast(g, data.quotes, y, width, p, about);
    drawCursor(g, width, height, range, p);
  };
  const find = ({ x, y }) => {
    let best = null,
      distance = 9;
    for (const shape of shapes.list) {
      const gap = shape.x1 !== undefined ? toSegment(x, y, shape) : Math.hypot(x - shape.x, y - shape.y);
      if (gap < distance || (gap === distance && shape.x1 === undefined)) [best, distance] = [shape, gap];
    }
    return best;
  };
  const pick = (event) => {
    const found = find(event);
    if (!found) return false;
    batch(() => {
      selectOrder(found.id);
      side.value = "why";
      recordSeq.value = found.seq;
    });
    goTo(found.seq, found.time);
    return true;
  };
  const point = (event) => {
    const found = event && find(event);
    near.value = found
      ? { ...found, left: Math.min(event.x + 14, event.width - 260), top: Math.max(event.y - 10, 4) }
      : null;
  };
  return html`<div class="plot">
    <${Canvas} draw=${draw} onPick=${pick} onHover=${point} label="price, own orders and fills" />
    ${
      tip &&
      html`<div class="tip" style=${{ left: `${tip.left}px`, top: `${tip.top}px` }}>
        ${tip.lines.map((text) => html`<div>${text}</div>`)}
      </div>`
    }
    ${(series.error || acts.error) && html`<p class="quiet over">${series.error || acts.error}</p>`}
    ${data?.problem && html`<p class="quiet over">${data.problem}</p>`}
    ${data?.missing?.length > 0 && html`<p class="quiet over" role="status">${readingText(data, view.value)}</p>`}
    ${own?.more && html`<p class="quiet over">more acts than can be drawn: zoom in</p>`}
  </div>`;
}

// how much of a range is read, the first time that a long session is opened
function readingText({ missing }, [from, to]) {
  const within = ([begin, end]) => Math.max(Math.min(end, to) - Math.max(begin, from), 0);
  const share = 1 - missing.reduce((sum, each) => sum + within(each), 0) / Math.max(to - from, 1);
  return `reading the market of this session the first time: ${Math.floor(share * 100)} % of this range`;
}

function bounds({ quotes, trades }, [from, to]) {
  let low = Infinity,
    high = -Infinity;
  const end = lastAt(quotes.time, to);
  for (let at = Math.max(lastAt(quotes.time, from), 0); at <= end; at++) {
    if (quotes.low[at] > 0 && quotes.low[at] < 9e15 && quotes.low[at] < low) low = quotes.low[at];
    if (quotes.high[at] > high) high = quotes.high[at];
  }
  if (low === Infinity)
    trades.time.forEach((at, index) => {
      if (at >= from && at <= to) [low, high] = [Math.min(low, trades.low[index]), Math.max(high, trades.high[index])];
    });
  if (low === high) [low, high] = [low * 0.9999, high * 1.0001];
  return { low, high };
}

// spans without market data, as the engine recorded them
function drawGaps(g, gaps, width, height, [from, to], p) {
  for (const [begin, end, reason] of gaps) {
    const x0 = Math.max(xOf(begin, width, [from, to]), LEFT),
      x1 = Math.min(xOf(end ?? to, width, [from, to]), width - AXIS);
    g.fillStyle = p.warn;
    g.globalAlpha = 0.16;
    g.fillRect(x0, 0, Math.max(x1 - x0, 2), height - 16);
    g.globalAlpha = 1;
    g.textAlign = "left";
    const text = `no market data: ${reason}`;
    if (x1 - x0 > g.measureText(text).width + 12) g.fillText(text, x0 + 6, height - 44);
  }
}

// spans of a long session that are not read yet, the first time that it is opened
function drawMissing(g, spans, width, height, range, p) {
  g.fillStyle = p.grid;
  for (const [from, to] of spans) {
    const x0 = Math.max(xOf(from, width, range), LEFT),
      x1 = Math.min(xOf(to, width, range), width - AXIS);
    if (x1 > x0) g.fillRect(x0, 0, x1 - x0, height - 16);
  }
}

// Bid and ask as steps, and the range between the lowest bid and the highest ask of each column. All are rectangles of
// whole pixels: without a graphics card those are drawn in a fraction of the time of a line with as many corners.
function drawQuotes(g, quotes, x, y, [from, to], p) {
  const { time, low, high } = quotes;
  const end = Math.min(lastAt(time, to) + 1, time.length);
  const begin = Math.max(lastAt(time, from), 0);
  if (begin >= end) return;
  const lefts = [];
  for (let at = begin; at < end; at++) lefts.push(Math.round(x(time[at])));
  lefts.push(Math.round(x(Math.min(time[end] ?? to, to, head.value.last_time))));
  g.fillStyle = p.faint;
  g.globalAlpha = 0.24;
  for (let at = begin; at < end; at++) {
    if (!(low[at] > 0 && low[at] < 9e15)) continue;
    const left = lefts[at - begin],
      top = Math.round(y(high[at]));
    g.fillRect(left, top, Math.max(lefts[at - begin + 1] - left, 1), Math.max(Math.round(y(low[at])) - top, 1));
  }
  g.globalAlpha = 1;
  for (const name of ["bid", "ask"]) {
    const prices = quotes[name];
    g.fillStyle = p[name];
    let before = null;
    for (let at = begin; at < end; at++) {
      if (!(prices[at] > 0)) continue;
      const left = lefts[at - begin],
        level = Math.round(y(prices[at]));
      if (before !== null && before !== level)
        g.fillRect(left, Math.min(before, level), 1, Math.abs(level - before) + 1);
      g.fillRect(left, level, Math.max(lefts[at - begin + 1] - left, 1), 1);
      before = level;
    }
  }
}

// the last of sorted times that is not after a time; -1: all are
function lastAt(times, time) {
  let low = 0,
    high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function drawTrades(g, trades, x, y, [from, to], p) {
  const begin = lastAt(trades.time, from) + 1,
    end = lastAt(trades.time, to) + 1;
  if (end - begin > 700 || to - from > 6e11) return;
  const most = Math.max(...trades.buy, ...trades.sell, 1);
  for (let at = begin; at < end; at++) {
    const left = x(trades.time[at]),
      isBuy = trades.buy[at] >= trades.sell[at];
    g.fillStyle = isBuy ? p.buy : p.sell;
    g.globalAlpha = 0.4;
    const size = 1 + 2.6 * Math.sqrt((trades.buy[at] + trades.sell[at]) / most);
    g.beginPath();
    g.arc(left, y(trades.close[at]), size, 0, 6.3);
    g.fill();
  }
  g.globalAlpha = 1;
}

function drawPosition(g, positions, x, [from, to], height, width, p) {
  if (!positions.length) return;
  const most = Math.max(...positions.map(([, quantity]) => Math.abs(quantity)), 1e-12);
  for (let at = 0; at < positions.length; at++) {
    const [time, quantity] = positions[at],
      end = positions[at + 1]?.[0] ?? to;
    if (end < from || !quantity) continue;
    const x0 = Math.max(x(time), LEFT),
      x1 = Math.min(x(end), width - AXIS);
    g.fillStyle = quantity > 0 ? p.buy : p.sell;
    g.globalAlpha = 0.05;
    g.fillRect(x0, 0, x1 - x0, height - 16);
    g.globalAlpha = 0.5;
    const h = Math.max((Math.abs(quantity) / most) * 14, 1);
    g.fillRect(x0, height - 17 - h, Math.max(x1 - x0, 1), h);
  }
  g.globalAlpha = 1;
}

// the touch at a time, for acts without a price
const quoteAt = (quotes) => (time, name) => quotes[name][Math.max(lastAt(quotes.time, time), 0)];

function drawActs(g, own, x, y, unit, [, to], p, touch) {
  const found = [];
  const busy = own.orders.length > 250;
  for (const row of own.orders) {
    const isBuy = row[ORDER.side] === "BUY",
      level = y(Number(row[ORDER.price]) * unit);
    const x0 = x(row[ORDER.time]),
      x1 = x(row[ORDER.end] || Math.min(to, head.value.last_time));
    if (x1 < LEFT || level < -20) continue;
    const chosen = row[ORDER.id] === selected.value;
    g.strokeStyle = isBuy ? p.buy : p.sell;
    g.globalAlpha = chosen ? 1 : busy ? 0.55 : 0.85;
    g.lineWidth = chosen ? 3 : 1.5;
    g.setLineDash(row[ORDER.stop] ? [4, 3] : []);
    line(g, x0, level, Math.max(x1, x0 + 1.5), level);
    g.setLineDash([]);
    if (!busy || chosen) line(g, x0, level - 3, x0, level + 3);
    if (chosen) {
      g.strokeStyle = p.selected;
      g.lineWidth = 1;
      g.strokeRect(x0 - 3, level - 5, Math.max(x1 - x0, 1) + 6, 10);
    }
    found.push({
      id: row[ORDER.id],
      seq: row[ORDER.seq],
      time: row[ORDER.time],
      x0,
      x1,
      y: level,
      lines: [
        `${row[ORDER.side]} ${short(row[ORDER.quantity])} at ${short(row[ORDER.price])}  ${row[ORDER.status]}`,
        `${row[ORDER.strategy]}  ${shortId(row[ORDER.id])}`,
        `placed ${utc(head.value.origin_ns, row[ORDER.time], 6)}` +
          (row[ORDER.end] ? `, lived ${span(row[ORDER.end] - row[ORDER.time])}` : ", open"),
        `filled ${short(row[ORDER.filled])}`,
      ],
    });
  }
  g.globalAlpha = 1;
  g.lineWidth = 1.3;
  for (const [seq, time, id, way, price, rule, text] of own.refused) {
    const left = x(time),
      level = price ? y(Number(price) * unit) : y(touch(time, way === "SELL" ? "bid" : "ask") || 0);
    g.strokeStyle = p.warn;
    g.beginPath();
    g.moveTo(left, level - 4.5);
    g.lineTo(left + 4.5, level);
    g.lineTo(left, level + 4.5);
    g.lineTo(left - 4.5, level);
    g.closePath();
    g.stroke();
    found.push({
      id,
      seq,
      time,
      x: left,
      y: level,
      lines: [`refused: ${rule}`, text, `${way} ${price ? "at " + short(price) : ""}  ${shortId(id)}`],
    });
  }
  for (const [seq, time, id, way, price, quantity, maker] of own.fills) {
    const left = x(time),
      level = y(Number(price) * unit),
      up = way === "BUY" ? 1 : -1;
    g.fillStyle = way === "BUY" ? p.buy : p.sell;
    g.strokeStyle = p.panel;
    g.beginPath();
    g.moveTo(left, level - 1 * up);
    g.lineTo(left + 4.5, level + 7.5 * up);
    g.lineTo(left - 4.5, level + 7.5 * up);
    g.closePath();
    g.fill();
    g.stroke();
    found.push({
      id,
      seq,
      time,
      x: left,
      y: level + 4 * up,
      lines: [`filled ${way} ${short(quantity)} at ${short(price)}`, maker ? "maker" : "taker", shortId(id)],
    });
  }
  return found;
}

function drawOther(g, acts, shift, x, y, unit, p) {
  g.strokeStyle = p.alarm;
  g.globalAlpha = 0.7;
  g.setLineDash([2, 3]);
  for (const row of acts.orders) {
    const level = y(Number(row[ORDER.price]) * unit);
    line(
      g,
      x(row[ORDER.time] + shift),
      level,
      Math.max(x((row[ORDER.end] || row[ORDER.time]) + shift), x(row[ORDER.time] + shift) + 2),
      level,
    );
  }
  g.setLineDash([]);
  g.globalAlpha = 1;
}

// prices at the cursor, as tags on the axis
function drawLast(g, quotes, y, width, p, about) {
  const at = lastAt(quotes.time, cursor.value.time);
  if (at < 0) return;
  g.textAlign = "left";
  g.textBaseline = "middle";
  const tags = [
    ["ask", -7],
    ["bid", 7],
  ]
    .map(([name, up]) => ({ name, price: quotes[name][at], middle: y(quotes[name][at]) + up }))
    .filter(({ price, middle }) => price > 0 && Number.isFinite(middle));
  g.fillStyle = p.panel; // a label of the axis would peek out
  for (const { middle } of tags) g.fillRect(width - AXIS + 1, middle - 19, AXIS - 2, 38);
  for (const { name, price, middle } of tags) {
    g.fillStyle = p[name];
    g.fillRect(width - AXIS + 1, middle - 7, AXIS - 2, 13.5);
    g.fillStyle = p.panel;
    g.fillText(scaled(price, about.price_scale), width - AXIS + 5, middle);
  }
}

function toSegment(x, y, { x0, x1, y: level }) {
  const gap = x < x0 ? x0 - x : x > x1 ? x - x1 : 0;
  return Math.hypot(gap, y - level);
}

// F: numbers that strategies recorded, and a SQL result, under the price
export function Lines() {
  const names = use(seriesNames);
  const extra = use(expression);
  const answer = useAnswer(
    () =>
      head.value &&
      seriesNames.value.length && {
        path: of("values"),
        parameters: { names: seriesNames.value.join(",") },
        again: tick.value,
      },
    500,
  );
  if (!names.length && !extra) return null;
  const found = {
    ...(names.length ? answer.value?.series || {} : {}),
    ...(extra ? { [extra.name]: extra.points } : {}),
  };
  const tones = ["accent", "warn", "good", "alarm", "text"];
  const draw = (g, width, height, p) => {
    const range = view.value;
    drawTimeAxis(g, width, height, range, p);
    const lists = Object.entries(found);
    let low = Infinity,
      high = -Infinity;
    for (const [, points] of lists)
      for (const [time, value] of points)
        if (time >= range[0] && time <= range[1]) [low, high] = [Math.min(low, value), Math.max(high, value)];
    if (low === Infinity) return;
    if (low === high) [low, high] = [low - 1, high + 1];
    const y = drawPriceAxis(g, width, height, low, high, (value) => Number(value.toPrecision(8)).toString(), p);
    g.save();
    g.beginPath();
    g.rect(LEFT, 0, width - AXIS - LEFT, height - 16);
    g.clip();
    lists.forEach(([, points], at) => {
      g.strokeStyle = p[tones[at % tones.length]];
      g.lineWidth = 1.4;
      g.setLineDash(at >= tones.length ? [3, 2] : []);
      g.beginPath();
      let last = null;
      for (const [time, value] of points) {
        const left = xOf(time, width, range);
        if (last === null) g.moveTo(left, y(value));
        else g.lineTo(left, last);
        g.lineTo(left, (last = y(value)));
      }
      g.stroke();
    });
    g.restore();
    g.setLineDash([]);
    drawCursor(g, width, height, range, p);
  };
  return html`<div class="plot lines">
    <${Canvas} draw=${draw} label="values of strategies" />
    <div class="legend">
      ${Object.keys(found).map(
        (name, at) =>
          html`<button
            class=${"key tone-" + tones[at % tones.length]}
            title="remove"
            onClick=${() =>
              extra?.name === name
                ? (expression.value = null)
                : (seriesNames.value = names.filter((each) => each !== name))}
          >
            ${name} ×
          </button>`,
      )}
    </div>
  </div>`;
}

export { plotTab };
