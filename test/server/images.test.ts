/** @file Pictures over HTTP: the same results as the library's, in every format and shape; errors name the problem. */
import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { encodePng, loadBytes, loadImage, toBytes } from "../../src/image/index.ts";
import type { ImagesResponse } from "../../src/server/answers.ts";
import { batchedEngine } from "../../src/server/engine.ts";
import { XPrompt } from "../../src/xprompt/model.ts";
import { somePicture, writeAdvisedModel } from "../fixtures/xprompt/kit.ts";
import { dataUrl, file, png, startServer, tinyEngine } from "./kit.ts";

const { engine, folder } = await tinyEngine();
const { ask, post } = await startServer(engine);

const pixelsOf = async (base64: string | undefined) =>
  Buffer.from((await loadBytes(Buffer.from(base64!, "base64"))).data).toString("base64");

async function pictures(response: Response | Promise<Response>): Promise<ImagesResponse> {
  const answer = await response;
  const body = await answer.json();
  expect(answer.status, JSON.stringify(body)).toBe(200);
  return body as ImagesResponse;
}

async function refused(response: Promise<Response>, status: number, says: RegExp, param?: string) {
  const answer = await response;
  const { error } = (await answer.json()) as { error: Record<string, string> };
  expect({ status: answer.status, message: error.message }).toEqual({
    status,
    message: expect.stringMatching(says),
  });
  if (param !== undefined) expect(error.param).toBe(param);
  expect(answer.headers.get("x-request-id")).toBeTruthy();
}

const examples = [{ input: await dataUrl("before"), output: await dataUrl("after") }];
const images = [{ image_url: await dataUrl("query", 48) }];
const [before, after, query] = [
  await file("before"),
  await file("after"),
  await file(somePicture("query", 48)),
];

/** The library's result for the request of the tests. */
async function drawn(seed: number) {
  const {
    images: [image],
  } = await engine.generate({
    examples: [{ input: await png("before"), output: await png("after") }],
    input: await png("query", 48),
    fullSize: true,
    seed,
  });
  return Buffer.from(toBytes(image)).toString("base64");
}

function form(fields: readonly (readonly [string, string | File])[]): RequestInit {
  const body = new FormData();
  for (const [name, value] of fields) body.append(name, value);
  return { method: "POST", body };
}

