// D: the order book at the cursor, own quantity, the last trades.

import { cursor, goTo, head, html, instrument, of, use, useAnswer } from "./store.js";
import { at, atSeq, when } from "./cursor.js";
import { scaled, short } from "./format.js";

export function Ladder() {
  const answer = useAnswer(
    () =>
      head.value?.instruments.length &&
      atSeq() !== null && {
        path: of("ladder"),
        parameters: { instrument: instrument.value, seq: Math.max(atSeq(), 1) },
      },
    120,
  );
  use(at);
  use(cursor);
  const data = answer.value,
    about = head.value.instruments[instrument.value];
  if (!data || !about) return html`<p class="quiet">${answer.error || "…"}</p>`;
  const most = Math.max(
    ...data.bids.slice(0, 20).map((row) => row[1]),
    ...data.asks.slice(0, 20).map((row) => row[1]),
    1,
  );
  const own = Object.fromEntries(
    Object.entries(data.own).map(([price, size]) => [Math.round(Number(price) * 10 ** about.price_scale), size]),
  );
  const places = Math.max(0, Math.min(about.price_scale, (about.tick.split(".")[1] || "").replace(/0+$/, "").length));
  const price = (value) => short(scaled(value, about.price_scale), places || 0).replace(/\.$/, "");
  const middle = data.bids.length && data.asks.length ? (data.bids[0][0] + data.asks[0][0]) / 2 : 0;
  // own prices without a level in the book are shown too
  const withOwn = (levels, belongs) => {
    const shown = levels.slice(0, 20),
      lacking = Object.keys(own)
        .map(Number)
        .filter((level) => belongs(level) && !shown.some(([each]) => each === level));
    return [...shown, ...lacking.map((level) => [level, 0])].sort((a, b) => b[0] - a[0]);
  };
  const row =
    (side) =>
    ([level, size]) =>
      html`<tr class=${side + (own[level] ? " own" : "")}>
        <td class="right own">${own[level] ? short(own[level]) : ""}</td>
        <td class="right size">
          <span class="bar"><i style=${{ width: `${(size / most) * 100}%` }}></i></span
          >${size ? short(scaled(size, about.size_scale), 5) : ""}
        </td>
        <td class=${"right " + (side === "bid" ? "buy" : "sell")}>${price(level)}</td>
      </tr>`;
  const spread = data.bids.length && data.asks.length ? data.asks[0][0] - data.bids[0][0] : null;
  return html`<div class="scroll ladder">
    <table class="mini" aria-label="order book">
      <thead>
        <tr>
          <th class="right">own</th>
          <th class="right">size</th>
          <th class="right">price</th>
        </tr>
      </thead>
      <tbody>
        ${withOwn(data.asks, (level) => level > middle).map(row("ask"))}
        <tr class="mid">
          <td colspan="3">
            ${
              spread === null
                ? "no book here"
                : `spread ${price(spread)} · mid ${price((data.bids[0][0] + data.asks[0][0]) / 2)}`
            }
          </td>
        </tr>
        ${withOwn(data.bids, (level) => level <= middle).map(row("bid"))}
      </tbody>
    </table>
    <h3>last trades</h3>
    <table class="mini" aria-label="last trades">
      <tbody>
        ${data.trades.map(
          ([time, last, buy, sell, seq]) =>
            html`<tr class="pick" onClick=${() => goTo(seq, time)}>
              <td class="dim">${when(time)}</td>
              <td class="right">${short(scaled(buy + sell, about.size_scale), 5)}</td>
              <td class=${"right " + (buy >= sell ? "buy" : "sell")}>${price(last)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
