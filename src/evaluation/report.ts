/**
 * @file Reports with tables and pictures, as one self-contained HTML file and as contact sheets.
 */
import { contactSheet, encodePng, type Image, type Sheet } from "../image/index.ts";
import type { Estimate } from "./metrics/bootstrap.ts";

/** A cell of a table; null for values that were not measured. */
export type Cell = string | number | Estimate | null;

export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

export interface Section {
  /** Also the name of the contact sheet's file. */
  readonly title: string;
  readonly text?: string;
  readonly table?: Table;
  readonly sheet?: Sheet;
}

/** Scale of the pictures on contact sheets. */
const SCALE = 2;

export function sheetImage({ title, sheet }: Section): Image | undefined {
  return sheet && contactSheet(sheet.rows, { title, columnTitles: sheet.columnTitles, scale: SCALE });
}

/** Renders the report as HTML, with a light and a dark theme. */
export async function renderHtml(
  title: string,
  intro: string,
  sections: readonly Section[],
): Promise<string> {
  const parts = await Promise.all(sections.map(renderSection));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
<h1>${escapeHtml(title)}</h1>
<p>${escapeHtml(intro)}</p>
${parts.join("\n")}
</body>
</html>
`;
}

const style = `
:root { color-scheme: light dark; --line: #d8d5cc; --faint: #66645e; }
@media (prefers-color-scheme: dark) { :root { --line: #3d3c39; --faint: #a3a099; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
p { color: var(--faint); max-width: 48rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { color: var(--faint); font-weight: 500; }
th:first-child, td:first-child { text-align: left; }
.pictures th { text-align: center; }
.pictures td { text-align: center; vertical-align: top; border: 0; white-space: normal; }
.pictures td:first-child { text-align: left; min-width: 7rem; max-width: 14rem; }
img { width: 128px; image-rendering: pixelated; border: 1px solid var(--line); display: block; margin: 0 auto; }
small { color: var(--faint); display: block; max-width: 128px; margin: 0 auto; }
`;

async function renderSection({ title, text, table, sheet }: Section): Promise<string> {
  const parts = [`<h2>${escapeHtml(title)}</h2>`];
  if (text) parts.push(`<p>${escapeHtml(text)}</p>`);
  if (table) parts.push(renderTable(table));
  if (sheet) parts.push(await renderSheet(sheet));
  return `<section>\n${parts.join("\n")}\n</section>`;
}

const row = (tag: "th" | "td", cells: readonly string[]): string =>
  `<tr>${cells.map((cell) => `<${tag}>${cell}</${tag}>`).join("")}</tr>`;

const inTable = (rows: readonly string[], kind = ""): string =>
  `<div class="wide"><table${kind && ` class="${kind}"`}>\n${rows.join("\n")}\n</table></div>`;

const renderTable = ({ columns, rows }: Table): string =>
  inTable([
    row("th", columns.map(escapeHtml)),
    ...rows.map((cells) =>
      row(
        "td",
        cells.map((cell) => escapeHtml(formatCell(cell))),
      ),
    ),
  ]);

async function renderSheet({ columnTitles, rows }: Sheet): Promise<string> {
  const body = rows.map(async ({ label = "", cells }) => {
    const pictures = cells.map(async ({ image, caption }) => {
      const data = (await encodePng(image)).toString("base64");
      const under = caption ? `<small>${escapeHtml(caption)}</small>` : "";
      return `<img alt="" src="data:image/png;base64,${data}">${under}`;
    });
    return row("td", [escapeHtml(label), ...(await Promise.all(pictures))]);
  });
  return inTable(
    [row("th", ["", ...columnTitles.map(escapeHtml)]), ...(await Promise.all(body))],
    "pictures",
  );
}

/** Formats a cell: numbers with up to three decimals, means with their interval, a dash for missing values. */
function formatCell(cell: Cell): string {
  if (cell === null || (typeof cell === "number" && !Number.isFinite(cell))) return "–";
  if (typeof cell === "object") return `${formatCell(cell.mean)} (${cell.ci.map(formatCell).join(" to ")})`;
  return typeof cell === "number" && !Number.isInteger(cell) ? cell.toFixed(3) : String(cell);
}

const escapeHtml = (text: string): string =>
  text.replace(
    /[&<>"]/g,
    (character) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[character]!,
  );
