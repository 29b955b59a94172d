/**
 * @file A copy of a run on other storage: each checkpoint after it is written, and the model at the end. The weights go
 * first, under a name of their own, then the record that names them; so a copy that is cut off leaves the one before.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { messageOf, UsageError, XPromptError } from "../../errors.ts";
import {
  makeFolder,
  readFileChecked,
  readJson,
  writeFileAtomic,
  writeFolderAtomic,
} from "../../runtime/files.ts";
import { checkJson } from "../../runtime/json.ts";
import { openStorage } from "../../runtime/storage/open.ts";
import type { Storage } from "../../runtime/storage/storage.ts";
import { CHECKPOINT, hasCheckpoint, RECORD, stepsDone, TENSORS } from "./checkpoint.ts";

const recordSchema = z.looseObject({ step: z.int().min(0), sha256: z.string().regex(/^[0-9a-f]{64}$/) });
const RECORD_NAME = `${CHECKPOINT}/${RECORD}`;
const tensorsName = (sha256: string) => `${CHECKPOINT}/${sha256}.safetensors`;

/** Files of a run that are copied beside its checkpoint, where they are there. */
const OTHERS = ["recipe.json", "metrics.jsonl", "curves.svg"];

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

  /** Fetches the checkpoint, if the run folder has none or an earlier one. */
  async restore(run: string): Promise<void> {
    const found = await this.record();
    if (!found) return;
    const { step, sha256 } = found.record;
    if ((await hasCheckpoint(run)) && (await stepsDone(run)) >= step) return;
    await makeFolder(run);
    const names = await this.storage.list("");
    if (names.includes("metrics.jsonl"))
      await this.storage.download("metrics.jsonl", join(run, "metrics.jsonl"));
    const fetch = async (folder: string) => {
      await this.storage.download(tensorsName(sha256), join(folder, TENSORS));
      await writeFileAtomic(join(folder, RECORD), found.bytes);
    };
    await writeFolderAtomic(join(run, CHECKPOINT), fetch, { replace: true });
  }

  /** Checks that the storage can be written to, with the recipe. */
  async begin(run: string): Promise<void> {
    await this.storage.upload("recipe.json", join(run, "recipe.json"));
  }

  /** Copies the checkpoint, unless it was the last one copied. */
  async save(run: string): Promise<void> {
    const path = join(run, CHECKPOINT, RECORD);
    const { sha256 } = await readJson(path, recordSchema, "checkpoint");
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

  private async record() {
    const bytes = await this.storage.read(RECORD_NAME);
    if (!bytes) return undefined;
    const doing = `reading checkpoint ${this.place}/${RECORD_NAME}`;
    try {
      const record = checkJson(JSON.parse(Buffer.from(bytes).toString("utf8")), recordSchema, doing);
      return { bytes, record };
    } catch (error) {
      if (error instanceof XPromptError) throw error;
      throw new XPromptError(
        `${doing}: expected JSON, got: ${messageOf(error)} (remove it, or choose another --mirror)`,
      );
    }
  }
}
