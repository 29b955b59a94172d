/** @file Examples that a suite may show, in an example library of their own while the suite runs. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Image } from "../image/index.ts";
import { defaultWeights, ExampleLibrary, modelFeatures, type Weights } from "../retrieval/index.ts";
import type { XPrompt } from "../xprompt/model.ts";
import type { Shown } from "./drawings.ts";

/** What an example is looked for by. */
export interface Wanted {
  readonly instruction?: string;
  readonly input: Image;
}

/** The ways in which an example is looked for, by what counts. */
export const distances = {
  retrieved: defaultWeights,
  byWords: { text: 0, image: 0, words: 1 },
  byPicture: { text: 0, image: 1, words: 0 },
} as const satisfies Readonly<Record<string, Weights>>;
export type Distance = keyof typeof distances;

export class ExamplePool {
  private constructor(
    private readonly folder: string,
    private readonly library: ExampleLibrary,
    private readonly features: ReturnType<typeof modelFeatures>,
  ) {}

  static async open(model: XPrompt, examples: readonly Shown[]): Promise<ExamplePool> {
    const folder = await mkdtemp(join(tmpdir(), "xprompt-pool-"));
    const library = await ExampleLibrary.open(folder, { create: true });
    const features = modelFeatures(model);
    // The source is how a pair is known again.
    await library.add(
      examples.map((example, i) => ({ ...example, source: String(i) })),
      features,
    );
    return new ExamplePool(folder, library, features);
  }

  /** The number of the nearest example that may be shown; none when nothing is alike at all. */
  async nearest(
    { instruction, input }: Wanted,
    distance: Distance,
    mayShow: (example: number) => boolean = () => true,
  ): Promise<number | undefined> {
    const weights = distances[distance];
    const image = weights.image > 0 ? await this.features.image(input) : undefined;
    const count = await this.library.count();
    for (let k = 16; ; k *= 4) {
      const query = { instruction, vectors: { image } };
      const found = await this.library.search(query, this.features, weights, Math.min(k, 1000));
      const numbers = found.map(({ source }) => Number(source));
      const nearest = numbers.find(mayShow);
      if (nearest !== undefined || k >= Math.min(count, 1000)) return nearest;
    }
  }

  close(): Promise<void> {
    return rm(this.folder, { recursive: true, force: true });
  }
}
