/** @file Examples that a suite may show, in an example library of their own while the suite runs. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Image } from "../image/index.ts";
import { defaultWeights, ExampleLibrary, modelFeatures, type Weights } from "../retrieval/index.ts";
import { buildWith, type Resources } from "../runtime/resources.ts";
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

export class ExamplePool<Example extends Shown> {
  private constructor(
    private readonly resources: Resources,
    private readonly library: ExampleLibrary,
    private readonly features: ReturnType<typeof modelFeatures>,
    private readonly examples: readonly Example[],
  ) {}

  static async open<Example extends Shown>(model: XPrompt, examples: readonly Example[]) {
    return buildWith(async (resources) => {
      const folder = await mkdtemp(join(tmpdir(), "xprompt-pool-"));
      resources.defer(() => rm(folder, { recursive: true, force: true }));
      const library = resources.own(await ExampleLibrary.open(folder, { create: true }));
      const features = modelFeatures(model);
      // The source is how an example is known again.
      await library.add(
        examples.map(({ input, output, instruction }, i) => ({
          ...{ input, output, instruction },
          source: String(i),
        })),
        features,
      );
      return new ExamplePool(resources, library, features, examples);
    });
  }

  /** The nearest example that may be shown; none when nothing is alike at all. */
  async nearest(
    { instruction, input }: Wanted,
    distance: Distance,
    mayShow: (example: Example) => boolean = () => true,
  ): Promise<Example | undefined> {
    const weights = distances[distance];
    const image = weights.image > 0 ? await this.features.image(input) : undefined;
    const exampleOf = ({ source }: { readonly source: string }) => this.examples[Number(source)]!;
    const query = {
      instruction,
      vectors: { image },
      accept: (facts: { readonly source: string }) => mayShow(exampleOf(facts)),
    };
    const [found] = await this.library.search(query, this.features, weights, 1);
    return found && exampleOf(found);
  }

  close(): Promise<void> {
    return this.resources.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
