/** @file Contact sheet of the transformer's results on some tasks: example, query, result and truth. */
import { contactSheet, type Image, type SheetRow } from "../../image/index.ts";
import { Random } from "../../random.ts";
import { selectFamilies } from "../../tasks/index.ts";
import type { XPrompt } from "../../xprompt/model.ts";
import type { ContextSource } from "./contexts.ts";
import { included } from "./mix.ts";
import type { TransformerRecipe } from "./recipe.ts";

const SEEN_ROWS = 10;
const UNSEEN_ROWS = 5;

const PAIR_ROWS = 8;

/** Example and query of one row. */
interface PairRow {
  readonly label: string;
  readonly example: { readonly input: Image; readonly output: Image };
  readonly query: { readonly input: Image; readonly output: Image };
}

/**
 * Rows of the user's own pairs, then of seen families, then of held-out ones. Columns: before and after of the example,
 * query, result, truth.
 */
export async function transformerSheet(
  model: XPrompt,
  recipe: TransformerRecipe,
  title: string,
  sets: readonly ContextSource[] = [],
): Promise<Image> {
  const { seed } = recipe;
  const rows: SheetRow[] = [];
  for (const { label, example, query } of [
    ...(await ownPairs(sets, model.size)),
    ...familyPairs(recipe, model.size),
  ]) {
    const prompt = await model.compress([example]);
    const { images } = await model.generate({ prompt, input: query.input, seed, temperature: 0.7, topK: 50 });
    const pictures = [example.input, example.output, query.input, images[0], query.output];
    rows.push({ label, cells: pictures.map((image) => ({ image })) });
  }
  return contactSheet(rows, {
    title,
    scale: 2,
    columnTitles: ["before", "after", "query", "result", "truth"],
  });
}

/** The first contexts of each set, in turn. Skips pairs without an input picture. */
async function ownPairs(sets: readonly ContextSource[], size: number): Promise<PairRow[]> {
  const shown: PairRow[] = [];
  for (let i = 0; i < PAIR_ROWS && sets.length > 0; i++) {
    const set = sets[i % sets.length]!;
    const context = await set.context(Math.floor(i / sets.length), { examples: 1, todos: 1, size });
    const [example, query] = [context.examples[0], context.todos[0]];
    if (!example?.input || !query?.input) continue;
    shown.push({
      label: `own pair ${shown.length + 1}`,
      example: { input: example.input, output: example.output },
      query: { input: query.input, output: query.output },
    });
  }
  return shown;
}

function familyPairs({ seed, mix }: TransformerRecipe, size: number): PairRow[] {
  const include = included(mix);
  const seen = Random.of(seed, "sheet")
    .shuffle(selectFamilies({ include, exclude: mix.heldOut }))
    .slice(0, SEEN_ROWS);
  const unseen = selectFamilies({ include: mix.heldOut }).slice(0, UNSEEN_ROWS);
  return [...seen, ...unseen].map((family) => {
    const random = Random.of(seed, "sheet", family.name);
    const task = family.draw(random);
    const pair = () => {
      const { input, output } = task.pair(random, size);
      return { input, output };
    };
    const [example, query] = [pair(), pair()];
    return { label: unseen.includes(family) ? `${family.name} (held out)` : family.name, example, query };
  });
}