describe("edits", () => {
  test("picture i has seed + i, equals the library's result, and does not depend on the others", async () => {
    const { data, size } = await pictures(post("/v1/images/edits", { images, examples, n: 2, seed: 7 }));
    expect(data.map(({ seed }) => seed)).toEqual([7, 8]);
    expect(size).toBe("48x48");
    expect(await pixelsOf(data[0]!.b64_json)).toBe(await drawn(7));
    expect(await pixelsOf(data[1]!.b64_json)).toBe(await drawn(8));
  });

  test.each([
    [
      "example_input[]",
      [
        ["image", query],
        ["example_input[]", before],
        ["example_output[]", after],
      ],
    ],
    [
      "a row of pictures",
      [
        ["image[]", before],
        ["image[]", after],
        ["image[]", query],
      ],
    ],
    [
      "JSON in a field",
      [
        ["image", query],
        ["examples", JSON.stringify(examples)],
      ],
    ],
  ] as const)("a form with examples as %s draws the same", async (_name, fields) => {
    const { data } = await pictures(
      ask("/v1/images/edits", form([...fields, ["prompt", ""], ["seed", "7"]])),
    );
    expect(await pixelsOf(data[0]!.b64_json)).toBe(await drawn(7));
  });

  test("parts of a field in a form are one object", async () => {
    const parts = [
      ["guidance[image]", "2"],
      ["guidance[examples]", "3"],
    ] as const;
    const answer = ask("/v1/images/edits", form([["image", query], ["prompt", "make it rain"], ...parts]));
    expect((await pictures(answer)).settings.guidance).toMatchObject({ image: 2, examples: 3 });
  });

  test("counts tokens and times", async () => {
    const { usage, timings, settings } = await pictures(
      post("/v1/images/edits", { images, examples, seed: 1 }),
    );
    // 3 XP tokens, 16 codes of the picture, and 16 generated codes.
    expect(usage.output_tokens).toBe(16);
    expect(usage.input_tokens_details.image_tokens).toBe(3 + 16);
    expect(usage.total_tokens).toBe(usage.input_tokens + usage.output_tokens);
    expect(timings.total).toBeGreaterThanOrEqual(timings.draw);
    expect(settings).toMatchObject({ temperature: 1, guidance: 1 });
  });

  test("options reach the model", async () => {
    const base = { images, examples, seed: 1 };
    const of = async (more: object) =>
      pixelsOf((await pictures(post("/v1/images/edits", { ...base, ...more }))).data[0]!.b64_json);
    const likeliest = await of({ temperature: 0 });
    expect(await of({ temperature: 0, seed: 2 })).toBe(likeliest);
    expect(await of({ top_k: 1 })).toBe(likeliest);
    const settings = async (more: object) =>
      (await pictures(post("/v1/images/edits", { ...base, ...more }))).settings;
    expect(await settings({ top_p: 0.5, guidance: { examples: 3 } })).toMatchObject({
      topP: 0.5,
      guidance: { examples: 3 },
    });
  });

  test("one pass, the mean, and the drawing instead of a map of colours reach the model", async () => {
    const alike = [{ input: await dataUrl("before"), output: await dataUrl("before") }];
    const asked = { images, examples: alike, seed: 1 };
    const request = {
      examples: [{ input: await png("before"), output: await png("before") }],
      input: await png("query", 48),
      fullSize: true,
      seed: 1,
    };
    const inOne = { onePass: true, expected: true };
    for (const [ours, theirs] of [
      [{}, {}],
      [{ exampleColours: false }, { example_colours: false }],
    ]) {
      const result = await engine.generate({ ...request, ...inOne, ...ours });
      const answer = await pictures(
        post("/v1/images/edits", { ...asked, one_pass: true, expected: true, ...theirs }),
      );
      expect(answer).toMatchObject({ change_from: result.changeFrom, settings: inOne });
      const [image] = result.images;
      expect(await pixelsOf(answer.data[0]!.b64_json)).toBe(Buffer.from(toBytes(image)).toString("base64"));
    }
  });

  test("several pictures are sampled, also where the model recommends the mean in one pass", async () => {
    const place = join(folder, "recommends");
    await writeAdvisedModel(place, { expected: true, one_pass: true });
    await using model = await XPrompt.load(place, { threads: 1 });
    const advised = batchedEngine(model);
    const served = await startServer(advised);
    const draw = (more: object) =>
      pictures(served.post("/v1/images/edits", { images, examples, seed: 1, ...more }));
    expect((await draw({})).settings).toMatchObject({ expected: true, onePass: true });
    const { settings, data } = await draw({ n: 2 });
    expect(settings).toMatchObject({ expected: false, onePass: true });
    expect(await pixelsOf(data[0]!.b64_json)).not.toBe(await pixelsOf(data[1]!.b64_json));
    const told = await draw({ n: 2, expected: true, one_pass: true });
    expect(told.settings).toMatchObject({ expected: true, onePass: true });
    await served.close();
    await advised.release();
  });

  test("returns the model's size, or any other", async () => {
    const sizeOf = async (more: object) => {
      const { data, size } = await pictures(post("/v1/images/edits", { images, examples, seed: 1, ...more }));
      const { width, height } = await loadImage(Buffer.from(data[0]!.b64_json!, "base64"));
      expect(size).toBe(`${width}x${height}`);
      return size;
    };
    expect(await sizeOf({ full_size: false })).toBe("32x32");
    expect(await sizeOf({ size: "40x24" })).toBe("40x24");
    expect(await sizeOf({ size: "auto" })).toBe("48x48");
  });

  test.each(["png", "jpeg", "webp"] as const)("writes %s, as a data URL where asked", async (format) => {
    const more = { output_format: format, response_format: "url", output_compression: 60 };
    const { data, output_format } = await pictures(
      post("/v1/images/edits", { images, examples, seed: 1, ...more }),
    );
    expect(output_format).toBe(format);
    const [, base64] = data[0]!.url!.split(`data:image/${format};base64,`);
    expect((await sharp(Buffer.from(base64!, "base64")).metadata()).format).toBe(format);
  });

  test("changes only where the mask is transparent", async () => {
    // Black, with a transparent left half.
    const pixels = Uint8Array.from({ length: 48 * 48 * 4 }, (_, i) =>
      i % 4 === 3 && (i >> 2) % 48 >= 24 ? 255 : 0,
    );
    const mask = await sharp(pixels, { raw: { width: 48, height: 48, channels: 4 } })
      .png()
      .toBuffer();
    const fields = [
      ["image", query],
      ["prompt", "x"],
      ["seed", "7"],
      ["examples", JSON.stringify(examples)],
    ] as const;
    const { data } = await pictures(
      ask("/v1/images/edits", form([...fields, ["mask", new File([new Uint8Array(mask)], "mask.png")]])),
    );
    const masked = await loadBytes(Buffer.from(data[0]!.b64_json!, "base64"));
    const whole = await loadBytes(
      Buffer.from((await pictures(ask("/v1/images/edits", form(fields)))).data[0]!.b64_json!, "base64"),
    );
    const original = await loadBytes(await png("query", 48));
    const isLeft = (i: number) => Math.floor(i / 3) % 48 < 24;
    expect(masked.data).toEqual(whole.data.map((value, i) => (isLeft(i) ? value : original.data[i]!)));
    expect(whole.data).not.toEqual(original.data);
  });

  test("a mask may come with a picture that is slightly damaged", async () => {
    const jpeg = await sharp(await png("query", 48))
      .jpeg()
      .toBuffer();
    // Bytes between the first two segments: decoders warn of them, and decode the picture.
    const end = 4 + jpeg.readUInt16BE(4);
    const picture = Buffer.concat([jpeg.subarray(0, end), Buffer.alloc(3, 1), jpeg.subarray(end)]);
    await expect(sharp(picture).raw().toBuffer()).rejects.toThrow();
    const { size } = await pictures(
      post("/v1/images/edits", {
        ...{ examples, seed: 1, mask: images[0] },
        images: [{ image_url: picture.toString("base64") }],
      }),
    );
    expect(size).toBe("48x48");
  });

  test("the file contains the settings", async () => {
    const { data } = await pictures(
      post("/v1/images/edits", { images, examples, seed: 7, prompt: "make it rain" }),
    );
    expect(Buffer.from(data[0]!.b64_json!, "base64").toString("latin1")).toContain('"seed":7');
  });
});

