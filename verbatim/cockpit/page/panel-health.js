// J: streams, links, gaps, alarms, and times from decision to wire.

import { cursor, head, html, of, use, useAnswer, openRecord } from "./store.js";
import { at, atSeq, when } from "./cursor.js";
import { grouped, span, symbol } from "./format.js";

export function Health() {
  const answer = useAnswer(
    () => head.value && atSeq() !== null && { path: of("health"), parameters: { seq: atSeq() } },
    400,
  );
  use(at);
  use(cursor);
  const data = answer.value;
  if (!data) return html`<p class="quiet">${answer.error || "…"}</p>`;
  const go = (row) => openRecord(row[0]);
  return html`<div class="panel-body columns three health">
    <div class="scroll">
      <h3>streams, before the cursor</h3>
      <table class="mini wide" aria-label="streams">
        <thead>
          <tr>
            <th>stream</th>
            <th class="right">age</th>
            <th class="right">rate /s</th>
            <th class="right">longest gap</th>
            <th class="right">reconnects</th>
          </tr>
        </thead>
        <tbody>
          ${Object.entries(data.streams).map(
            ([name, row]) =>
              html`<tr>
                <td>${name}</td>
                <td class=${"right " + (row.age > 1e10 ? "warn-text" : "")}>${span(row.age)}</td>
                <td class="right">${row.rate}</td>
                <td class="right">${span(row.gap)}</td>
                <td class="right">${row.reconnects}</td>
              </tr>`,
          )}
        </tbody>
      </table>
      <h3>decision to wire</h3>
      <${Histogram} data=${data.wire} />
      <h3>sending to answer</h3>
      <${Histogram} data=${data.answers} />
    </div>
    <div class="scroll">
      <h3>links</h3>
      ${data.links.map(
        (row) =>
          html`<button class="refusal" onClick=${() => go(row)}>
            <span class="dim num">${when(row[1])}</span> <b>${row[3]}</b> ${row[2]} <span class="dim">${row[4]}</span>
          </button>`,
      )}
      <h3>gaps in market data</h3>
      ${data.gaps.map(
        (row) =>
          html`<button class="refusal" onClick=${() => go(row)}>
            <span class="dim num">${when(row[1])}</span> ${row[2] === null ? "lasts" : span(row[2] - row[1])} ${row[3]}
            ${" "}${symbol(row[4])} <span class="dim">${row[5]}</span>
          </button>`,
      )}${!data.gaps.length && html`<p class="quiet">none</p>`}
    </div>
    <div class="scroll">
      <h3>warnings and alarms</h3>
      ${data.alarms.map(
        (row) =>
          html`<button class="refusal" onClick=${() => go(row)}>
            <span class="dim num">${when(row[1])}</span>${" "}
            <b class=${row[2] === "alarm" ? "alarm-text" : "warn-text"}>${row[2]}</b>
            <div>${row[3]}</div>
          </button>`,
      )}${!data.alarms.length && html`<p class="quiet">none</p>`}
    </div>
  </div>`;
}

function Histogram({ data }) {
  if (!data.count) return html`<p class="quiet">no request was answered before the cursor</p>`;
  const most = Math.max(...data.buckets.map(([, count]) => count));
  return html`<div class="histogram">
    <div class="num">
      ${["p50", "p90", "p99", "max"].map(
        (name) => html`<span class="figure">${name} <b>${span(data[name])}</b></span>`,
      )}
      <span class="dim">of ${grouped(data.count)}</span>
    </div>
    ${data.buckets.map(
      ([bits, count]) =>
        html`<div class="hrow">
          <span class="num dim">${span(bits ? 2 ** (bits - 1) * 1000 : 0)}</span
          ><span class="bar"><i style=${{ width: `${(count / most) * 100}%` }}></i></span
          ><span class="num">${grouped(count)}</span>
        </div>`,
    )}
  </div>`;
}
