/**
 * @file The working folder of a conversion beside its output, `.NAME.converting`, so that an interrupted conversion can
 * continue:
 *
 * | file | |
 * |---|---|
 * | `owner` | the process that works in it |
 * | `journal.jsonl` | the identity of the conversion, then one line per tensor whose data are on the disk |
 * | `folder/` | the incomplete model folder |
 */
import { type FileHandle, mkdir, open, readFile, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import { XPromptError } from "../../errors.ts";
import { attempt, makeFolder, writeFileAtomic } from "../../runtime/files.ts";
import { takeLock } from "../../runtime/lock.ts";

/** Everything that a conversion depends on. If any of it changes, an older conversion is discarded. */
export interface ConversionIdentity {
  /** Digest of the input's configuration, headers, lengths and times. */
  readonly input: string;
  /** The format, and where the image tokenizer comes from. */
  readonly settings: string;
}

/** A converted tensor of the input: the SHA-256 of each resulting tensor, by name. */
export interface FinishedSource {
  readonly source: string;
  readonly sha256: Readonly<Record<string, string>>;
}

const identitySchema = z.object({ input: z.string(), settings: z.string() });
const finishedSchema = z.object({ source: z.string(), sha256: z.record(z.string(), z.string()) });

export class ConversionJournal {
  /** The incomplete model folder. */
  readonly folder: string;
  /** The converted tensors, by name in the input. */
  readonly finished = new Map<string, FinishedSource>();

  private constructor(
    private readonly place: string,
    private readonly file: FileHandle,
    private readonly unlock: () => Promise<void>,
    /** Why an earlier conversion was discarded, if there was one. */
    readonly discarded: string | undefined,
    /** Bytes of the line that identifies the conversion. */
    private readonly head: number,
  ) {
    this.folder = join(place, "folder");
  }

  /**
   * Opens the working folder of a conversion into `output`, with the progress of an earlier one.
   * @throws XPromptError when another process uses it, or the file system refuses
   */
  static async open(output: string, identity: ConversionIdentity): Promise<ConversionJournal> {
    const place = join(dirname(resolve(output)), `.${basename(resolve(output))}.converting`);
    const doing = `converting into ${output}`;
    await makeFolder(join(place, "folder"), doing);
    const unlock = await takeLock(join(place, "owner"), {
      doing,
      busy: (holder) =>
        new XPromptError(
          `${doing}: expected no other conversion into it, got one by ${holder} (wait for it, or choose another output)`,
          { code: "ERR_LOCKED" },
        ),
    });
    try {
      return await ConversionJournal.resume(place, output, identity, unlock);
    } catch (error) {
      await unlock();
      throw error;
    }
  }

  private static async resume(
    place: string,
    output: string,
    identity: ConversionIdentity,
    unlock: () => Promise<void>,
  ): Promise<ConversionJournal> {
    const doing = `converting into ${output}`;
    const path = join(place, "journal.jsonl");
    const [first, ...rest] = (await readFile(path, "utf8").catch(() => "")).split("\n");
    const former = parsed(first!, identitySchema);
    const same = former?.input === identity.input && former.settings === identity.settings;
    if (!same) {
      await attempt(doing, output, () => rm(join(place, "folder"), { recursive: true }));
      await attempt(doing, output, () => mkdir(join(place, "folder")));
      await writeFileAtomic(path, `${JSON.stringify(identity)}\n`);
    }
    const file = await attempt(doing, output, () => open(path, "a"));
    const discarded =
      same || !former ? undefined : former.input === identity.input ? "other settings" : "another input";
    const head = Buffer.byteLength(`${same ? first : JSON.stringify(identity)}\n`);
    const journal = new ConversionJournal(place, file, unlock, discarded, head);
    if (same)
      for (const line of rest) {
        const done = parsed(line, finishedSchema); // skips a line that a kill cut off
        if (done) journal.finished.set(done.source, done);
      }
    return journal;
  }

  /** Records tensors whose data have reached the disk. */
  async finish(sources: readonly FinishedSource[]): Promise<void> {
    for (const each of sources) this.finished.set(each.source, each);
    // A cut-off line of an earlier process must not swallow the first of these.
    const lines = sources.map((each) => `\n${JSON.stringify(each)}`).join("");
    await attempt("writing the journal of a conversion", this.place, async () => {
      await this.file.write(`${lines}\n`);
      await this.file.datasync();
    });
  }

  /** Closes the folder, and leaves it for a later conversion to continue. Calling it again is fine. */
  async close(): Promise<void> {
    await this.file.close();
    await this.unlock();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Forgets what was finished, because the file that had it is gone. */
  async restart(): Promise<void> {
    if (this.finished.size === 0) return;
    this.finished.clear();
    await attempt("writing the journal of a conversion", this.place, async () => {
      await this.file.truncate(this.head);
      await this.file.datasync();
    });
  }

  /** Removes the folder and all progress. */
  async discard(): Promise<void> {
    await this.file.close();
    await rm(this.place, { recursive: true, force: true });
    await this.unlock();
  }
}

function parsed<S extends z.ZodType>(line: string, schema: S): z.output<S> | undefined {
  try {
    return schema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}
