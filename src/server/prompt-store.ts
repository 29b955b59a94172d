/**
 * @file The server's visual prompts: in memory, and optionally in a folder. Files have the hash of their content as
 * name. An id from outside is looked up among the known ids, and never becomes a path.
 */
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { XPromptError } from "../errors.ts";
import { sha256 } from "../hash.ts";
import { attempt, readFileChecked, readJson, writeFilesAtomic } from "../runtime/files.ts";
import { VisualPrompt } from "../xprompt/prompt.ts";
import type { PromptInfo } from "./answers.ts";
import { now } from "./clock.ts";
import { Failure } from "./failure.ts";

/** The most bytes of prompts in memory, without and with a folder. */
const MOST_BYTES = 256 * 2 ** 20;
const MOST_PROMPTS = 10_000;

const facts = z.object({ name: z.string(), created: z.int() });

interface Kept {
  readonly info: PromptInfo;
  readonly prompt: VisualPrompt;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export class PromptStore {
  private readonly kept = new Map<string, Kept>();
  private bytes = 0;

  private constructor(private readonly folder: string | undefined) {}

  /** @param folder folder of the prompts; created if missing. Without it, prompts are lost when the server stops */
  static async open(folder?: string): Promise<PromptStore> {
    const store = new PromptStore(folder);
    if (folder === undefined) return store;
    await attempt(`opening ${folder}`, folder, () => mkdir(folder, { recursive: true }));
    for (const file of await readdir(folder)) {
      const id = /^(xp_[0-9a-f]{24})\.xprompt$/.exec(file)?.[1];
      if (id === undefined) continue;
      const bytes = new Uint8Array(await readFileChecked(join(folder, file), "prompt"));
      const about = await readJson(join(folder, `${id}.json`), facts, "prompt's name").catch(() => ({
        name: "",
        created: now(),
      }));
      store.keep(await VisualPrompt.fromBytes(bytes), bytes, about, id);
    }
    return store;
  }

  /** All prompts, newest last. */
  list(): PromptInfo[] {
    return [...this.kept.values()].map(({ info }) => info);
  }

  get size(): number {
    return this.kept.size;
  }

  /** @throws Failure 404 for an unknown id */
  get(id: string): Kept {
    const found = this.kept.get(id);
    if (!found)
      throw new Failure(
        404,
        `looking up a visual prompt: expected one of /v1/xprompts, got ${JSON.stringify(id.slice(0, 60))}`,
        {
          param: "xprompt",
          code: "xprompt_not_found",
        },
      );
    return found;
  }

  /** @throws Failure 429 when there is no room */
  async add(prompt: VisualPrompt, name = ""): Promise<PromptInfo> {
    const bytes = await prompt.toBytes();
    const id = idOf(bytes);
    const former = this.kept.get(id);
    if (former) return former.info;
    if (this.kept.size >= MOST_PROMPTS || this.bytes + bytes.length > MOST_BYTES)
      throw new Failure(
        429,
        "storing a visual prompt: expected room, got none (delete some with DELETE /v1/xprompts/ID)",
        {
          code: "store_full",
        },
      );
    const about = { name, created: now() };
    const { info } = this.keep(prompt, bytes, about, id);
    if (this.folder !== undefined)
      await writeFilesAtomic([
        { path: join(this.folder, `${id}.json`), data: `${JSON.stringify(about)}\n` },
        { path: join(this.folder, `${id}.xprompt`), data: bytes },
      ]);
    return info;
  }

  /** Adds a prompt from the bytes of a file. @throws Failure 400 for another kind of file */
  async upload(
    bytes: Uint8Array<ArrayBuffer>,
    name: string | undefined,
    fingerprint: string,
  ): Promise<PromptInfo> {
    const prompt = await VisualPrompt.fromBytes(bytes).catch((error: unknown) => {
      if (error instanceof XPromptError) throw new Failure(400, error.message, { code: "invalid_xprompt" });
      throw error;
    });
    if (prompt.model !== fingerprint)
      throw new Failure(
        400,
        `reading a prompt: expected a prompt of this model (${fingerprint}), got a prompt of ${prompt.model.slice(0, 80)} (compress the examples again)`,
        { code: "invalid_xprompt" },
      );
    return this.add(prompt, name);
  }

  async delete(id: string): Promise<void> {
    const { info } = this.get(id);
    this.kept.delete(info.id);
    this.bytes -= info.bytes;
    if (this.folder === undefined) return;
    for (const end of ["xprompt", "json"]) await rm(join(this.folder, `${info.id}.${end}`), { force: true });
  }

  private keep(
    prompt: VisualPrompt,
    bytes: Uint8Array<ArrayBuffer>,
    { name, created }: z.output<typeof facts>,
    id: string,
  ): Kept {
    const info = {
      ...{ id, object: "xprompt" as const, name, created, model: prompt.model },
      ...{ examples: prompt.blocks.length, bytes: bytes.length },
    };
    const kept = { info, prompt, bytes };
    this.kept.set(id, kept);
    this.bytes += bytes.length;
    return kept;
  }
}

const idOf = (bytes: Uint8Array): string => `xp_${sha256(bytes).slice(0, 24)}`;
