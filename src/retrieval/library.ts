/**
 * @file The example library: pairs with instructions, their embeddings, and their compiled blocks. It is a LanceDB database
 * in a folder or on object storage. Many processes can read it while one writes.
 */
import { readdir } from "node:fs/promises";
import { UsageError, XPromptError } from "../errors.ts";
import { abortable } from "../runtime/abort.ts";
import { attempt, makeFolder } from "../runtime/files.ts";
import { buildWith } from "../runtime/resources.ts";
import { lanceStorageOptions } from "../runtime/storage/environment.ts";
import { isS3 } from "../runtime/storage/s3.ts";
import { VisualPrompt } from "../xprompt/prompt.ts";
import { PromptCache } from "../xprompt/prompt-cache.ts";
import { type Added, Adding, type AddOptions, idsWithout } from "./adding.ts";
import { attemptLance, databases, vectorOf } from "./arrow.ts";
import { blockOf, rowOf, withoutColours } from "./blocks.ts";
import { type Embedder, type EmbeddingSpace, unitVectors } from "./embedder.ts";
import { type Facts, isWhole, type NewExample, type StoredExample, type Vectors } from "./example.ts";
import { type Found, factsOf, nearestOf, searchTables } from "./search.ts";
import { blockColumnNames, factNames, Tables } from "./tables.ts";
import type { Weights } from "./weights.ts";
import { lockWriter, writerBusy } from "./writer-lock.ts";

export interface OpenOptions {
  /** Create the library if it is missing. Defaults to false. */
  readonly create?: boolean;
  /** LanceDB's options of object storage: `endpoint`, `region`, `aws_access_key_id`, … Those that are not given come from the environment. */
  readonly storageOptions?: Readonly<Record<string, string>>;
}

export interface Query {
  readonly instruction?: string;
  /** Vectors of the query in the embedder's space, if known, of any nonzero length; otherwise it computes them. */
  readonly vectors?: Vectors;
  /** Words to search the instructions for. Defaults to the instruction. */
  readonly words?: string;
  /** Compare with every example instead of using the index: exact, and slower. Defaults to false. */
  readonly exact?: boolean;
  /** Which examples may be found. Defaults to all. */
  readonly accept?: (facts: Facts) => boolean;
}

/** Seconds after which a reader checks for new examples. */
const FRESHNESS = 1;

/** Bytes of compiled examples that a library keeps in memory. */
const CACHED_BYTES = 64 * 2 ** 20;

interface Waiting {
  /** Whether to wait for an `add` or `embed` of the same library. Defaults to true. */
  readonly wait?: boolean;
}

/**
 * A library of example pairs in a folder or in object storage, for `Retriever`. `ExampleLibrary.open` opens or creates it;
 * `close` (or `await using`) ends it. One process writes at a time; any number may read.
 */
export class ExampleLibrary {
  private readonly cache = new PromptCache(CACHED_BYTES);
  private lastWrite: Promise<unknown> = Promise.resolve();
  /** Calls of `add` and `embed` that have not ended. */
  private longWrites = 0;
  private adding: Adding | undefined;
  /** Settles when the embedding that goes on has ended. */
  private embedding: Promise<void> | undefined;

  private constructor(
    /** A folder, or a URI such as `s3://bucket/path`. */
    readonly place: string,
    private readonly tables: Tables,
    private readonly isFolder: boolean,
  ) {}

  /**
   * Opens a library.
   * @param place a folder, or a URI of object storage: `s3://bucket/path`
   * @throws XPromptError when there is no library, it is damaged, or the storage cannot be reached
   */
  static async open(
    place: string,
    { create = false, storageOptions }: OpenOptions = {},
  ): Promise<ExampleLibrary> {
    const doing = `opening example library ${place}`;
    if (place.trim() === "") throw new UsageError("opening an example library: expected a folder, got none");
    const isFolder = !/^[a-z][a-z0-9+]+:\/\//i.test(place);
    if (isFolder) await checkFolder(place, create, doing);
    const connection = await attemptLance(doing, () =>
      databases().lance.connect(place, {
        readConsistencyInterval: FRESHNESS,
        ...(!isFolder && {
          storageOptions: isS3(place) ? lanceStorageOptions(storageOptions) : { ...storageOptions },
        }),
      }),
    );
    return buildWith(async (resources) => {
      const tables = resources.own(new Tables(connection, `using example library ${place}`));
      const library = new ExampleLibrary(place, tables, isFolder);
      if (create) await library.writing(async () => void (await tables.examples(true)));
      else await tables.examples();
      return library;
    });
  }

