// L: this session against another: first differences, and P&L by cause.

import { compared, head, html, moveTo, of, openRecord, selectOrder, side, useAnswer, useState } from "./store.js";
import { get } from "./api.js";
import { atSeq, when } from "./cursor.js";
import { short, span, words } from "./format.js";

const TEXT_MAX = 220;
const cut = (text) => (text.length > TEXT_MAX ? text.slice(0, TEXT_MAX) + "…" : text);
const readable = (text) => cut(text.replace(/\b(\d{4,}) ns\b/g, (_, ns) => span(Number(ns))));
// what each of the two sessions has, one line each
const sides = (what) => {
  const found = /^(.*) in the first, (.*) in the second$/s.exec(what);
  return found ? [`here: ${found[1]}`, `there: ${found[2]}`] : [what];
};
const headline = ({ partings, verdict }) => {
  const [first] = partings;
  if (!first) return verdict.replace(/^diff: /, "");
  return `first difference: ${first.of}, ${first.time ? when(first.time, 3) : "from the start"}`;
};
// the cursor at a difference, and the record of this session beside it
const show = (row) => {
  const seq = /\(record (\d+)\) in the first/.exec(row.what);
  if (!seq) return moveTo(row.time);
  selectOrder("");
  side.value = "why";
  return openRecord(Number(seq[1]), row.time);
};

export function Compare() {
  const list = useAnswer(() => ({ path: "sessions", parameters: {} }));
  const [state, setState] = useState({ other: "", data: null, error: "", busy: false });
  const others = (list.value || []).filter((row) => row.id !== head.value.id);
  const run = async (other) => {
    if (!other) return;
    setState({ other, data: null, error: "", busy: true });
    try {
      const data = await get(of("compare"), { other });
      compared.value = { other, shift: data.shift, partings: data.partings };
      setState({ other, data, error: "", busy: false });
    } catch (error) {
      setState({ other, data: null, error: error.message, busy: false });
    }
  };
  const { data } = state;
  return html`<div class="panel-body scroll pad">
    <div class="tools">
      <label
        >this session with${" "}
        <select value=${state.other} onChange=${(event) => run(event.target.value)}>
          <option value="">choose …</option>
          ${others.map(
            (row) => html`<option value=${row.id}>${row.id} ${row.strategies?.join(", ") || ""} ${row.ended}</option>`,
          )}
        </select></label
      >
      ${
        data &&
        html`<button
          class="chip"
          onClick=${() => {
            compared.value = null;
            setState({ other: "", data: null, error: "", busy: false });
          }}
        >
          end
        </button>`
      }
    </div>
    ${
      state.busy && html`<p class="quiet">comparing …</p>`
    }${state.error && html`<p class="warn-text">${state.error}</p>`}
    ${
      data &&
      html`<h3>${headline(data)}</h3>
        ${data.session.map((line) => html`<div class="dim wraps" title=${line}>${cut(line)}</div>`)}
        <h3>first differences</h3>
        <table class="mini wide" aria-label="first differences">
          <tbody>
            ${data.partings.map(
              (row) =>
                html`<tr class="pick" onClick=${() => show(row)}>
                  <td><b>${row.of}</b></td>
                  <td class="num">${row.time ? when(row.time, 6) : "from the start"}</td>
                  <td class="wraps" title=${row.what}>
                    ${sides(row.what).map((line) => html`<div>${readable(line)}</div>`)}
                  </td>
                </tr>`,
            )}
          </tbody>
        </table>
        ${!data.partings.length && html`<p class="quiet">no record differs</p>`}
        <h3>P&L by cause</h3>
        ${data.bridge.map((part) => html`<${Bridge} part=${part} />`)}
        <h3>fork</h3>
        <p class="quiet">
          Repeat this session from the cursor with one change:${" "}
          <code>verbatim resim ${head.value.id} --from ${atSeq() ?? 0} --set NAME=VALUE</code>
        </p>`
    }
    ${
      !data &&
      !state.busy &&
      html`<p class="quiet">
        The orders of the other session appear dotted in the price panel; the first difference of each kind is a link.
      </p>`
    }
  </div>`;
}

const Bridge = ({ part }) =>
  html`<table class="mini wide" aria-label="P&L bridge">
    <tbody>
      ${Object.entries(part)
        .filter(([, value]) => typeof value !== "object")
        .map(
          ([name, value]) =>
            html`<tr>
              <td>${words(name)}</td>
              <td class="right">${short(value)}</td>
            </tr>`,
        )}
      ${Object.entries(part.causes || part.sums || {}).map(
        ([name, value]) =>
          html`<tr>
            <td>${words(name)}</td>
            <td class="right">${typeof value === "object" ? JSON.stringify(value) : short(value)}</td>
          </tr>`,
      )}
    </tbody>
  </table>`;
