// E: the chain of records behind an order, and the bytes of one record.

import {
  cursor,
  goTo,
  head,
  html,
  jump,
  of,
  openRecord,
  recordSeq,
  selectOrder,
  selected,
  signal,
  tick,
  use,
  useAnswer,
} from "./store.js";
import { at } from "./cursor.js";
import { absoluteNs, classes, grouped, pretty, scaled, short, shortId, span, symbol, utc, words } from "./format.js";

const OPEN_SHOWN = 12; // orders
const open = signal(new Set());

export function Why() {
  const id = use(selected);
  const chosen = use(recordSeq);
  use(cursor);
  const answer = useAnswer(
    () =>
      selected.value && {
        path: of("why"),
        parameters: { order: selected.value },
        again: head.value?.is_live ? Math.floor(tick.value / 4) : 0,
      },
  );
  const opened = use(open);
  const story = answer.value;
  if (!id)
    return html`<div class="scroll pad">
      <${Choice} />
      ${chosen !== null && html`<${RecordBytes} />`}
    </div>`;
  if (!story || story.client_order_id !== id)
    return html`<div class="scroll">
      <p class="quiet">${answer.error || `reading the chain of ${shortId(id)} …`}</p>
    </div>`;
  const order = story.order;
  const here = head.value.id;
  return html`<div class="scroll why">
    <header class="story">
      <div class="id">
        <b>${shortId(id)}</b>${order?.venue_order_id && html`<span class="dim"> venue ${order.venue_order_id}</span>`}
        <button class="plain" onClick=${() => selectOrder("")} aria-label="close the chain">×</button>
      </div>
      ${
        order
          ? html`<div>
                <span class=${order.side === "BUY" ? "buy" : "sell"}>${order.side}</span> ${termsText(order)} ·${" "}
                <b>${words(order.status)}</b>${fillText(order)}
              </div>
              ${order.reason && html`<div class="warn-text">${order.reason}</div>`}`
          : html`<div class="warn-text">never left us: refused before it became a request</div>`
      }
    </header>
    <ol class="chain" aria-label="chain of causes, latest first">
      ${story.chain.map((link) => {
        const key = `${link.session}:${link.seq}`,
          isOpen = opened.has(key),
          isHere = link.session === here,
          isChosen = isHere && link.seq === chosen;
        return html`<li
          class=${classes(`kind-${link.kind}`, isChosen && "chosen", isHere && cursor.value.seq === link.seq && "at")}
        >
          <button
            class="link"
            disabled=${!isHere}
            onClick=${() => {
              recordSeq.value = link.seq;
              goTo(link.seq, link.time);
            }}
            title=${`record ${link.seq}`}
          >
            <span class="seq">${link.seq}</span><span class="kind">${link.kind}</span
            ><span class="when">${isHere ? utc(head.value.origin_ns, link.time, 6) : link.session}</span>
            <span class="delta"
              >${
                link.delta_ns !== null && !(link.payload && !link.meta) && link.kind !== "LINK"
                  ? link.delta_ns
                    ? "+" + span(link.delta_ns)
                    : "at once"
                  : ""
              }</span
            >
          </button>
          <div class="what">
            ${
              link.kind === "VERDICT"
                ? html`<${Verdict} body=${link.body} />`
                : link.kind === "INTENT"
                  ? html`<${Intent} link=${link} />`
                  : link.what
            }
            ${link.latency_ns !== null && html`<div class="dim">${sendingText(link)}</div>`}
            ${
              (link.payload || link.body) &&
              html`<button
                class="plain more"
                aria-expanded=${isOpen}
                onClick=${() => {
                  const next = new Set(opened);
                  isOpen ? next.delete(key) : next.add(key);
                  open.value = next;
                }}
              >
                ${isOpen ? "hide" : link.payload ? "bytes" : "body"}
              </button>`
            }
            ${
              isOpen &&
              html`<pre>
${pretty(link.payload || link.body_text)}${link.meta ? "\n\n" + JSON.stringify(link.meta, null, 2) : ""}</pre>`
            }
          </div>
        </li>`;
      })}
    </ol>
    ${story.missing && html`<p class="quiet">${story.missing}</p>`}
  </div>`;
}

// what to choose while no order is chosen: the acts beside the cursor, and the orders that are open there
const NEAR = ["fill", "order", "refusal", "alarm"];

function Choice() {
  const about = use(head),
    open = use(at)?.live_orders || [];
  return html`<p class="quiet">
      Choose an order, a fill or a refused intent: here, in the plot or in a table. Its chain of causes appears here,
      down to the bytes of the market message.
    </p>
    <table class="mini near" aria-label="acts beside the cursor">
      <tbody>
        ${NEAR.map(
          (kind) =>
            html`<tr>
              <td>${kind}</td>
              <td class="right num">${grouped(about.marks[kind])}</td>
              <td>
                <button disabled=${!about.marks[kind]} onClick=${() => jump(kind, "back")}>◂ the last ${kind}</button>
              </td>
              <td><button disabled=${!about.marks[kind]} onClick=${() => jump(kind, "on")}>the next ▸</button></td>
            </tr>`,
        )}
      </tbody>
    </table>
    <h3>open at the cursor</h3>
    ${open.length === 0 && html`<p class="quiet">no order</p>`}
    <ul class="ids" aria-label="orders open at the cursor">
      ${open
        .slice(-OPEN_SHOWN)
        .reverse()
        .map((id) => html`<li><button class="plain" onClick=${() => selectOrder(id)}>${shortId(id)}</button></li>`)}
    </ul>`;
}

