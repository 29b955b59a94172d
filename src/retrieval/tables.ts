/**
 * @file The tables of a library.
 *
 * | table | one row |
 * |---|---|
 * | `examples` | an example: its facts and pictures |
 * | `vectors-SPACE` | an example's facts and its vectors in one embedding space |
 * | `blocks-FINGERPRINT` | an example compiled by one model |
 *
 * Every row begins with the example's id. The table `examples` defines the library; the others can be made again from it.
 * Rows are added or deleted, never changed, and LanceDB commits every change atomically.
 */
import { z } from "zod";
import { UsageError, XPromptError } from "../errors.ts";
import {
  attemptLance,
  type ColumnKinds,
  databases,
  type Lance,
  type Row,
  schemaOf,
  tableOf,
} from "./arrow.ts";
import type { EmbeddingSpace } from "./embedder.ts";

const FORMAT = "xprompt-examples";
const VERSION = "2";

/** Names of the columns of an example without its pictures. */
export const factNames = ["id", "pictures", "instruction", "subtask", "source", "licence"] as const;

const facts = Object.fromEntries(factNames.map((name) => [name, "text"])) as ColumnKinds;
const exampleColumns: ColumnKinds = { ...facts, input: "bytes", output: "bytes" };
const blockColumns: ColumnKinds = {
  id: "text",
  length: "integer",
  heads: "integer",
  layers: "integer",
  data: "bytes",
  sha256: "text",
};

/** Names of the columns of a compiled example. */
export const blockColumnNames = Object.keys(blockColumns);

const metadataSchema = z.object({ format: z.literal(FORMAT), version: z.literal(VERSION) });

interface OpenOptions {
  /** The operation, for errors. */
  readonly doing: string;
  /** Whether to create a missing table. */
  readonly create: boolean;
  /** The column with a full-text index. */
  readonly fullText?: string;
}

/** A table with its columns. */
export class LibraryTable {
  private constructor(
    readonly table: Lance.Table,
    private readonly columns: ColumnKinds,
    private readonly doing: string,
    /** The column with a full-text index, if any. */
    readonly fullText?: string,
  ) {}

  /** Opens a table; with `create`, creates a missing one. */
  static async open(
    connection: Lance.Connection,
    name: string,
    columns: ColumnKinds,
    { doing, create, fullText }: OpenOptions,
  ): Promise<LibraryTable | undefined> {
    const exists = (await attemptLance(doing, () => connection.tableNames())).includes(name);
    if (!exists && !create) return undefined;
    const table = await attemptLance(doing, () =>
      exists
        ? connection.openTable(name)
        : connection.createEmptyTable(name, schemaOf(columns, { format: FORMAT, version: VERSION })),
    );
    const found = new LibraryTable(table, columns, doing, fullText);
    await found.check(name);
    if (exists) return found;
    const { Index } = databases().lance;
    await found.run((it) => it.createIndex("id", { config: Index.btree() }));
    if (fullText !== undefined)
      await found.run((it) => it.createIndex(fullText, { config: Index.fts({ removeStopWords: false }) }));
    return found;
  }

  /** The widths of its vector columns. */
  get vectorWidths(): Readonly<Record<string, number>> {
    const widths = Object.entries(this.columns).flatMap(([name, kind]) =>
      typeof kind === "object" ? [[name, kind.vector] as const] : [],
    );
    return Object.fromEntries(widths);
  }

  /** Adds rows, all or none. */
  async add(rows: readonly Row[]): Promise<void> {
    await this.run(async (table) => {
      const schema = schemaOf(this.columns, { format: FORMAT, version: VERSION });
      await table.add(tableOf(schema, this.columns, rows));
    });
  }

  async count(): Promise<number> {
    return this.run((table) => table.countRows());
  }

  /** A number that grows with every change. */
  async version(): Promise<number> {
    return this.run((table) => table.version());
  }

  /** All ids. */
  async ids(): Promise<Set<string>> {
    return this.run(async (table) => {
      const ids = new Set<string>();
      for await (const batch of table.query().select(["id"]))
        for (const id of batch.getChildAt(0)!) ids.add(id as string);
      return ids;
    });
  }

  /** Rows with the given ids, with some of their columns. */
  async rows(ids: readonly string[], columns: readonly string[]): Promise<Record<string, unknown>[]> {
    if (ids.length === 0) return [];
    return this.run((table) =>
      table
        .query()
        .where(among(ids))
        .select([...columns])
        .toArray(),
    );
  }

  async delete(ids: readonly string[]): Promise<void> {
    if (ids.length > 0) await this.run((table) => table.delete(among(ids)));
  }

