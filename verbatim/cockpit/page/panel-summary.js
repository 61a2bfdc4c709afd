// M: figures of the whole session.

import { head, html, of, useAnswer } from "./store.js";
import { live } from "./cursor.js";
import { fixed, grouped, short, signed, symbol } from "./format.js";

export function Summary() {
  const answer = useAnswer(() => head.value && { path: of("summary"), again: Math.floor(live() / 20) }, 3000);
  const data = answer.value;
  if (!data) return html`<p class="quiet">${answer.error || "…"}</p>`;
  const last = data.equity.rows.at(-1),
    worst = Math.min(0, ...data.equity.rows.map((row) => row[8]));
  const { activity } = data;
  const facts = [
    ["P&L after fees", last ? `${signed(last[6])} ${data.equity.currency}` : "–"],
    ["drawdown, at most", `${fixed(worst)} ${data.equity.currency}`],
    ["fees", last ? fixed(last[4]) : "–"],
    ["equity", last ? fixed(last[7], 2) : "–"],
    ["intents", grouped(data.intents)],
    ["refused by risk", grouped(data.refused)],
    ["orders placed", grouped(data.placed)],
    ["cancels", grouped(data.canceled)],
    ["fills", grouped(data.fills)],
    ["maker share", activity.fills ? `${((activity.maker / activity.fills) * 100).toFixed(1)} %` : "–"],
    ["turnover", fixed(activity.turnover, 2)],
    ["quantity filled", short(data.filled_quantity)],
  ];
  return html`<div class="panel-body columns three">
    <div class="scroll">
      <h3>session ${head.value.id}</h3>
      <table class="mini wide" aria-label="summary">
        <tbody>
          ${facts.map(
            ([name, value]) =>
              html`<tr>
                <td>${name}</td>
                <td class="right strong">${value}</td>
              </tr>`,
          )}
        </tbody>
      </table>
      ${data.troubles.map((line) => html`<p class="warn-text">${line}</p>`)}
    </div>
    <div class="scroll">
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
