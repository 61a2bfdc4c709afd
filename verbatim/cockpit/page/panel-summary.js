// M: figures of the whole session.

import { head, html, of, useAnswer } from "./store.js";
import { live } from "./cursor.js";
import { fixed, grouped, percent, short, signed, span, symbol } from "./format.js";

// sums by asset, as "12.50 USDT, 0.1 BTC"
const sums = (amounts) =>
  Object.entries(amounts)
    .map(([asset, amount]) => `${short(amount, 2)} ${asset}`)
    .join(", ") || "–";
const slippage = ({ cost, asset, ratio }) =>
  `${signed(cost)} ${asset}` + (ratio === null ? "" : `, ${signed(ratio * 1e4, 2)} bp`);
const ratio = (value) => (value === null ? "–" : signed(value, 2));

export function Summary() {
  const answer = useAnswer(() => head.value && { path: of("summary"), again: Math.floor(live() / 20) }, 3000);
  const data = answer.value;
  if (!data) return html`<p class="quiet">${answer.error || "…"}</p>`;
  const last = data.equity.rows.at(-1),
    { activity, figures } = data;
  const facts = [
    ["P&L after fees", figures.currency ? `${signed(figures.pnl)} ${figures.currency}` : "–"],
    ["largest drawdown", figures.currency ? `${fixed(figures.drawdown)} ${figures.currency}` : "–"],
    ["fees", last ? fixed(last[4]) : "–"],
    ["equity", last ? fixed(last[7], 2) : "–"],
    ["turnover", sums(figures.turnover)],
    ["largest exposure", sums(figures.exposure_max)],
    ["time with a position", percent(figures.exposed_ratio)],
    ["Sharpe of one step", ratio(figures.sharpe_step), figures.lacks.sharpe_step],
    ["Sharpe, annualised", ratio(figures.sharpe), figures.lacks.sharpe],
    ["Sortino, annualised", ratio(figures.sortino), figures.lacks.sortino],
    ["hit rate of closing fills", percent(figures.hit_ratio), `${figures.winning_fills} of ${figures.closing_fills}`],
    ["maker share", percent(figures.maker_ratio), `${figures.maker_fills} of ${figures.fills}`],
    ["slippage", figures.slippage.map(slippage).join("; ") || "–", "fills against the mid at their decision; + cost"],
  ];
  const counts = [
    ["intents", grouped(data.intents)],
    ["refused by risk", grouped(data.refused)],
    ["orders placed", grouped(data.placed)],
    ["cancels", grouped(data.canceled)],
    ["fills", grouped(data.fills)],
    ["quantity filled", short(data.filled_quantity)],
  ];
  return html`<div class="panel-body columns three">
    <div class="scroll">
      <h3>session ${head.value.id}</h3>
      <${Facts} rows=${facts} label="summary" />
      ${figures.returns > 0 && html`<p class="quiet">${figures.returns} returns, one each ${span(figures.step_ns)}</p>`}
      ${data.troubles.map((line) => html`<p class="warn-text">${line}</p>`)}
    </div>
    <div class="scroll">
      <h3>counts</h3>
      <${Facts} rows=${counts} label="counts" />
      <h3>time in each mode</h3>
      <${Bars}
        rows=${Object.entries(data.time.seconds || data.time.modes || {}).map(([name, value]) => [name, Number(value)])}
        unit=" s"
      />
      <h3>fills by hour (UTC)</h3>
      <${Bars} rows=${activity.groups.hour.map(([name, count]) => [name, count])} />
    </div>
    <div class="scroll">
      <h3>by strategy</h3>
      <${Groups} rows=${activity.groups.strategy} />
      <h3>by instrument</h3>
      <${Groups} rows=${activity.groups.instrument} />
      <h3>keep it</h3>
      <p class="quiet">One file with this page: <code>verbatim report ${head.value.id} out.html</code></p>
    </div>
  </div>`;
}

const Facts = ({ rows, label }) =>
  html`<table class="mini wide" aria-label=${label}>
    <tbody>
      ${rows.map(
        ([name, value, title]) =>
          html`<tr title=${title || undefined}>
            <td>${name}</td>
            <td class="right strong">${value}</td>
          </tr>`,
      )}
    </tbody>
  </table>`;

const Bars = ({ rows, unit = "" }) => {
  const most = Math.max(...rows.map(([, value]) => value), 1e-9);
  return html`<div class="histogram">
    ${rows.map(
      ([name, value]) =>
        html`<div class="hrow">
          <span>${name}</span><span class="bar"><i style=${{ width: `${(value / most) * 100}%` }}></i></span
          ><span class="num">${grouped(Math.round(value * 10) / 10)}${unit}</span>
        </div>`,
    )}
  </div>`;
};
const Groups = ({ rows }) =>
  html`<table class="mini wide" aria-label="groups">
    <thead>
      <tr>
        <th></th>
        <th class="right">fills</th>
        <th class="right">turnover</th>
      </tr>
    </thead>
    <tbody>
      ${rows.map(
        ([name, count, turnover]) =>
          html`<tr>
            <td>${symbol(name)}</td>
            <td class="right">${grouped(count)}</td>
            <td class="right">${fixed(turnover, 2)}</td>
          </tr>`,
      )}
    </tbody>
  </table>`;
