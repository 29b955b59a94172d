/** @file Adds examples to a library in batches, each completely or not at all, without duplicates. */
import { XPromptError } from "../errors.ts";
import { loadImage } from "../image/index.ts";
import { type Embedder, unitVectors } from "./embedder.ts";
import { type NewExample, type StoredExample, storedExample, type Vectors } from "./example.ts";
import { indexTable } from "./indexing.ts";
import { factsOf } from "./search.ts";
import { factNames, type LibraryTable, type Tables } from "./tables.ts";

export interface AddOptions {
  /** Called for an invalid example, which is then skipped. Without it, an invalid example is an error. */
  onRefused?(error: XPromptError, example: NewExample): void;
  /** Called after each batch that is safely stored. */
  onProgress?(sofar: Added): void;
  readonly signal?: AbortSignal;
}

export interface Added {
  readonly added: number;
  /** Examples that the library already had. */
  readonly known: number;
  readonly refused: number;
}

/** An example with its embedding. */
interface Embedded {
  readonly example: StoredExample;
  readonly vectors: Vectors;
}

/** Examples, with their pictures, per query of the library. */
const EXAMPLES_PER_QUERY = 64;

/** Limits of a batch. */
const BATCH = { examples: 2000, bytes: 64 * 2 ** 20, milliseconds: 5000 };

/** @internal Keeps the ids of a library, so that no example is added twice. */
export class Adding {
  private ids = new Set<string>();
  private version = -1;

  /** @param isLocked see `idsWithout` */
  constructor(
    private readonly tables: Tables,
    private readonly isLocked: boolean,
  ) {}

  async add(
    examples: Iterable<NewExample> | AsyncIterable<NewExample>,
    embedder: Embedder,
    { onRefused, onProgress, signal }: AddOptions,
  ): Promise<Added> {
    await this.refresh();
    await this.embedMissing(embedder, { signal });
    const batch = new Batch();
    let [added, known, refused] = [0, 0, 0];
    const flush = async () => {
      added += await this.put(batch.take(), embedder);
      onProgress?.({ added, known, refused });
    };
    for await (const example of examples) {
      signal?.throwIfAborted();
      try {
        const stored = await storedExample(example);
        if (this.ids.has(stored.id) || batch.has(stored.id)) known++;
        else batch.push({ example: stored, vectors: await embed(stored, example.vectors, embedder) });
      } catch (error) {
        if (!(error instanceof XPromptError) || !onRefused) throw error;
        refused++;
        onRefused(error, example);
      }
      if (batch.isFull()) await flush();
    }
    await flush();
    await this.index(embedder);
    return { added, known, refused };
  }

  async embedMissing(
    embedder: Embedder,
    { onProgress, signal }: Pick<AddOptions, "onProgress" | "signal"> = {},
  ): Promise<number> {
    const examples = await this.tables.examples();
    const vectors = (await this.tables.vectors(embedder, true))!;
    // What another process has just written counts.
    for (const table of [examples, vectors]) await versionOf(table);
    const missing = await idsWithout(vectors, examples, this.isLocked);
    if (missing.length === 0) return 0;
    const known = (await examples.count()) - missing.length;
    const batch = new Batch();
    let made = 0;
    const flush = async () => {
      const taken = batch.take();
      if (taken.length > 0) await vectors.add(taken.map(vectorRow));
      made += taken.length;
      onProgress?.({ added: made, known, refused: 0 });
    };
    for (let from = 0; from < missing.length; from += EXAMPLES_PER_QUERY) {
      const part = missing.slice(from, from + EXAMPLES_PER_QUERY);
      for (const row of await examples.rows(part, [...factNames, "input", "output"])) {
        signal?.throwIfAborted();
        const { input, output } = row as { input: Uint8Array; output: Uint8Array };
        const example = { ...factsOf(row), input, output };
        batch.push({ example, vectors: await embed(example, undefined, embedder) });
        if (batch.isFull()) await flush();
      }
    }
    await flush();
    await this.index(embedder);
    return made;
  }