  /** The number of examples. */
  async count(): Promise<number> {
    return (await this.tables.examples()).count();
  }

  /** A number that changes with the examples. */
  async version(): Promise<number> {
    return (await this.tables.examples()).version();
  }

  /** The spaces with vectors, and the fingerprints of the models that examples are compiled for. */
  kinds(): Promise<{ readonly spaces: string[]; readonly models: string[] }> {
    return this.tables.kinds();
  }

  /**
   * Adds new examples; skips those that the library already has. Examples that are reported as added are safely stored.
   * @param embedder embeds examples without vectors
   * @throws XPromptError for an invalid example (without `onRefused`), or while another process writes
   */
  async add(
    examples: Iterable<NewExample> | AsyncIterable<NewExample>,
    embedder: Embedder,
    options: AddOptions = {},
  ): Promise<Added> {
    this.adding ??= new Adding(this.tables, this.isFolder);
    const adding = this.adding;
    return this.writing(() => adding.add(examples, embedder, options), "long");
  }

  /**
   * Computes missing vectors of a space: for another model, or after an interrupted `add`. A call waits for an earlier one.
   * @param options `wait: false`: does not wait for an `add` of this library
   * @returns the number of examples that were embedded
   * @throws XPromptError while another process writes; without waiting, also during an `add`
   */
  async embed(
    embedder: Embedder,
    { wait, ...options }: Pick<AddOptions, "onProgress" | "signal"> & Waiting = {},
  ): Promise<number> {
    while (this.embedding) await abortable(this.embedding, options.signal);
    this.adding ??= new Adding(this.tables, this.isFolder);
    const adding = this.adding;
    this.checkFree(wait);
    const work = this.writing(() => adding.embedMissing(embedder, options), "long");
    const ended = () => {
      this.embedding = undefined;
    };
    this.embedding = work.then(ended, ended);
    return work;
  }

  /** The number of examples without vectors in a space. */
  async lacking(embedder: EmbeddingSpace): Promise<number> {
    const vectors = await this.tables.vectors(embedder);
    return (await idsWithout(vectors, await this.tables.examples(), this.isFolder)).length;
  }

  /** Facts of examples, in the order in which they were added. */
  async list({ offset = 0, limit = 100 }: { offset?: number; limit?: number } = {}): Promise<Facts[]> {
    for (const [name, value] of Object.entries({ offset, limit }))
      if (!Number.isInteger(value) || value < 0)
        throw new UsageError(`listing examples: ${name}: expected a whole number from 0, got ${value}`);
    const examples = await this.tables.examples();
    const rows: Record<string, unknown>[] = await examples.run((table) =>
      table
        .query()
        .select([...factNames])
        .offset(offset)
        .limit(limit)
        .toArray(),
    );
    return rows.map(factsOf);
  }

  /**
   * An example with its pictures.
   * @param id or at least 6 of its first digits, if they are unique
   * @throws XPromptError when there is none, there are several, or it is damaged
   */
  async get(id: string): Promise<StoredExample> {
    const found = await this.find(id);
    if (found) return found;
    throw new XPromptError(`${lookingUp(id)}: expected it in ${this.place}, found none of that id`);
  }

  /** As `get`, but undefined when there is none. */
  async find(id: string): Promise<StoredExample | undefined> {
    const doing = lookingUp(id);
    if (!/^[0-9a-f]{6,32}$/.test(id))
      throw new XPromptError(`${doing}: expected 6 to 32 hexadecimal digits (see xprompt examples list)`);
    const examples = await this.tables.examples();
    const condition = id.length === 32 ? `id = '${id}'` : `id >= '${id}' AND id < '${id}g'`;
    const rows: Record<string, unknown>[] = await examples.run((table) =>
      table.query().where(condition).limit(2).toArray(),
    );
    const [row, another] = rows;
    if (!row) return undefined;
    if (another && another.id !== row.id)
      throw new XPromptError(`${doing}: expected one example, found several (give more digits)`);
    return storedIn(row, doing);
  }

