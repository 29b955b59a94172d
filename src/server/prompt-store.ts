/**
 * @file The server's visual prompts: in memory, and optionally in a folder. Files have the hash of their content as
 * name. An id from outside is looked up among the known ids, and never becomes a path.
 */
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { XPromptError } from "../errors.ts";
import { formatBytes } from "../format.ts";
import { sha256 } from "../hash.ts";
import { attempt, makeFolder, readFileChecked, readJson, writeFilesAtomic } from "../runtime/files.ts";
import { VisualPrompt } from "../xprompt/prompt.ts";
import type { PromptInfo } from "./answers.ts";
import { now } from "./clock.ts";
import { Failure } from "./failure.ts";

/** The most prompts, and the most bytes of them, in memory, without and with a folder. */
const [MOST_PROMPTS, MOST_BYTES] = [10_000, 256 * 2 ** 20];

const facts = z.object({ name: z.string(), created: z.int() });

/** A visual prompt of the store, and its file. */
export interface Kept {
  readonly info: PromptInfo;
  readonly prompt: VisualPrompt;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export class PromptStore {
  private readonly kept = new Map<string, Kept>();
  /** What is written or deleted, by id. */
  private readonly underWay = new Map<string, Promise<unknown>>();
  /** Prompts and their bytes, with those that are being written. */
  private count = 0;
  private bytes = 0;

  private constructor(private readonly folder: string | undefined) {}

  /**
   * @param folder folder of the prompts; created if missing. Without it, prompts are lost when the server stops
   * @throws XPromptError for a damaged prompt, and for more prompts than there is room for
   */
  static async open(folder?: string): Promise<PromptStore> {
    const store = new PromptStore(folder);
    if (folder === undefined) return store;
    const doing = `opening ${folder}`;
    await makeFolder(folder, doing);
    const found: Parameters<PromptStore["keep"]>[] = [];
    for (const file of await attempt(doing, folder, () => readdir(folder))) {
      const id = /^(xp_[0-9a-f]{24})\.xprompt$/.exec(file)?.[1];
      if (id === undefined) continue;
      const path = join(folder, file);
      const { size } = await attempt(doing, path, () => stat(path));
      if (!store.reserve(size))
        throw new XPromptError(
          `${doing}: expected at most ${MOST_PROMPTS} prompts of ${formatBytes(MOST_BYTES)} together, got more (move some to another folder)`,
        );
      const bytes = new Uint8Array(await readFileChecked(path, "prompt"));
      const prompt = await VisualPrompt.fromBytes(bytes, path);
      const about = await readJson(join(folder, `${id}.json`), facts, "prompt's name").catch(() => ({
        name: "",
        created: now(),
      }));
      found.push([prompt, bytes, about, id]);
    }
    found.sort(([, , a], [, , b]) => a.created - b.created);
    for (const each of found) store.keep(...each);
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

  /**
   * The prompt with an id; or the one in a data URL, which is not stored.
   * @throws Failure 404 for an unknown id, 400 for another kind of file
   */
  async find(
    reference: string,
    fingerprint: string,
  ): Promise<{ readonly id: string; readonly prompt: VisualPrompt }> {
    const head = /^data:[^,]*;base64,/i.exec(reference)?.[0];
    if (head === undefined) return { id: reference, prompt: this.get(reference).prompt };
    const bytes = new Uint8Array(Buffer.from(reference.slice(head.length), "base64"));
    const prompt = await readPrompt(bytes, fingerprint, "xprompt");
    return { id: idOf(await prompt.toBytes()), prompt };
  }

  /** @throws Failure 429 when there is no room */
  async add(prompt: VisualPrompt, name = ""): Promise<PromptInfo> {
    const bytes = await prompt.toBytes();
    const id = idOf(bytes);
    return this.inTurn(id, async () => {
      const former = this.kept.get(id);
      if (former) return former.info;
      if (!this.reserve(bytes.length))
        throw new Failure(
          429,
          "storing a visual prompt: expected room, got none (delete some with DELETE /v1/xprompts/ID)",
          {
            code: "store_full",
          },
        );
      const about = { name, created: now() };
      try {
        await this.write(id, bytes, about);
      } catch (error) {
        this.free(bytes.length);
        throw error;
      }
      return this.keep(prompt, bytes, about, id);
    });
  }

  async delete(id: string): Promise<void> {
    await this.inTurn(id, async () => {
      const { info } = this.get(id);
      if (this.folder !== undefined)
        for (const end of ["xprompt", "json"])
          await rm(join(this.folder, `${info.id}.${end}`), { force: true });
      this.kept.delete(info.id);
      this.free(info.bytes);
    });
  }

  /** Runs `work` after what is under way for the same id, so that files and memory stay the same. */
  private async inTurn<T>(id: string, work: () => Promise<T>): Promise<T> {
    const before = this.underWay.get(id) ?? Promise.resolve();
    const turn = before.then(work, work);
    this.underWay.set(id, turn);
    try {
      return await turn;
    } finally {
      if (this.underWay.get(id) === turn) this.underWay.delete(id);
    }
  }

  /** Takes room for a prompt. @returns whether there was any */
  private reserve(bytes: number): boolean {
    if (this.count >= MOST_PROMPTS || this.bytes + bytes > MOST_BYTES) return false;
    this.count++;
    this.bytes += bytes;
    return true;
  }

  private free(bytes: number): void {
    this.count--;
    this.bytes -= bytes;
  }

  private async write(id: string, bytes: Uint8Array, about: z.output<typeof facts>): Promise<void> {
    if (this.folder === undefined) return;
    await writeFilesAtomic([
      { path: join(this.folder, `${id}.json`), data: `${JSON.stringify(about)}\n` },
      { path: join(this.folder, `${id}.xprompt`), data: bytes },
    ]);
  }

  /** Makes a prompt known, for which there is room. */
  private keep(
    prompt: VisualPrompt,
    bytes: Uint8Array<ArrayBuffer>,
    { name, created }: z.output<typeof facts>,
    id: string,
  ): PromptInfo {
    const info = infoOf(prompt, bytes, { name, created }, id);
    this.kept.set(id, { info, prompt, bytes });
    return info;
  }
}

/**
 * Reads the file of a prompt of the model.
 * @param param the field of the request that holds it, if it is not the whole body
 * @throws Failure 400 for another kind of file, or model
 */
export async function readPrompt(
  bytes: Uint8Array<ArrayBuffer>,
  fingerprint: string,
  param?: string,
): Promise<VisualPrompt> {
  const about = { code: "invalid_xprompt", param };
  const prompt = await VisualPrompt.fromBytes(bytes).catch((error: unknown) => {
    if (error instanceof XPromptError) throw new Failure(400, error.message, about);
    throw error;
  });
  if (prompt.model !== fingerprint)
    throw new Failure(
      400,
      `reading a prompt: expected a prompt of this model (${fingerprint}), got a prompt of ${prompt.model.slice(0, 80)} (compress the examples again)`,
      about,
    );
  return prompt;
}

/** The information about a prompt that is not stored. */
export async function aboutPrompt(prompt: VisualPrompt, name = ""): Promise<PromptInfo> {
  const bytes = await prompt.toBytes();
  return infoOf(prompt, bytes, { name, created: now() }, idOf(bytes));
}

const infoOf = (
  prompt: VisualPrompt,
  { length: bytes }: Uint8Array,
  { name, created }: z.output<typeof facts>,
  id: string,
): PromptInfo => ({
  ...{ id, object: "xprompt", name, created, model: prompt.model },
  ...{ examples: prompt.blocks.length, bytes },
});

const idOf = (bytes: Uint8Array): string => `xp_${sha256(bytes).slice(0, 24)}`;
