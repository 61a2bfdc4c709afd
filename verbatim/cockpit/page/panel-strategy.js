// F: state and parameters of each strategy at the cursor, and its numbers as series.

import { cursor, head, html, of, seriesNames, use, useAnswer, openRecord } from "./store.js";
import { at, atSeq, live, when } from "./cursor.js";
import { shortId, span, words } from "./format.js";

export function Strategies() {
  const answer = useAnswer(
    () =>
      head.value && !head.value.is_capture && atSeq() !== null && { path: of("state"), parameters: { seq: atSeq() } },
    250,
  );
  const names = useAnswer(
    () => head.value && { path: of("values"), parameters: {}, again: Math.floor(live() / 10) },
    2000,
  );
  const now = use(at),
    chosen = use(seriesNames);
  use(cursor);
  const state = answer.value;
  const known = names.value?.names || [];
  return html`<div class="scroll pad">
    <h3>values as series</h3>
    <div class="row wrap">
      ${known.map(
        (name) =>
          html`<button
            class=${"chip " + (chosen.includes(name) ? "on" : "")}
            aria-pressed=${chosen.includes(name)}
            onClick=${() =>
              (seriesNames.value = chosen.includes(name)
                ? chosen.filter((each) => each !== name)
                : [...chosen, name].slice(-8))}
          >
            ${name}
          </button>`,
      )}
    </div>
    ${!known.length && html`<p class="quiet">no strategy recorded numbers</p>`}
    ${head.value.strategies.map((each) => {
      const held = state?.strategies.find((found) => found.strategy === each.name),
        change = now?.changes[each.name];
      return html`<section class="strategy">
        <h3>${each.name} <span class="dim">version ${each.version}</span></h3>
        ${held?.stopped_for && html`<p class="warn-text">stopped: ${held.stopped_for}</p>`}
        ${held?.paused_for && html`<p class="warn-text">${held.paused_for}</p>`}
        <table class="mini wide" aria-label=${"state of " + each.name}>
          <tbody>
            ${Object.entries(held?.state || {}).map(
              ([name, value]) =>
                html`<tr>
                  <td>${words(name)}</td>
                  <td class="right">${text(value)}</td>
                  <td class="dim">
                    ${
                      change && name in change.fields
                        ? `was ${text(change.fields[name][0] ?? "unset")} until ${when(change.time)}`
                        : "state"
                    }
                  </td>
                </tr>`,
            )}
            ${Object.entries(each.parameters || {}).map(
              ([name, value]) =>
                html`<tr>
                  <td>${words(name)}</td>
                  <td class="right">${text(value)}</td>
                  <td class="dim">parameter</td>
                </tr>`,
            )}
          </tbody>
        </table>
        ${
          change &&
          html`<button class="plain" onClick=${() => openRecord(change.seq, change.time)}>
            last change: record ${change.seq}
          </button>`
        }
      </section>`;
    })}
    ${
      state &&
      html`<h3>waiting for</h3>
        ${state.waiting_for.map(
          (row) =>
            html`<div>${words(row.purpose)} ${shortId(row.client_order_id)} <span class="dim">${row.why}</span></div>`,
        )}${!state.waiting_for.length && html`<p class="quiet">no answer</p>`}
        <h3>timers</h3>
        <table class="mini wide" aria-label="timers">
          <tbody>
            ${state.timers.slice(0, 20).map(
              (row) =>
                html`<tr>
                  <td>${row.timer}</td>
                  <td class="right">in ${span(Number(BigInt(row.due_ns) - BigInt(state.time_ns)))}</td>
                </tr>`,
            )}
          </tbody>
        </table>
        ${
          state.unknown_orders.length > 0 &&
          html`<h3>unknown orders</h3>
            ${state.unknown_orders.map(
              (row) =>
                html`<div class="warn-text">
                  ${shortId(row.client_order_id)}: ${row.reason}; queried ${row.query_count} times
                </div>`,
            )}`
        }`
    }
    ${answer.error && html`<p class="quiet">${answer.error}</p>`}
  </div>`;
}
const text = (value) => (value === null || typeof value !== "object" ? String(value) : JSON.stringify(value));