  /**
   * The k nearest examples, nearest first.
   * @throws UsageError for an empty query; XPromptError for vectors of another width or with numbers that are not finite,
   * and if only vectors are compared, of which the library has none
   */
  async search(query: Query, embedder: Embedder | undefined, weights: Weights, k: number): Promise<Found[]> {
    if (!Number.isInteger(k) || k < 1 || k > 1000)
      throw new UsageError(`searching examples: expected k from 1 to 1000, got ${k}`);
    const { instruction = "", words = instruction, exact, accept } = query;
    const vectors =
      query.vectors && embedder ? unitVectors(query.vectors, embedder, "searching examples") : query.vectors;
    const text =
      vectors?.text ??
      (weights.text > 0 && instruction.trim() !== "" ? await embedder?.text(instruction) : undefined);
    const near = { text, image: vectors?.image, words: words.trim() || undefined };
    const table = embedder && (await this.tables.vectors(embedder));
    const examples = await this.tables.examples();
    const needsVectors = !(near.words && weights.words > 0);
    if (embedder && !table && needsVectors && (await examples.count()) > 0)
      throw new XPromptError(
        `searching examples: expected vectors of ${embedder.space} in ${this.place}, got none (make them with library.embed or xprompt examples compile)`,
      );
    const among = (count: number) => searchTables(examples, table, near, weights, count, exact);
    if (!accept) return among(k);
    return nearestOf(among, k, await examples.count(), (found) => found.filter(accept));
  }

  /**
   * The other examples with the most similar instructions, nearest first. No pictures appear twice, even with another
   * instruction (paper: training pairs for RAIE are built like this).
   * @param accept which examples may be used. Defaults to all
   * @returns `count` examples, or as many as there are
   * @throws XPromptError when the example is not in the library, has no instruction, or has no vectors in this space
   */
  async nearestOthers(
    id: string,
    space: EmbeddingSpace,
    count: number,
    accept: (facts: Facts) => boolean = () => true,
  ): Promise<Found[]> {
    const table = await this.tables.vectors(space);
    const [own] = (await table?.rows([id], ["id", "pictures", "text"])) ?? [];
    const text = vectorOf(own?.text);
    if (!table || !own || !text)
      throw new XPromptError(
        `looking for the neighbours of example ${id}: expected vectors of its instruction in the space ${space.space}, found none (examples without an instruction have none; for the others see xprompt examples compile)`,
      );
    const examples = await this.tables.examples();
    const among = (k: number) => searchTables(examples, table, { text }, { text: 1, image: 0, words: 0 }, k);
    return nearestOf(among, count, await table.count(), (found) => {
      const seen = new Set([own.pictures]);
      return found.filter((each) => {
        const isNew = !seen.has(each.pictures) && accept(each);
        if (isNew) seen.add(each.pictures);
        return isNew;
      });
    });
  }

  /** Removes examples, their vectors and their blocks. @returns the number of examples removed */
  async remove(ids: readonly string[]): Promise<number> {
    if (!Array.isArray(ids) || ids.some((id) => typeof id !== "string"))
      throw new UsageError("removing examples: expected an array of ids, got something else");
    return this.writing(async () => {
      const examples = await this.tables.examples();
      const there = await examples.rows(ids, ["id"]);
      await this.tables.deleteDerived(ids);
      await examples.delete(ids);
      this.adding = undefined;
      return new Set(there.map(({ id }) => id)).size;
    });
  }

  /** The examples that a model has compiled, by id, without damaged ones. */
  async prompts(fingerprint: string, ids: readonly string[]): Promise<Map<string, VisualPrompt>> {
    const found = new Map<string, VisualPrompt>();
    for (const id of ids) {
      const cached = this.cache.get(`${fingerprint} ${id}`);
      if (cached) found.set(id, cached);
    }
    const others = ids.filter((id) => !found.has(id));
    if (others.length === 0) return found;
    const table = await this.tables.blocks(fingerprint);
    for (const row of (await table?.rows(others, blockColumnNames)) ?? []) {
      const block = blockOf(row);
      if (!block) continue;
      const prompt = VisualPrompt.of(fingerprint, [block]);
      this.cache.set(`${fingerprint} ${row.id as string}`, prompt);
      found.set(row.id as string, prompt);
    }
    return found;
  }

