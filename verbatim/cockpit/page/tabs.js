// The tabs: the tables below the plots, and the panels beside them.

import { Ladder } from "./panel-book.js";
import { Compare } from "./panel-compare.js";
import { Health } from "./panel-health.js";
import { Orders } from "./panel-orders.js";
import { Pnl } from "./panel-pnl.js";
import { Records } from "./panel-records.js";
import { Risk } from "./panel-risk.js";
import { Sql } from "./panel-sql.js";
import { Strategies } from "./panel-strategy.js";
import { Summary } from "./panel-summary.js";
import { Why } from "./why.js";

export const DOCK = [
  ["orders", "Orders", Orders],
  ["records", "Records", Records],
  ["sql", "SQL", Sql],
  ["pnl", "P&L", Pnl],
  ["health", "Health", Health],
  ["summary", "Summary", Summary],
  ["compare", "Compare", Compare],
];
export const SIDE = [
  ["why", "Why", Why],
  ["ladder", "Book", Ladder],
  ["risk", "Risk", Risk],
  ["strategy", "Strategy", Strategies],
];
