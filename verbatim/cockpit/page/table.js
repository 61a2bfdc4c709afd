// A table that draws only the rows in sight, sorts by its columns and is walked with the arrow keys.

import { html, useEffect, useRef, useState } from "./store.js";
import { classes } from "./format.js";

const ROW = matchMedia("(pointer: coarse)").matches ? 34 : 21; // pixels, as in style.css

export function Table({
  columns,
  rows,
  label,
  onPick,
  isChosen = () => false,
  rowClass = () => "",
  empty = "nothing here",
  sortable = true,
  follow = -1,
}) {
  const place = useRef(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(300);
  const [sort, setSort] = useState(null);
  const [focus, setFocus] = useState(-1);
  useEffect(() => {
    const box = place.current;
    const size = new ResizeObserver(() => setHeight(box.clientHeight));
    size.observe(box);
    return () => size.disconnect();
  }, []);
  useEffect(() => {
    const box = place.current;
    if (follow < 0 || sort || box.matches(":hover")) return;
    const at = follow * ROW;
    if (at < box.scrollTop || at > box.scrollTop + box.clientHeight - 3 * ROW)
      box.scrollTop = Math.max(at - box.clientHeight / 3, 0);
  }, [follow, rows]);
  const column = sort && columns.find((each) => each.name === sort.name);
  const sorted = column
    ? [...rows].sort(
        (a, b) =>
          compare(column.sort ? column.sort(a) : column.text(a), column.sort ? column.sort(b) : column.text(b)) *
          sort.way,
      )
    : rows;
  const first = Math.max(0, Math.floor(top / ROW) - 8),
    last = Math.min(sorted.length, first + Math.ceil(height / ROW) + 16);
  const keys = (event) => {
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15 };
    if (event.key in moves) {
      event.preventDefault();
      event.stopPropagation();
      const next = Math.max(0, Math.min(sorted.length - 1, (focus < 0 ? -1 : focus) + moves[event.key]));
      setFocus(next);
      const box = place.current;
      if (next * ROW < box.scrollTop) box.scrollTop = next * ROW;
      if ((next + 2) * ROW > box.scrollTop + box.clientHeight) box.scrollTop = (next + 2) * ROW - box.clientHeight;
    } else if (event.key === "Enter" && focus >= 0) onPick?.(sorted[focus]);
  };
  const rowClasses = (row, at) =>
    classes(rowClass(row), isChosen(row) && "chosen", focus === at && "focus", onPick && "pick");
  return html`<div
    class="table"
    ref=${place}
    onScroll=${(event) => setTop(event.target.scrollTop)}
    tabindex="0"
    onKeyDown=${keys}
    role="grid"
    aria-label=${label}
    aria-rowcount=${sorted.length}
  >
    <table>
      <thead>
        <tr>
          ${columns.map(
            (each) =>
              html`<th
                class=${each.right ? "right" : ""}
                style=${each.width ? { width: each.width } : {}}
                aria-sort=${sort?.name === each.name ? (sort.way > 0 ? "ascending" : "descending") : "none"}
              >
                ${
                  sortable
                    ? html`<button
                        onClick=${() =>
                          setSort(
                            sort?.name === each.name
                              ? sort.way > 0
                                ? { name: each.name, way: -1 }
                                : null
                              : { name: each.name, way: 1 },
                          )}
                      >
                        ${each.name}${sort?.name === each.name ? (sort.way > 0 ? " ↑" : " ↓") : ""}
                      </button>`
                    : each.name
                }
              </th>`,
          )}
        </tr>
      </thead>
      <tbody>
        ${
          first > 0 &&
          html`<tr class="gap" aria-hidden="true">
            <td colspan=${columns.length} style=${{ height: `${first * ROW}px` }}></td>
          </tr>`
        }
        ${sorted.slice(first, last).map(
          (row, at) =>
            html`<tr
              key=${first + at}
              aria-rowindex=${first + at + 1}
              class=${rowClasses(row, first + at)}
              onClick=${() => {
                setFocus(first + at);
                onPick?.(row);
              }}
            >
              ${columns.map(
                (each) =>
                  html`<td
                    class=${`${each.right ? "right" : ""} ${each.tone ? each.tone(row) : ""}`}
                    title=${each.title ? each.title(row) : undefined}
                  >
                    ${each.text(row)}
                  </td>`,
              )}
            </tr>`,
        )}
        ${
          last < sorted.length &&
          html`<tr class="gap" aria-hidden="true">
            <td colspan=${columns.length} style=${{ height: `${(sorted.length - last) * ROW}px` }}></td>
          </tr>`
        }
      </tbody>
    </table>
    ${!sorted.length && html`<p class="quiet">${empty}</p>`}
  </div>`;
}

function compare(a, b) {
  const [x, y] = [Number(a), Number(b)];
  if (a !== "" && b !== "" && Number.isFinite(x) && Number.isFinite(y)) return x - y;
  return String(a).localeCompare(String(b));
}