describe("generations", () => {
  test("work from an instruction", async () => {
    const { data, size } = await pictures(
      post("/v1/images/generations", { prompt: "add a green box", seed: 3 }),
    );
    const {
      images: [image],
    } = await engine.generate({ instruction: "add a green box", seed: 3 });
    expect(await pixelsOf(data[0]!.b64_json)).toBe(
      await pixelsOf((await encodePng(image)).toString("base64")),
    );
    expect(size).toBe("32x32");
  });

  test("accept OpenAI's other settings", async () => {
    const theirs = {
      model: "tiny",
      quality: "xhigh",
      background: "transparent",
      moderation: "low",
      style: "vivid",
      user: "me",
      input_fidelity: 3,
    };
    await pictures(post("/v1/images/generations", { prompt: "make it rain", n: null, ...theirs }));
  });
});

describe("refusals name the problem", () => {
  const edit = (more: object) => post("/v1/images/edits", { images, examples, ...more });
  test.each([
    ["n", /n: expected at most 10, got 11/, 400, { n: 11 }],
    ["n", /at most 120 megapixels over all pictures, got 8 of 4096 × 4096/, 400, { n: 8, size: "4096x4096" }],
    ["seed", /seed: /, 400, { seed: -1 }],
    ["size", /WIDTHxHEIGHT/, 400, { size: "big" }],
    ["size", /edges from 8/, 400, { size: "4x4" }],
    ["size", /edges from 8 to 4096/, 400, { size: "99999x99999" }],
    [undefined, /expected known fields, got full_sise$/, 400, { full_sise: false }],
    [
      "examples.0",
      /expected known fields, got instrution/,
      400,
      { examples: [{ ...examples[0], instrution: "x" }] },
    ],
    ["images.0", /expected known fields, got url/, 400, { images: [{ ...images[0], url: "x" }] }],
    [
      "images.0.image_url",
      /does not fetch URLs/,
      400,
      { images: [{ image_url: "https://example.org/a.png" }] },
    ],
    ["image", /PNG, JPEG or WebP/, 400, { images: [{ image_url: "data:image/png;base64,AAAA" }] }],
    ["image", /example pairs followed by the picture/, 400, { images: [...images, ...images] }],
    ["prompt", /expected a prompt, examples or an xprompt/, 400, { examples: [] }],
    ["model", /expected tiny/, 404, { model: "gpt-image-1" }],
    ["xprompt", /\/v1\/xprompts/, 404, { xprompt: "xp_nothing" }],
    ["library", /library/, 404, { library: true }],
    ["output_format", /output_format/, 400, { output_format: "avif" }],
    ["mask", /mask/, 400, { mask: images[0], full_size: false }],
  ] as const)("%s: %s", (param, says, status, more) => refused(edit(more), status, says, param));

  test("a mask that is cut off is refused before anything is drawn", async () => {
    const whole = await png("query", 48);
    const cut = whole.subarray(0, whole.length - 200).toString("base64");
    let drawings = 0;
    const counting = {
      ...engine,
      generate: ((options: never) => {
        drawings++;
        return engine.generate(options);
      }) as typeof engine.generate,
    };
    const other = await startServer(counting);
    const answer = other.post("/v1/images/edits", { images, examples, mask: { image_url: cut } });
    await refused(answer, 400, /reading mask: expected a complete PNG/, "mask");
    expect(drawings).toBe(0);
  });

  test("bodies of other kinds", async () => {
    const send = (body: string, type: string) =>
      ask("/v1/images/edits", { method: "POST", body, headers: { "content-type": type } });
    await refused(send("x", "text/plain"), 415, /expected application\/json or multipart/);
    await refused(send("{", "application/json"), 400, /expected JSON/);
    await refused(send("x", "multipart/form-data; boundary=b"), 400, /complete form/);
    await refused(send("x", "multipart/form-data"), 400, /complete form/);
    await refused(ask("/v1/images/edits", form([["prompt", "x"]])), 400, /image: expected a file/, "image");
    await refused(
      ask(
        "/v1/images/edits",
        form([
          ["image", "path/to/file.png"],
          ["prompt", "x"],
        ]),
      ),
      400,
      /expected a file, got text/,
    );
    const unknown = form([
      ["image", query],
      ["prompt", "x"],
      ["guidence", "3"],
    ]);
    await refused(ask("/v1/images/edits", unknown), 400, /expected known fields, got guidence/);
    const odd = form([
      ["image", query],
      ["example_input[]", before],
      ["prompt", "x"],
    ]);
    await refused(ask("/v1/images/edits", odd), 400, /as many example_input/);
  });

  test.each([
    ["prompt", "x", "prompt[part]", 400, /known fields, got prompt\[part\]/],
    ["image", query, "image[part]", 400, /known fields, got image\[part\]/],
    ["guidance", '{"image":2}', "guidance[text]", 400, /known fields, got guidance\[text\]/],
    ["xprompt", "xp_one", "xprompt[]", 404, /got "xp_one"/],
  ] as const)("%s in two ways in one form", (name, value, other, status, says) => {
    const mixed = form([
      ["image", query],
      [name, value],
      [other, "1"],
    ]);
    return refused(ask("/v1/images/edits", mixed), status, says);
  });

  test("paths and methods", async () => {
    await refused(ask("/v1/nothing"), 404, /no GET \/v1\/nothing/);
    const response = await ask("/v1/images/edits");
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("POST");
  });
});