const termsText = ({ quantity, instrument, price, strategy }) =>
  `${short(quantity)} ${symbol(instrument)} ${price ? `at ${short(price)}` : "at market"} · ${strategy}`;
// when a request was sent and answered
function sendingText({ time, sent_ns: sent, latency_ns: latency, outcome, answered_by: by }) {
  const later = span(Number(BigInt(sent) - BigInt(absoluteNs(head.value.origin_ns, time))));
  const result = outcome === "answer" ? "answered" : words(outcome || "");
  return `sent ${later} later; ${result} ${span(latency)} after that by ${by}`;
}
const fillText = ({ filled_quantity: quantity, price_avg: price }) =>
  Number(quantity) ? ` · ${short(quantity)} at ${short(price)}` : "";

function Verdict({ body }) {
  const rules = Object.entries(body.rules || {}).filter(([, text]) => text);
  const figures = Object.entries(body.figures || {});
  return html`<div>
    <b class=${body.approved ? "good" : "warn-text"}>${body.approved ? "approved" : "refused"}</b>
    ${rules.map(([name, text]) => html`<div class="warn-text">${words(name)}: ${text}</div>`)}
    ${
      figures.length > 0 &&
      html`<table class="mini" aria-label="limits">
        <thead>
          <tr>
            <th>limit</th>
            <th class="right">used</th>
            <th class="right">with it</th>
            <th class="right">limit</th>
          </tr>
        </thead>
        <tbody>
          ${figures.map(
            ([name, [before, limit, after]]) =>
              html`<tr>
                <td>${words(name)}</td>
                <td class="right">${short(before, 4)}</td>
                <td class="right">${short(after, 4)}</td>
                <td class="right">${short(limit, 4)}</td>
              </tr>`,
          )}
        </tbody>
      </table>`
    }
  </div>`;
}

function Intent({ link }) {
  const body = link.body,
    values = Object.entries(body.rationale || {});
  return html`<div>
    ${link.what.split(", because")[0]}
    ${
      values.length > 0 &&
      html`<table class="mini rationale" aria-label="rationale">
        <tbody>
          ${values.map(
            ([name, value]) =>
              html`<tr>
                <td>${words(name)}</td>
                <td class="right">${typeof value === "object" ? JSON.stringify(value) : String(value)}</td>
              </tr>`,
          )}
        </tbody>
      </table>`
    }
  </div>`;
}

// the records that a record led to; messages of the venue are only counted
function Effects({ caused }) {
  const isMessage = (each) => ["FEED", "BROKER"].includes(each.kind);
  const acts = caused.filter((each) => !isMessage(each)),
    messages = caused.length - acts.length;
  return html`<div class="dim">
    led to${" "}
    ${acts.map(
      (each) =>
        html`<button class="plain" title=${each.text} onClick=${() => openRecord(each.seq, each.time)}>
          ${each.seq} ${each.kind}
        </button> `,
    )}
    ${messages > 0 && `${acts.length ? "and " : ""}${messages} messages of the venue`}
  </div>`;
}

export function RecordBytes() {
  use(recordSeq);
  const answer = useAnswer(
    () => recordSeq.value !== null && { path: of("record"), parameters: { seq: recordSeq.value } },
  );
  const found = answer.value;
  if (!found) return html`<p class="quiet">${answer.error || "…"}</p>`;
  return html`<section class="record" aria-label="one record">
    <header>
      <b>${found.seq}</b> <span class=${"kind kind-" + found.kind}>${found.kind}</span>${" "}
      <span class="dim">${found.source}</span>
    </header>
    <div class="dim num">${utc(head.value.origin_ns, found.time)} UTC · ${found.time_ns} ns</div>
    <div>${found.text}</div>
    <div class="row">
      ${
        found.cause !== null &&
        html`<button
          class="plain"
          onClick=${() => {
            recordSeq.value = found.cause;
            goTo(found.cause);
          }}
        >
          cause ${found.cause}
        </button>`
      }
      ${
        found.decided_on &&
        html`<button
          class="plain"
          onClick=${() => {
            recordSeq.value = found.decided_on;
            goTo(found.decided_on);
          }}
        >
          decided on ${found.decided_on}
        </button>`
      }
      ${
        found.key &&
        html`<button class="plain" onClick=${() => selectOrder(found.key)}>order ${shortId(found.key)}</button>`
      }
    </div>
    ${found.caused.length > 0 && html`<${Effects} caused=${found.caused} />`}
    <pre>${pretty(found.body ?? found.payload ?? "")}</pre>
    ${found.meta && html`<pre>${pretty(found.meta)}</pre>`}
    ${found.recv_ns && html`<div class="dim num">received ${found.recv_ns} ns, ${found.bytes} bytes</div>`}
  </section>`;
}

export { scaled };
