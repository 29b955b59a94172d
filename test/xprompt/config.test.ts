/** @file `config.json`: what is written is what is read. */
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { modelConfigFromJson, modelConfigSchema, modelConfigToJson } from "../../src/xprompt/config.ts";

test("all recommendations survive writing and reading", async () => {
  const nano = JSON.parse(await readFile("models/nano/config.json", "utf8"));
  const sampling = {
    ...{ temperature: 0.5, top_k: 9, top_p: 0.9, guidance: { image: 2 }, expected: true, one_pass: true },
    words_alone: { temperature: 0.7, top_k: 8, top_p: 0.8, guidance: 6, expected: false, one_pass: false },
  };
  const config = modelConfigFromJson(
    modelConfigSchema.parse({ ...nano, xprompt: { ...nano.xprompt, sampling } }),
  );
  expect(config.xprompt.sampling).toEqual({
    ...{ temperature: 0.5, topK: 9, topP: 0.9, guidance: { image: 2 }, expected: true, onePass: true },
    wordsAlone: { temperature: 0.7, topK: 8, topP: 0.8, guidance: 6, expected: false, onePass: false },
  });
  const written = JSON.parse(JSON.stringify(modelConfigToJson(config)));
  expect(written.xprompt.sampling).toEqual(sampling);
  expect(modelConfigFromJson(modelConfigSchema.parse(written))).toMatchObject({
    ...{ decoder: config.decoder, image: config.image, xprompt: config.xprompt },
  });
});
