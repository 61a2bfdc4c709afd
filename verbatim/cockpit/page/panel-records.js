// K: the records about the cursor, by kind or by a text in them.

import { cursor, goTo, head, html, of, recordSeq, selected, signal, use, useAnswer } from "./store.js";
import { Table } from "./table.js";
import { at, atSeq, when } from "./cursor.js";
import { RecordBytes } from "./why.js";

const kinds = signal([]);
const search = signal("");
const KINDS = [
  "FEED",
  "BROKER",
  "TIMER",
  "LINK",
  "COMMAND",
  "INTENT",
  "VERDICT",
  "REQUEST",
  "FACT",
  "NOTE",
  "CHECKPOINT",
];

export function Records() {
  const answer = useAnswer(
    () =>
      head.value &&
      atSeq() !== null && {
        path: of("records"),
        parameters: { seq: atSeq(), kinds: kinds.value.join(","), text: search.value },
      },
    150,
  );
  use(at);
  use(cursor);
  const chosenKinds = use(kinds),
    chosen = use(recordSeq);
  const seq = atSeq(),
    data = answer.value;
  const rows = data?.rows || [];
  const columns = [
    { name: "seq", text: (row) => String(row.seq), right: true, width: "74px" },
    { name: "time (UTC)", text: (row) => when(row.time, 9), width: "142px" },
    { name: "kind", text: (row) => row.kind, tone: (row) => "kind kind-" + row.kind, width: "84px" },
    { name: "source", text: (row) => row.source, tone: () => "dim" },
    {
      name: "cause",
      text: (row) => (row.cause === null ? "" : String(row.cause)),
      right: true,
      tone: () => "dim",
      width: "70px",
    },
    { name: "text", text: (row) => row.text, title: (row) => row.text },
  ];
  return html`<div class="panel-body split">
    <div class="stack">
      <div class="tools kinds">
        ${KINDS.map(
          (kind) =>
            html`<button
              class=${`chip kind-${kind} ${chosenKinds.includes(kind) ? "on" : ""}`}
              aria-pressed=${chosenKinds.includes(kind)}
              onClick=${() =>
                (kinds.value = chosenKinds.includes(kind)
                  ? chosenKinds.filter((each) => each !== kind)
                  : [...chosenKinds, kind])}
            >
              ${kind}
            </button>`,
        )}
        <input
          type="search"
          placeholder="text in body, key or source"
          aria-label="search records"
          onChange=${(event) => (search.value = event.target.value)}
        />
      </div>
      <${Table}
        sortable=${false}
        columns=${columns}
        rows=${rows}
        label="records about the cursor"
        follow=${rows.findIndex((row) => row.seq >= seq)}
        isChosen=${(row) => row.seq === chosen}
        rowClass=${(row) => (row.seq === seq ? "at" : row.seq > seq ? "later" : "")}
        onPick=${(row) => {
          recordSeq.value = row.seq;
          goTo(row.seq, row.time);
          if (row.key) selected.value = row.key;
        }}
        empty=${answer.error || (data ? "no record matches near the cursor" : "…")}
      />
    </div>
    <div class="scroll aside">
      ${chosen !== null ? html`<${RecordBytes} />` : html`<p class="quiet">Choose a record to see its bytes.</p>`}
    </div>
  </div>`;
}
