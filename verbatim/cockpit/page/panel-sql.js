// SQL over the session; a result with times becomes a series under the price.

import { cursor, expression, goTo, head, html, of, recordSeq, selected, signal, use, useState } from "./store.js";
import { post } from "./api.js";
import { Table } from "./table.js";
import { grouped } from "./format.js";

const query = signal("SELECT time_ns, net_pnl FROM pnl");
const EXAMPLES = [
  ["P&L", "SELECT time_ns, net_pnl FROM pnl"],
  [
    "refusals",
    "SELECT rule, count(*) AS count, max(objection) AS example FROM verdicts WHERE NOT approved " +
      "GROUP BY rule ORDER BY 2 DESC",
  ],
  ["slow answers", "SELECT seq, purpose, client_order_id, latency_ns FROM requests ORDER BY latency_ns DESC LIMIT 50"],
  ["spread", "SELECT time_ns, spread FROM quotes USING SAMPLE 2000 ROWS ORDER BY time_ns"],
  ["gaps", "SELECT * FROM gaps"],
];

export function Sql() {
  const text = use(query);
  const [state, setState] = useState({ result: null, error: "", busy: false, ms: 0 });
  const run = async () => {
    setState({ ...state, busy: true, error: "" });
    const begun = performance.now();
    try {
      const result = await post(of("sql"), { query: query.value });
      setState({
        result: result.error ? null : result,
        error: result.error || "",
        busy: false,
        ms: performance.now() - begun,
      });
    } catch (error) {
      setState({ result: null, error: error.message, busy: false, ms: 0 });
    }
  };
  const { result } = state;
  const place = (name) => result.columns.indexOf(name);
  const numeric = result
    ? result.columns.filter(
        (name, at) =>
          !["seq", "time_ns"].includes(name) &&
          result.rows.some((row) => row[at] !== null && Number.isFinite(Number(row[at]))),
      )
    : [];
  const asSeries = () => {
    const time = place("time_ns"),
      value = place(numeric[0]);
    const points = result.rows
      .map((row) => [Number(BigInt(row[time]) - BigInt(head.value.origin_ns)), Number(row[value])])
      .filter(([, number]) => Number.isFinite(number))
      .sort((a, b) => a[0] - b[0]);
    expression.value = { name: numeric[0], points };
  };
  const pick = (row) => {
    const seq = place("seq"),
      time = place("time_ns");
    if (seq >= 0 && row[seq] !== null) {
      recordSeq.value = Number(row[seq]);
      goTo(Number(row[seq]));
    } else if (time >= 0 && row[time] !== null) {
      cursor.value = { seq: null, time: Number(BigInt(row[time]) - BigInt(head.value.origin_ns)) };
    }
    const id = place("client_order_id");
    if (id >= 0 && row[id]) selected.value = row[id];
  };
  return html`<div class="panel-body stack sql">
    <div class="tools">
      <textarea
        rows="2"
        spellcheck="false"
        aria-label="SQL query"
        value=${text}
        onInput=${(event) => (query.value = event.target.value)}
        onKeyDown=${(event) => {
          event.stopPropagation();
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run();
          if (event.key === "Escape") event.target.blur();
        }}
      ></textarea>
      <button class="go" onClick=${run} disabled=${state.busy}>${state.busy ? "running …" : "run"}</button>
    </div>
    <div class="tools">
      <span class="dim">try</span>${EXAMPLES.map(
        ([name, example]) =>
          html`<button
            class="chip"
            onClick=${() => {
              query.value = example;
              run();
            }}
          >
            ${name}
          </button>`,
      )}
      ${
        result &&
        html`<span class="dim"
          >${grouped(result.rows.length)}${result.more ? "+" : ""} rows, ${Math.round(state.ms)} ms</span
        >`
      }
      ${
        result &&
        place("time_ns") >= 0 &&
        numeric.length > 0 &&
        html`<button class="chip on" onClick=${asSeries}>plot ${numeric[0]} under the price</button>`
      }
      <span class="dim">Ctrl+Enter runs; one SELECT, read-only</span>
    </div>
    ${state.error && html`<p class="warn-text" role="alert">${state.error}</p>`}
    ${
      result &&
      html`<${Table}
        label="result"
        columns=${result.columns.map((name, column) => ({
          name,
          text: (row) => row[column] ?? "",
          right: /INT|DECIMAL|DOUBLE|FLOAT/.test(result.types[column]),
          title: (row) => row[column] ?? "",
        }))}
        rows=${result.rows}
        onPick=${place("seq") >= 0 || place("time_ns") >= 0 ? pick : undefined}
      />`
    }
  </div>`;
}