  /** Adds a batch: the examples first, because missing vectors can be made later. */
  private async put(batch: readonly Embedded[], embedder: Embedder): Promise<number> {
    if (batch.length === 0) return 0;
    await this.refresh();
    const fresh = batch.filter(({ example }) => !this.ids.has(example.id));
    if (fresh.length === 0) return 0;
    const examples = await this.tables.examples();
    await examples.add(fresh.map(({ example }) => ({ ...example })));
    await (await this.tables.vectors(embedder, true))!.add(fresh.map(vectorRow));
    for (const { example } of fresh) this.ids.add(example.id);
    this.version = await versionOf(examples);
    return fresh.length;
  }

  /** Reads the ids again if another process has written: object storage has no lock. */
  private async refresh(): Promise<void> {
    const examples = await this.tables.examples();
    const version = await versionOf(examples);
    if (version === this.version) return;
    this.ids = await examples.ids();
    this.version = version;
  }

  private async index(embedder: Embedder): Promise<void> {
    const examples = await this.tables.examples();
    await indexTable(examples);
    await indexTable((await this.tables.vectors(embedder, true))!);
    this.version = await versionOf(examples);
  }
}

class Batch {
  private examples = new Map<string, Embedded>();
  private bytes = 0;
  private began = 0;

  push(embedded: Embedded): void {
    if (this.examples.size === 0) this.began = performance.now();
    const { id, input, output } = embedded.example;
    this.examples.set(id, embedded);
    this.bytes += input.length + output.length;
  }

  has(id: string): boolean {
    return this.examples.has(id);
  }

  isFull(): boolean {
    return (
      this.examples.size >= BATCH.examples ||
      this.bytes >= BATCH.bytes ||
      (this.examples.size > 0 && performance.now() - this.began >= BATCH.milliseconds)
    );
  }

  take(): Embedded[] {
    const taken = [...this.examples.values()];
    this.examples = new Map();
    this.bytes = 0;
    return taken;
  }
}

/**
 * @internal Ids of the examples without vectors.
 * @param isLocked whether one writer at a time adds to the library. Otherwise two may add the same vectors, so that equal
 * counts tell nothing. They save reading all ids, which takes some 2 s of a core per million
 */
export async function idsWithout(
  vectors: LibraryTable | undefined,
  examples: LibraryTable,
  isLocked: boolean,
): Promise<string[]> {
  if (isLocked && vectors && (await vectors.count()) === (await examples.count())) return [];
  const all = [...(await examples.ids())];
  const there = await vectors?.ids();
  return there ? all.filter((id) => !there.has(id)) : all;
}

/** The latest version of a table. */
const versionOf = (table: LibraryTable): Promise<number> =>
  table.run(async (it) => {
    await it.checkoutLatest();
    return it.version();
  });

const vectorRow = ({ example, vectors }: Embedded) => ({
  ...factsOf({ ...example }),
  text: vectors.text ?? null,
  image: vectors.image ?? null,
});

/**
 * Checks an example as adding it would, without a library.
 * @throws XPromptError for an invalid one
 */
export async function checkExample(example: NewExample): Promise<void> {
  await checkPictures(await storedExample(example));
}

/** Decodes both pictures. Padding decodes every row; cropping would skip the rows that it removes. */
async function checkPictures({ input, output }: StoredExample): Promise<void> {
  await loadImage(input, { name: "before", size: 64, fit: "pad" });
  await loadImage(output, { name: "after", size: 64, fit: "pad" });
}

/** The vectors of an example: the given ones, scaled to length 1, or new ones after a check of both pictures. */
async function embed(
  example: StoredExample,
  given: Vectors | undefined,
  embedder: Embedder,
): Promise<Vectors> {
  if (given) return unitVectors(given, embedder, "adding an example");
  await checkPictures(example);
  const { instruction, input } = example;
  const image = await embedder.image(input);
  return { text: instruction === "" ? undefined : await embedder.text(instruction), image };
}
