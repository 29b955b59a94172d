/**
 * @file Training contexts from a library: the query is one of its examples, shown with its nearest neighbours. The paper
 * pairs its editing data for RAIE in this way, so that a model learns from the examples that retrieval will find.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { XPromptError } from "../errors.ts";
import { sha256 } from "../hash.ts";
import { loadPicture } from "../image/picture.ts";
import { Progress } from "../progress.ts";
import { Random } from "../random.ts";
import { buildWith, workWith } from "../runtime/resources.ts";
import {
  type ContextShape,
  isHeldOut,
  Links,
  type LoadedPair,
  type PairContext,
} from "../tasks/datasets/index.ts";
import { XPrompt } from "../xprompt/model.ts";
import { ClipEmbedder } from "./clip-embedder.ts";
import type { Embedder, EmbeddingSpace } from "./embedder.ts";
import { type Facts, picturesOf } from "./example.ts";
import { ExampleLibrary } from "./library.ts";
import { modelEmbedder } from "./model-embedder.ts";

export const librarySettings = z.strictObject({
  /** Folder or URI of the library. */
  library: z.string().min(1),
  /** Model whose embeddings of instructions give the distances. */
  model: z.string().min(1).default("nano"),
  /** Folder of a CLIP to use instead, as in the paper. */
  clip: z.string().min(1).optional(),
});
export type LibrarySettings = z.input<typeof librarySettings>;

/** A library whose examples with an instruction have vectors of a space. */
export interface NeighbourLibrary {
  readonly library: string;
  readonly space: EmbeddingSpace;
}

/** Whether a path is a library, not a data set. */
export const isLibrary = (path: string): boolean =>
  path.startsWith("s3://") || existsSync(join(path, "examples.lance"));

/**
 * Computes missing vectors of a library.
 * @throws XPromptError when there is no such library, model or CLIP
 */
export async function prepareNeighbours(settings: LibrarySettings): Promise<NeighbourLibrary> {
  const { library: place, model: name, clip } = librarySettings.parse(settings);
  return workWith(async (resources) => {
    const library = resources.own(await ExampleLibrary.open(place));
    const embedder: Embedder =
      clip !== undefined
        ? resources.own(await ClipEmbedder.load(clip))
        : modelEmbedder(resources.own(await XPrompt.load(name)));
    const lacking = await library.lacking(embedder);
    if (lacking > 0) {
      const progress = new Progress({ label: `vectors of ${place}`, total: lacking });
      try {
        await library.embed(embedder, { onProgress: ({ added }) => progress.update(added) });
      } finally {
        progress.stop();
      }
    }
    const { space, textWidth, imageWidth } = embedder;
    return { library: place, space: { space, textWidth, imageWidth } };
  });
}

export interface NeighbourOptions {
  /** Seed of the order of the examples. */
  readonly seed: number;
  /** Share that is held out of training, by a hash. Examples that share a picture, also through others, stay together. */
  readonly heldOut: number;
  /** The part of the queries; shown examples are always of the training part. */
  readonly part: "train" | "heldOut";
}

type Pictures = Pick<Facts, "pictures">;

const isOut = (facts: Pictures, links: Links, heldOut: number): boolean =>
  isHeldOut(links.leaderOf(picturesOf(facts)[0]), heldOut);

/** Contexts from a library, like those of `PairSource` from a data set. */
export class NeighbourSource {
  /** Identifies the library's examples and the order of the queries. */
  readonly digest: string;
  private epoch: { readonly number: number; readonly ids: readonly string[] } | undefined;

  private constructor(
    private readonly library: ExampleLibrary,
    private readonly space: EmbeddingSpace,
    private readonly options: NeighbourOptions,
    /** Ids of the queries. */
    private readonly ids: readonly string[],
    /** Pictures that examples share. */
    private readonly links: Links,
  ) {
    this.digest = sha256(JSON.stringify([options, ids])).slice(0, 16);
  }

  /** @throws XPromptError when the library has no example of the part */
  static async open({ library: place, space }: NeighbourLibrary, options: NeighbourOptions) {
    return buildWith(async (resources) => {
      const library = resources.own(await ExampleLibrary.open(place));
      const { heldOut, part } = options;
      const links = new Links();
      const found: (Pictures & Pick<Facts, "id">)[] = [];
      const batch = 10_000;
      for (let offset = 0, all = await library.count(); offset < all; offset += batch)
        for (const { id, instruction, pictures } of await library.list({ offset, limit: batch })) {
          if (heldOut > 0) links.link(...picturesOf({ pictures }));
          // Neighbours are found by the instruction.
          if (instruction !== "") found.push({ id, pictures });
        }
      const ids = found
        .filter((each) => isOut(each, links, heldOut) === (part === "heldOut"))
        .map(({ id }) => id);
      if (ids.length === 0)
        throw new XPromptError(
          `training on library ${place}: expected examples with an instruction${heldOut > 0 ? ` of the part ${part}` : ""}, got none (add some, or change mix.pairsHeldOut)`,
        );
      return new NeighbourSource(library, space, options, ids.sort(), links);
    });
  }

  /**
   * Context number `n`, a pure function of the library, the settings and `n`: an example as the first TODO part, its
   * nearest neighbours as examples, and the next ones as further TODO parts. Pictures repeat only if there are no others.
   * @throws XPromptError when an example has no neighbour
   */
  async context(n: number, { examples, todos, size }: ContextShape): Promise<PairContext> {
    const anchor = this.at(n);
    const { heldOut, part } = this.options;
    const isShown = (facts: Pictures) => !isOut(facts, this.links, heldOut);
    const shown = await this.near(anchor, examples, isShown);
    if (shown.length === 0 && examples > 0)
      throw new XPromptError(
        `training on library ${this.library.place}: expected a neighbour for example ${anchor}, got none (add more pairs)`,
      );
    const seen = new Set(shown.map(({ pictures }) => pictures));
    const isAsked = (facts: Facts) => isShown(facts) === (part === "train") && !seen.has(facts.pictures);
    const asked = [anchor, ...(await this.near(anchor, todos - 1, isAsked)).map(({ id }) => id)];
    const fill = async (ids: readonly string[], count: number) => {
      const pairs = await Promise.all(ids.map((id) => this.load(id, size)));
      return Array.from({ length: count }, (_, i) => pairs[i % pairs.length]!);
    };
    return {
      task: "neighbours",
      examples: await fill(
        shown.map(({ id }) => id),
        examples,
      ),
      todos: await fill(asked, todos),
    };
  }

  /** Closes the library. Further calls do nothing; no context can be made afterwards. */
  close(): Promise<void> {
    return this.library.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The example at position `n` of the endless order; every epoch has each example once. */
  private at(n: number): string {
    const number = Math.floor(n / this.ids.length);
    if (this.epoch?.number !== number)
      this.epoch = { number, ids: Random.of(this.options.seed, "library", number).shuffle(this.ids) };
    return this.epoch.ids[n % this.ids.length]!;
  }

  private near(id: string, count: number, accept: (facts: Facts) => boolean): Promise<Facts[]> {
    return count === 0 ? Promise.resolve([]) : this.library.nearestOthers(id, this.space, count, accept);
  }

  private async load(id: string, size: number): Promise<LoadedPair> {
    const { input, output, instruction, subtask, source, licence } = await this.library.get(id);
    return {
      ...{ id, task: "neighbours", subtask, source, licence },
      input: await loadPicture(input, { size }),
      output: await loadPicture(output, { size }),
      ...(instruction && { instruction }),
    };
  }
}
