/**
 * @file Makes the pictures of docs/tutorial.md, from what its commands leave in tutorial/.
 *
 *     npx tsx tools/docs/tutorial.ts
 */
import { copyFile } from "node:fs/promises";
import { contactSheet, loadImage, saveImage } from "x-prompt";

const columns = {
  before: "pairs/input/01",
  after: "pairs/output/01",
  "your image": "new",
  "nano as shipped": "before-training",
  "after training": "after-training",
  truth: "truth",
};

const cells = Object.values(columns).map(async (name) => {
  return { image: await loadImage(`tutorial/${name}.png`, { size: 144 }) };
});
const sheet = contactSheet([{ cells: await Promise.all(cells) }], { columnTitles: Object.keys(columns) });
await saveImage("docs/tutorial.webp", sheet, { text: { Software: "xprompt", xprompt: "docs/tutorial.md" } });
await copyFile("tutorial/run/curves.svg", "docs/tutorial-curves.svg");
