// H: P&L, balances and own records against the venue's at the cursor; equity and drawdown.

import { goTo, head, html, of, use, useAnswer } from "./store.js";
import { at, live, when } from "./cursor.js";
import { Canvas, drawCursor, drawPriceAxis, drawTimeAxis, xOf, LEFT } from "./plot.js";
import { fixed, short, signed, symbol } from "./format.js";

export function Pnl() {
  const answer = useAnswer(() => head.value && { path: of("pnl"), again: Math.floor(live() / 6) }, 1500);
  const now = use(at);
  const data = answer.value;
  if (!data) return html`<p class="quiet">${answer.error || "…"}</p>`;
  const equity = data.equity.rows;
  const lines = now?.pnl || [];
  const total = now?.portfolio;
  const draw = (name, column, tone) => (g, width, height, p) => {
    const range = [0, Math.max(head.value.last_time, 1)];
    drawTimeAxis(g, width, height, range, p);
    if (!equity.length) return;
    const values = equity.map((row) => row[column]);
    let low = Math.min(...values, column === 6 ? 0 : Infinity),
      high = Math.max(...values, column === 6 ? 0 : -Infinity);
    if (low === high) [low, high] = [low - 1, high + 1];
    const y = drawPriceAxis(g, width, height, low, high, (value) => fixed(value, Math.abs(high - low) < 10 ? 3 : 1), p);
    g.beginPath();
    equity.forEach((row, place) => {
      const x = xOf(row[1], width, range);
      if (place) g.lineTo(x, y(row[column]));
      else g.moveTo(x, y(row[column]));
    });
    g.strokeStyle = p[tone];
    g.lineWidth = 1.5;
    g.stroke();
    if (column === 6) {
      g.lineTo(xOf(equity.at(-1)[1], width, range), y(0));
      g.lineTo(xOf(equity[0][1], width, range), y(0));
      g.globalAlpha = 0.08;
      g.fillStyle = p[tone];
      g.fill();
      g.globalAlpha = 1;
    }
    g.lineWidth = 1;
    g.fillStyle = p.dim;
    g.textAlign = "left";
    g.fillText(name, LEFT + 6, 12);
    drawCursor(g, width, height, range, p);
  };
  const whole = () => [0, Math.max(head.value.last_time, 1)];
  return html`<div class="panel-body columns">
    <div class="scroll">
      <h3>at the cursor</h3>
      <table class="mini wide" aria-label="P&L at the cursor">
        <thead>
          <tr>
            <th>strategy</th>
            <th>instrument</th>
            <th class="right">quantity</th>
            <th class="right">mark</th>
            <th class="right">realised</th>
            <th class="right">unrealised</th>
            <th class="right">fees</th>
            <th class="right">funding</th>
            <th class="right">net</th>
          </tr>
        </thead>
        <tbody>
          ${lines.map(
            (row) =>
              html`<tr class="pick" onClick=${() => goTo(row[0], row[1])}>
                <td>${row[2]}</td>
                <td>${symbol(row[3])}</td>
                <td class="right">${short(row[4])}</td>
                <td class="right">${short(row[5], 4)}</td>
                <td class="right">${signed(row[6])}</td>
                <td class="right">${signed(row[7])}</td>
                <td class="right">${fixed(row[8])}</td>
                <td class="right">${signed(row[9])}</td>
                <td class="right strong">
                  ${signed(Number(row[6]) + Number(row[7]) + Number(row[9]) - Number(row[8]))}
                </td>
              </tr>`,
          )}
          ${
            total &&
            html`<tr class="total pick" onClick=${() => goTo(total[0], total[1])}>
              <td colspan="4">all, in ${total[8]}</td>
              <td class="right">${signed(total[2])}</td>
              <td class="right">${signed(total[3])}</td>
              <td class="right">${fixed(total[4])}</td>
              <td class="right">${signed(total[5])}</td>
              <td class="right strong">${signed(total[6])}</td>
            </tr>`
          }
        </tbody>
      </table>
      ${!lines.length && html`<p class="quiet">no P&L was reported before the cursor</p>`}
      <h3>balances</h3>
      <table class="mini wide" aria-label="balances">
        <thead>
          <tr>
            <th>asset</th>
            <th class="right">free</th>
            <th class="right">locked</th>
          </tr>
        </thead>
        <tbody>
          ${(now?.balances || []).map(
            (row) =>
              html`<tr class="pick" onClick=${() => goTo(row[0], row[1])}>
                <td>${row[2]}</td>
                <td class="right">${short(row[3])}</td>
                <td class="right">${short(row[4])}</td>
              </tr>`,
          )}
        </tbody>
      </table>
      <h3>own records against the venue's</h3>
      <table class="mini wide" aria-label="own against venue">
        <thead>
          <tr>
            <th>of</th>
            <th class="right">ours</th>
            <th class="right">venue</th>
            <th class="right">difference</th>
            <th class="right">compared</th>
          </tr>
        </thead>
        <tbody>
          ${(now?.checks || []).map(
            (row) =>
              html`<tr class="pick" onClick=${() => goTo(row[0], row[1])}>
                <td>${row[2]}</td>
                <td class="right">${short(row[3], 4)}</td>
                <td class="right">${short(row[4], 4)}</td>
                <td class=${"right " + (Number(row[5]) ? "warn-text" : "good")}>${short(row[5])}</td>
                <td class="right dim">${when(row[1], 0)}</td>
              </tr>`,
          )}
        </tbody>
      </table>
      <h3>at the end, exact</h3>
      <table class="mini wide" aria-label="P&L at the end">
        <tbody>
          ${data.groups.map(
            (row) =>
              html`<tr>
                <td>${row.name}</td>
                <td class="right">${short(row.realised)}</td>
                <td class="right">${short(row.unrealised)}</td>
                <td class="right">${short(row.fees)}</td>
                <td class="right strong">${short(row.total)}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
    <div class="charts">
      <div class="plot">
        <${Canvas} draw=${draw(`P&L after fees, ${data.equity.currency}`, 6, "accent")} ownTime=${whole} label="P&L" />
      </div>
      <div class="plot"><${Canvas} draw=${draw("drawdown", 8, "warn")} ownTime=${whole} label="drawdown" /></div>
    </div>
  </div>`;
}
