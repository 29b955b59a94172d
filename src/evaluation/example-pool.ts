/** @file The examples of a suite, in a temporary example library. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Image } from "../image/index.ts";
import { defaultWeights, ExampleLibrary, modelEmbedder, type Weights } from "../retrieval/index.ts";
import { buildWith, type Resources } from "../runtime/resources.ts";
import type { XPrompt } from "../xprompt/model.ts";
import type { ExamplePair } from "./generations.ts";

/** The query of a search for an example. */
export interface ExampleQuery {
  readonly instruction?: string;
  readonly input: Image;
}

/** The search modes, with the weights of their similarities. */
export const searchModes = {
  retrieved: defaultWeights,
  byWords: { text: 0, image: 0, words: 1 },
  byPicture: { text: 0, image: 1, words: 0 },
} as const satisfies Readonly<Record<string, Weights>>;
export type SearchMode = keyof typeof searchModes;

export class ExamplePool<Example extends ExamplePair> {
  private constructor(
    private readonly resources: Resources,
    private readonly library: ExampleLibrary,
    private readonly embedder: ReturnType<typeof modelEmbedder>,
    private readonly examples: readonly Example[],
  ) {}

  static async open<Example extends ExamplePair>(model: XPrompt, examples: readonly Example[]) {
    return buildWith(async (resources) => {
      const folder = await mkdtemp(join(tmpdir(), "xprompt-pool-"));
      resources.defer(() => rm(folder, { recursive: true, force: true }));
      const library = resources.own(await ExampleLibrary.open(folder, { create: true }));
      const embedder = modelEmbedder(model);
      // `source` identifies the example in search results.
      await library.add(
        examples.map(({ input, output, instruction }, i) => ({
          ...{ input, output, instruction },
          source: String(i),
        })),
        embedder,
      );
      return new ExamplePool(resources, library, embedder, examples);
    });
  }

  /** Finds the most similar example that `mayShow` accepts; undefined when no example is similar at all. */
  async nearest(
    { instruction, input }: ExampleQuery,
    mode: SearchMode,
    mayShow: (example: Example) => boolean = () => true,
  ): Promise<Example | undefined> {
    const weights = searchModes[mode];
    const image = weights.image > 0 ? await this.embedder.image(input) : undefined;
    const exampleOf = ({ source }: { readonly source: string }) => this.examples[Number(source)]!;
    const query = {
      instruction,
      vectors: { image },
      accept: (facts: { readonly source: string }) => mayShow(exampleOf(facts)),
    };
    const [found] = await this.library.search(query, this.embedder, weights, 1);
    return found && exampleOf(found);
  }

  close(): Promise<void> {
    return this.resources.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
