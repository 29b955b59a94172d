/** @file Our side of `bench 7b`: loads a quantized model, prefills a prompt and generates token by token. */
import { join } from "node:path";
import { z } from "zod";
import { decoderConfigSchema, decoderFromJson } from "../src/chameleon/checkpoint/config.ts";
import { readInitializers } from "../src/chameleon/checkpoint/folder.ts";
import { Decoder } from "../src/chameleon/model/decoder.ts";
import { argMax } from "../src/chameleon/model/sampling.ts";
import { readJson } from "../src/runtime/files.ts";
import { onceVerified } from "../src/runtime/verified.ts";
import { serve } from "./worker.ts";

const settingsSchema = z.strictObject({
  folder: z.string(),
  prompt: z.array(z.int()),
  piece: z.int(),
  threads: z.int(),
});
const { folder, prompt, piece, threads } = settingsSchema.parse(JSON.parse(process.argv[2]!));
const schema = decoderConfigSchema.and(z.looseObject({ weights_sha256: z.string() }));
const json = await readJson(join(folder, "config.json"), schema, "model config");
const config = decoderFromJson(json);

let decoder: Decoder | undefined;
let cache = {} as ReturnType<Decoder["newCache"]>;
let [token, position] = [0, 0];

await serve(
  {},
  {
    load: async () => {
      const { weights, verified } = await readInitializers(folder, json.weights_sha256);
      decoder = await onceVerified(Decoder.create(config, weights, { threads }), { verified });
    },
    /** Up to the first token. */
    prefill: async () => {
      cache = decoder!.newCache(1);
      token = argMax(await decoder!.forward([{ tokens: prompt, positions: [...prompt.keys()] }], cache));
      position = prompt.length;
    },
    piece: async () => {
      for (let i = 0; i < piece; i++)
        token = argMax(await decoder!.forward([{ tokens: [token], positions: [position++] }], cache));
    },
  },
);
