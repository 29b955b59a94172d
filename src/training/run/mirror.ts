/**
 * @file A copy of a run on other storage: each checkpoint after it is written, and the model at the end. The weights go
 * first, under a name of their own, then the record that names them; so a copy that is cut off leaves the one before.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { UsageError, XPromptError } from "../../errors.ts";
import { readFileChecked, writeFileAtomic, writeFolderAtomic } from "../../runtime/files.ts";
import { checkJson, parseJson } from "../../runtime/json.ts";
import { workWith } from "../../runtime/resources.ts";
import { openStorage } from "../../runtime/storage/open.ts";
import type { Storage } from "../../runtime/storage/storage.ts";
import {
  CHECKPOINT,
  differencesOf,
  hasCheckpoint,
  RECORD,
  readRecord,
  recordSchema,
  TENSORS,
} from "./checkpoint.ts";
import { lockRun } from "./run-lock.ts";

/** The checksum is part of a name. */
const copiedSchema = recordSchema.extend({ sha256: z.string().regex(/^[0-9a-f]{64}$/) });
const RECORD_NAME = `${CHECKPOINT}/${RECORD}`;
const tensorsName = (sha256: string) => `${CHECKPOINT}/${sha256}.safetensors`;

/** Files of a run that are copied beside its checkpoint, where they are there. */
const OTHERS = ["recipe.json", "metrics.jsonl", "curves.svg"];

/** The record of the copied checkpoint, and its file. */
interface Copied {
  readonly record: z.infer<typeof copiedSchema>;
  readonly bytes: Uint8Array;
}

export class Mirror implements AsyncDisposable {
  /** Checksum of the checkpoint that was copied last. */
  private copied: string | undefined;

  private constructor(private readonly storage: Storage) {}

  /** @param place a folder, or `s3://bucket/prefix` */
  static async open(place: string): Promise<Mirror> {
    return new Mirror(await openStorage(place));
  }

  get place(): string {
    return this.storage.place;
  }

  /** @throws UsageError when there is a run already; XPromptError when the storage cannot be reached */
  async checkEmpty(): Promise<void> {
    if (await this.record())
      throw new UsageError(
        `mirroring to ${this.place}: it holds a run already (add --resume to go on with it, or choose another --mirror)`,
      );
  }

  /**
   * Fetches the checkpoint, if the run folder has none or an earlier one.
   * @throws XPromptError when a run is going on in the folder, or the folder has the checkpoint of another run
   */
  async restore(run: string): Promise<void> {
    const found = await this.record();
    if (!found) return;
    await workWith(async (resources) => {
      resources.defer(await lockRun(run));
      if (await this.isAheadOf(run, found)) await this.fetch(found, run);
    });
  }

  /** Checks that the storage can be written to, with the recipe. */
  async begin(run: string): Promise<void> {
    await this.storage.upload("recipe.json", join(run, "recipe.json"));
  }

  /** Copies the checkpoint, unless it was the last one copied. */
  async save(run: string): Promise<void> {
    const path = join(run, CHECKPOINT, RECORD);
    const { sha256 } = await readRecord(run);
    if (sha256 === this.copied) return;
    const there = await readdir(run);
    for (const name of OTHERS.filter((each) => there.includes(each)))
      await this.storage.upload(name, join(run, name));
    await this.storage.upload(tensorsName(sha256), join(run, CHECKPOINT, TENSORS));
    await this.storage.write(RECORD_NAME, await readFileChecked(path, "checkpoint"));
    this.copied = sha256;
    for (const name of await this.storage.list(`${CHECKPOINT}/`))
      if (name !== RECORD_NAME && name !== tensorsName(sha256)) await this.storage.remove(name);
  }

  /** Copies the last checkpoint, if that has failed before, and the model; its configuration, with the checksums, last. */
  async finish(run: string, model: string): Promise<void> {
    await this.save(run);
    const files = (await readdir(model, { withFileTypes: true })).filter((each) => each.isFile());
    const isConfig = (name: string) => name.endsWith("config.json");
    for (const { name } of files.toSorted((a, b) => Number(isConfig(a.name)) - Number(isConfig(b.name))))
      await this.storage.upload(`model/${name}`, join(model, name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.storage[Symbol.asyncDispose]();
  }

  /** Whether the run folder has no checkpoint, or an earlier one of the same run. */
  private async isAheadOf(run: string, { record }: Copied): Promise<boolean> {
    if (!(await hasCheckpoint(run))) return true;
    const own = await readRecord(run);
    const differences = differencesOf(own, record);
    if (differences.length > 0)
      throw new XPromptError(
        `resuming ${run}: expected a copy of this run in ${this.place}, got one of another: ${differences.join("; ")} (choose its own --mirror, or another --out)`,
      );
    return own.step < record.step;
  }

  private async fetch({ record: { sha256 }, bytes }: Copied, run: string): Promise<void> {
    const names = await this.storage.list("");
    if (names.includes("metrics.jsonl"))
      await this.storage.download("metrics.jsonl", join(run, "metrics.jsonl"));
    const write = async (folder: string) => {
      await this.storage.download(tensorsName(sha256), join(folder, TENSORS));
      await writeFileAtomic(join(folder, RECORD), bytes);
    };
    await writeFolderAtomic(join(run, CHECKPOINT), write, { replace: true });
  }

  private async record(): Promise<Copied | undefined> {
    const bytes = await this.storage.read(RECORD_NAME);
    if (!bytes) return undefined;
    const doing = `reading checkpoint ${this.place}/${RECORD_NAME}`;
    const advice = "remove it, or choose another --mirror";
    const value = parseJson(Buffer.from(bytes).toString("utf8"), doing, advice);
    return { bytes, record: checkJson(value, copiedSchema, doing) };
  }
}