  /** Runs an operation on the table; its errors become errors of the library. */
  async run<T>(work: (table: Lance.Table) => Promise<T>): Promise<T> {
    return attemptLance(this.doing, () => work(this.table));
  }

  private async check(name: string): Promise<void> {
    const schema = await this.run((table) => table.schema());
    const known = metadataSchema.safeParse(Object.fromEntries(schema.metadata)).success;
    const names = schema.fields.map((field) => field.name);
    if (known && Object.keys(this.columns).every((column) => names.includes(column))) return;
    throw new XPromptError(
      `${this.doing}: expected table ${name} of version ${VERSION} of the format, got columns ${names.join(", ")} (was it made by another program, or a later version?)`,
    );
  }
}

/** A condition for rows with these ids, which are hexadecimal digits and need no escaping. */
function among(ids: readonly string[]): string {
  const wrong = ids.find((id) => !/^[0-9a-f]+$/.test(id));
  if (wrong !== undefined)
    throw new XPromptError(
      `looking up an example: expected an id of hexadecimal digits, got ${JSON.stringify(wrong.slice(0, 80))}`,
    );
  return `id IN (${ids.map((id) => `'${id}'`).join(",")})`;
}

const VECTORS = "vectors-";
const BLOCKS = "blocks-";

/** The tables of one connection, opened once each. */
export class Tables {
  private readonly opened = new Map<string, Promise<LibraryTable | undefined>>();
  private isClosed = false;

  constructor(
    private readonly connection: Lance.Connection,
    private readonly doing: string,
  ) {}

  /** The examples. @throws XPromptError when the table is missing and `create` is false */
  async examples(create = false): Promise<LibraryTable> {
    const found = await this.open("examples", exampleColumns, create, "instruction");
    if (found) return found;
    throw new XPromptError(
      `${this.doing}: expected an example library, found none (make one with xprompt examples add)`,
    );
  }

  async vectors(
    { space, textWidth, imageWidth }: EmbeddingSpace,
    create = false,
  ): Promise<LibraryTable | undefined> {
    if (!/^[\w.-]+$/.test(space))
      throw new UsageError(
        `embedding space: expected a name of letters, digits, points and hyphens, got ${space}`,
      );
    const columns = { ...facts, text: { vector: textWidth }, image: { vector: imageWidth } };
    return this.open(`${VECTORS}${space}`, columns, create);
  }

  async blocks(fingerprint: string, create = false): Promise<LibraryTable | undefined> {
    return this.open(`${BLOCKS}${fingerprint}`, blockColumns, create);
  }

  /** Deletes examples from the tables derived from them: vectors and blocks. */
  async deleteDerived(ids: readonly string[]): Promise<void> {
    const names = await this.names();
    for (const name of names.filter((name) => name.startsWith(VECTORS) || name.startsWith(BLOCKS))) {
      const known = await this.opened.get(name);
      const columns = name.startsWith(BLOCKS) ? blockColumns : facts;
      const options = { doing: this.doing, create: false };
      const table = known ?? (await LibraryTable.open(this.connection, name, columns, options));
      await table?.delete(ids);
      if (!known) table?.table.close();
    }
  }

  /** The spaces with vectors, and the fingerprints of models with blocks. */
  async kinds(): Promise<{ readonly spaces: string[]; readonly models: string[] }> {
    const names = await this.names();
    const after = (prefix: string) =>
      names.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
    return { spaces: after(VECTORS), models: after(BLOCKS) };
  }

  /** Closes the tables and the connection. Calling it again is fine. */
  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    for (const opening of this.opened.values()) (await opening.catch(() => undefined))?.table.close();
    this.connection.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private requireOpen(): void {
    if (!this.isClosed) return;
    throw new XPromptError(
      `${this.doing}: expected an open library, got one that was closed (open it again)`,
      { code: "ERR_RELEASED" },
    );
  }

  private async names(): Promise<string[]> {
    this.requireOpen();
    return attemptLance(this.doing, () => this.connection.tableNames());
  }

  private async open(
    name: string,
    columns: ColumnKinds,
    create: boolean,
    fullText?: string,
  ): Promise<LibraryTable | undefined> {
    this.requireOpen();
    // Calls at the same time get one table, and a missing one is looked for again.
    const known = this.opened.get(name);
    if (known && (await known)) return known;
    this.requireOpen();
    const newer = this.opened.get(name);
    if (newer && newer !== known) return newer;
    const options = { doing: this.doing, create, fullText };
    const opening = LibraryTable.open(this.connection, name, columns, options);
    this.opened.set(name, opening);
    opening.catch(() => this.opened.delete(name));
    return opening;
  }
}
