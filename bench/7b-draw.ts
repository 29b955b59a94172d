/** @file The first program of `bench 7b`: loads a quantized model, prefills a prompt and generates token by token. */
import { join } from "node:path";
import { z } from "zod";
import { decoderConfigSchema, decoderFromJson } from "../src/chameleon/checkpoint/config.ts";
import { readInitializers } from "../src/chameleon/checkpoint/folder.ts";
import { Decoder } from "../src/chameleon/model/decoder.ts";
import { Random } from "../src/random.ts";
import { readJson } from "../src/runtime/files.ts";
import { serve } from "./worker.ts";

const settingsSchema = z.strictObject({
  folder: z.string(),
  prompt: z.int(),
  tokens: z.int(),
  threads: z.int(),
});
const { folder, prompt, tokens, threads } = settingsSchema.parse(JSON.parse(process.argv[2]!));
const schema = decoderConfigSchema.and(z.looseObject({ weights_sha256: z.string() }));
const json = await readJson(join(folder, "config.json"), schema, "model config");
const config = decoderFromJson(json);
const random = Random.of(0, "prompt");
const promptTokens = Array.from({ length: prompt }, () => random.integer(4, config.vocabularySize - 1));

let decoder: Decoder | undefined;
let cache = {} as ReturnType<Decoder["newCache"]>;
let [token, position] = [0, 0];

await serve(
  {},
  {
    load: async () => {
      const weights = await readInitializers(folder, json.weights_sha256);
      decoder = await Decoder.create(config, weights, { threads });
      cache = decoder.newCache(1);
    },
    prefill: async () => {
      token = argmax(
        await decoder!.forward([{ tokens: promptTokens, positions: [...promptTokens.keys()] }], cache),
      );
      position = prompt;
    },
    // The prefill gives the first token.
    draw: async () => {
      for (let i = 1; i < tokens; i++) {
        token = argmax(await decoder!.forward([{ tokens: [token], positions: [position++] }], cache));
        if (i % 16 === 0) process.stderr.write(".");
      }
    },
  },
);

function argmax(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
  return best;
}
