// J: streams, links, gaps, alarms, and times from decision to wire.

import { cursor, head, html, of, use, useAnswer, openRecord } from "./store.js";
import { at, atSeq, when } from "./cursor.js";
import { grouped, span, symbol, words } from "./format.js";

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
      ${data.meter !== undefined && html`<${Meter} figures=${data.meter} />`}
    </div>
    <div class="scroll">
      <h3>gaps in market data</h3>
      ${data.gaps.map(
        (row) =>
          html`<button class="refusal" onClick=${() => go(row)}>
            <span class="dim num">${when(row[1])}</span> ${row[2] === null ? "lasts" : span(row[2] - row[1])} ${row[3]}
            ${" "}${symbol(row[4])} <span class="dim">${row[5]}</span>
          </button>`,
      )}${!data.gaps.length && html`<p class="quiet">none</p>`}
      <h3>modes</h3>
      ${(data.modes || []).map(
        (row) =>
          html`<button class="refusal" onClick=${() => go(row)}>
            <span class="dim num">${when(row[1])}</span> <b>${row[2]}</b> <span class="dim">${row[3].join("; ")}</span>
          </button>`,
      )}
      <h3>links</h3>
      ${data.links.map(
        (row) =>
          html`<button class="refusal" onClick=${() => go(row)}>
            <span class="dim num">${when(row[1])}</span> <b>${row[3]}</b> ${row[2]} <span class="dim">${row[4]}</span>
          </button>`,
      )}
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

// the trader's process, by the line that its meter wrote before the cursor
function Meter({ figures }) {
  if (!figures)
    return html`<h3>the trader's process</h3>
      <p class="quiet">its meter has no line before the cursor</p>`;
  const mib = (bytes) => `${grouped(Math.round(bytes / 2 ** 20))} MiB`;
  const [newest, p50, p99] = figures.sync;
  const sends = figures.sends.map(([purpose, transport, count, recent, half, nearly]) => [
    `${words(purpose)}, ${words(transport)}`,
    recent ? `p50 ${span(half)}` : "",
    `${recent ? `p99 ${span(nearly)} · ` : ""}${grouped(count)} sent`,
  ]);
  const rows = [
    ["queue", grouped(figures.waiting[0]), `peak ${grouped(figures.waiting[1])}`],
    ["lag", span(figures.lag[0]), `peak ${span(figures.lag[1])}`],
    ["sync", newest ? `p50 ${span(p50)}` : "none", newest ? `p99 ${span(p99)}` : ""],
    ...sends,
    ["unsynced", grouped(figures.unsynced), "records"],
    ["log", grouped(figures.log_dropped), "batches dropped"],
    ["memory", mib(figures.memory), `${mib(figures.free)} of disk free`],
  ];
  return html`<h3>
      the trader's process${" "}
      <span class="dim">${figures.age > 0 && `${span(figures.age)} before the cursor`}</span>
    </h3>
    <table class="mini wide" aria-label="process of the trader">
      <tbody>
        ${rows.map(
          ([name, value, more]) =>
            html`<tr>
              <td>${name}</td>
              <td class="right">${value}</td>
              <td class="dim">${more}</td>
            </tr>`,
        )}
      </tbody>
    </table>`;
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