  /** The ids of the examples that a model has compiled. */
  async compiled(fingerprint: string): Promise<Set<string>> {
    return (await (await this.tables.blocks(fingerprint))?.ids()) ?? new Set();
  }

  /**
   * Stores compiled examples by id, replacing earlier ones.
   * @param options `wait: false`: does not wait for an `add` or `embed` of this library
   * @throws XPromptError while another process writes; without waiting, also during an `add` or `embed`
   */
  async keepPrompts(
    fingerprint: string,
    prompts: ReadonlyMap<string, VisualPrompt>,
    { wait }: Waiting = {},
  ): Promise<void> {
    this.checkFree(wait);
    await this.writing(async () => {
      const table = (await this.tables.blocks(fingerprint, true))!;
      const there = await table.rows([...prompts.keys()], ["id"]);
      await table.delete(there.map(({ id }) => id as string));
      await table.add([...prompts].map(([id, prompt]) => rowOf(id, prompt.blocks[0]!)));
      for (const [id, prompt] of prompts) this.cache.set(`${fingerprint} ${id}`, withoutColours(prompt));
    });
  }

  /** The ids of all examples. */
  async ids(): Promise<string[]> {
    return [...(await (await this.tables.examples()).ids())];
  }

  /** All examples, in batches. */
  async *examples(batch = 64): AsyncGenerator<StoredExample[]> {
    const examples = await this.tables.examples();
    const ids = [...(await examples.ids())];
    for (let from = 0; from < ids.length; from += batch) {
      const part = ids.slice(from, from + batch);
      const rows = await examples.rows(part, [...factNames, "input", "output"]);
      const stored = new Map(rows.map((row) => [row.id, storedIn(row, `reading example ${row.id}`)]));
      // Skips an example that another process has removed meanwhile.
      yield part.flatMap((id) => stored.get(id) ?? []);
    }
  }

  /** Closes the library. Further calls do nothing; other methods throw an XPromptError afterwards. */
  close(): Promise<void> {
    return this.tables.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @throws XPromptError while a long write is running, if the caller does not want to wait for it */
  private checkFree(wait = true): void {
    if (!wait && this.longWrites > 0) throw writerBusy(this.place, "this process");
  }

  /** Writes one after another: others of this library wait, those of other processes are refused. */
  private writing<T>(work: () => Promise<T>, length: "short" | "long" = "short"): Promise<T> {
    const long = length === "long" ? 1 : 0;
    this.longWrites += long;
    const turn = this.lastWrite.then(async () => {
      if (!this.isFolder) return work();
      const release = await lockWriter(this.place);
      try {
        return await work();
      } finally {
        await release();
      }
    });
    const ended = () => {
      this.longWrites -= long;
    };
    this.lastWrite = turn.then(ended, ended);
    return turn;
  }
}

const lookingUp = (id: string): string => `looking up example ${id.slice(0, 40)}`;

/** The example of a row. @throws XPromptError when it is damaged */
function storedIn(row: Record<string, unknown>, doing: string): StoredExample {
  const found = { ...factsOf(row), input: row.input as Uint8Array, output: row.output as Uint8Array };
  if (isWhole(found)) return found;
  throw new XPromptError(
    `${doing}: expected the pictures and the instruction that were added, got others: the library is damaged (remove it, and add it again)`,
  );
}

async function checkFolder(place: string, create: boolean, doing: string): Promise<void> {
  const names = await attempt(doing, place, () => readdir(place)).catch((error: XPromptError) => {
    if ((error.cause as NodeJS.ErrnoException)?.code === "ENOENT") return undefined;
    throw error;
  });
  if (names?.includes("examples.lance")) return;
  if (!create)
    throw new XPromptError(
      `${doing}: expected an example library, got ${names ? "a folder without one" : "no such folder"} (make one with xprompt examples add --library ${place})`,
    );
  // Files of an interrupted creation do not matter.
  const others = names?.filter((name) => name !== "__manifest" && !/^\.?writer\.lock/.test(name)) ?? [];
  if (others.length > 0)
    throw new XPromptError(
      `${doing}: expected a library or an empty folder, got one with ${others.slice(0, 3).join(", ")} (choose another)`,
    );
  await makeFolder(place, doing);
}
