/** @file A model folder of ours: `config.json`, `model.safetensors` (float16), `tokenizer.json` where there is text. */
import { join } from "node:path";
import { sha256File, writeFileAtomic, writeFolderAtomic } from "../runtime/files.ts";
import { writeSafetensors } from "../runtime/safetensors.ts";

export interface ModelFolder {
  /** `config.json`, without the checksum, which is added. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly weights: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }>;
  /** `tokenizer.json` */
  readonly tokenizer?: unknown;
}

/** Writes a model folder, whole or not at all, over an older one if there is one. */
export async function writeModelFolder(path: string, { config, weights, tokenizer }: ModelFolder): Promise<void> {
  const write = async (folder: string) => {
    const file = join(folder, "model.safetensors");
    const tensors = [...weights].map(([name, { shape, data }]) => ({ name, dtype: "F16" as const, shape, data }));
    await writeSafetensors(file, tensors, { format: "pt" });
    const checked = { ...config, weights_sha256: await sha256File(file, "weights") };
    await writeFileAtomic(join(folder, "config.json"), `${JSON.stringify(checked, null, 2)}\n`);
    if (tokenizer !== undefined) await writeFileAtomic(join(folder, "tokenizer.json"), `${JSON.stringify(tokenizer, null, 1)}\n`);
  };
  await writeFolderAtomic(path, write, { replace: true });
}
