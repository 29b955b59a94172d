/** @file A sheet of what the transformer draws: an example of each of some tasks, a new picture, and the truth. */
import { contactSheet, type Image, type SheetRow } from "../image/index.ts";
import { Random } from "../random.ts";
import { selectFamilies } from "../tasks/index.ts";
import type { XPrompt } from "../xprompt/model.ts";
import type { TransformerRecipe } from "./transformer-recipe.ts";

const SEEN_ROWS = 10;
const UNSEEN_ROWS = 5;

/** Rows of seen families, then of held-out ones: example before and after, query, what is drawn, truth. */
export async function transformerSheet(
  model: XPrompt,
  { seed, mix }: TransformerRecipe,
  title: string,
): Promise<Image> {
  const include = mix.families.length > 0 ? mix.families : undefined;
  const seen = Random.of(seed, "sheet")
    .shuffle(selectFamilies({ include, exclude: mix.heldOut }))
    .slice(0, SEEN_ROWS);
  const unseen = selectFamilies({ include: mix.heldOut }).slice(0, UNSEEN_ROWS);
  const rows: SheetRow[] = [];
  for (const family of [...seen, ...unseen]) {
    const random = Random.of(seed, "sheet", family.name);
    const task = family.draw(random);
    const [example, query] = [task.pair(random, model.size), task.pair(random, model.size)];
    const prompt = await model.compress([{ input: example.input, output: example.output }]);
    const { images } = await model.generate({ prompt, input: query.input, seed, temperature: 0.7, topK: 50 });
    const pictures = [example.input, example.output, query.input, images[0]!, query.output];
    const label = unseen.includes(family) ? `${family.name} (held out)` : family.name;
    rows.push({ label, cells: pictures.map((image) => ({ image })) });
  }
  return contactSheet(rows, {
    title,
    scale: 2,
    columnTitles: ["before", "after", "query", "drawn", "truth"],
  });
}
