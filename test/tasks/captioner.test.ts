/** @file The captioner with a local server that speaks OpenAI's protocol, and misbehaves on request. */
import { getEventListeners } from "node:events";
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { XPromptError } from "../../src/errors.ts";
import { loadImage } from "../../src/image/index.ts";
import { captionsById } from "../../src/tasks/captioner/answers.ts";
import { type Caption, parseAnswer, subtasks } from "../../src/tasks/captioner/caption.ts";
import {
  type CaptionerOptions,
  captionPairs,
  type PairToCaption,
} from "../../src/tasks/captioner/captioner.ts";
import { somePicture } from "../fixtures/xprompt/kit.ts";

const good: Caption = {
  subtask: "Object Removal",
  instruction: "remove the chair",
  reverseInstruction: "add a chair",
  difference: "The chair of the input image is gone in the output image.",
  reverseDifference: "The output image has a chair that the input image does not have.",
};

interface Question {
  readonly authorization: string | undefined;
  readonly body: {
    readonly model: string;
    readonly messages: readonly { role: string; content: string | Record<string, unknown>[] }[];
    readonly response_format: { type: string; json_schema: { schema: Record<string, unknown> } };
  };
}
/** A response body that does not follow the protocol. */
interface Page {
  readonly type: string;
  readonly body: string;
  readonly status?: number;
  readonly location?: string;
  /** Whether the response never ends. */
  readonly isEndless?: boolean;
}
type Said = number | string | Page;
/** The server's response to its nth question: a status, the text of an answer, or something else. */
type Reply = (n: number, question: Question) => Said | Promise<Said>;

let folder: string;
let close = () => Promise.resolve();
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "captions-"));
});
afterEach(async () => {
  await close();
  await rm(folder, { recursive: true });
});

/** Starts a server; its requests are collected in `questions`. */
async function serve(reply: Reply): Promise<{ options: CaptionerOptions; questions: Question[] }> {
  const questions: Question[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    if (request.url !== "/v1/chat/completions") return response.writeHead(404).end("{}");
    const question: Question = {
      authorization: request.headers.authorization,
      body: JSON.parse(Buffer.concat(chunks).toString()),
    };
    questions.push(question);
    const said = await reply(questions.length - 1, question);
    const headers = { "content-type": "application/json", "retry-after-ms": "1" };
    if (typeof said === "number")
      return response.writeHead(said, headers).end(JSON.stringify({ error: { message: `no: ${said}` } }));
    if (typeof said === "object") {
      const { type, body, status = 200, location, isEndless = false } = said;
      response.writeHead(status, { "content-type": type, ...(location && { location }) });
      response.write(body);
      return isEndless ? undefined : response.end();
    }
    const message = { role: "assistant", content: said };
    return response.writeHead(200, headers).end(
      JSON.stringify({
        id: "1",
        object: "chat.completion",
        created: 0,
        model: question.body.model,
        choices: [{ index: 0, finish_reason: "stop", message }],
        usage: { prompt_tokens: 100, completion_tokens: 10, total_tokens: 110 },
      }),
    );
  };
  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  close = () =>
    new Promise((resolve) => {
      server.closeAllConnections();
      server.close(() => resolve());
      close = () => Promise.resolve();
    });
  const { port } = server.address() as AddressInfo;
  const options = {
    baseUrl: `http://127.0.0.1:${port}/v1`,
    model: "vision",
    apiKey: "secret",
    answers: join(folder, "captions.jsonl"),
  };
  return { options, questions };
}

const pairs = (count: number): PairToCaption[] =>
  Array.from({ length: count }, (_, i) => ({
    id: `pair ${i}`,
    input: somePicture(`before ${i}`),
    output: somePicture(`after ${i}`),
  }));
const lines = async (path: string) => (await readFile(path, "utf8")).trim().split("\n");

describe("asking", () => {
  test("sends both pictures, the instruction and the answer's schema, and stores the answer", async () => {
    const { options, questions } = await serve(() => JSON.stringify(good));
    const [pair] = pairs(1) as [PairToCaption];
    const state = await captionPairs([{ ...pair, instruction: 'take the "chair" away' }], options);
    expect(state).toMatchObject({ pairs: 1, asked: 1, cached: 0, failed: 0 });
    expect([state.promptTokens, state.completionTokens]).toEqual([100, 10]);

    const { authorization, body } = questions[0]!;
    expect([authorization, body.model]).toEqual(["Bearer secret", "vision"]);
    const content = body.messages[1]!.content as { image_url?: { url: string }; text?: string }[];
    for (const [i, picture] of [pair.input, pair.output].entries()) {
      const bytes = Buffer.from(content[i]!.image_url!.url.replace("data:image/png;base64,", ""), "base64");
      expect((await loadImage(bytes, { size: 32 })).data).toEqual(picture.data);
    }
    expect(content[2]!.text).toContain('"take the \\"chair\\" away"');
    const { properties } = body.response_format.json_schema.schema as {
      properties: { subtask: { enum: string[] } };
    };
    expect(properties.subtask.enum).toEqual(subtasks);

    const [line] = await lines(options.answers);
    expect(JSON.parse(line!)).toMatchObject({ id: "pair 0", ...good });
  });

  test("an endless answer is stopped by the timeout", async () => {
    const { options } = await serve(() => ({ type: "application/json", body: "{", isEndless: true }));
    const failing = captionPairs(pairs(1), { ...options, timeout: 0.05, retries: 0 });
    expect(await failing).toMatchObject({ asked: 0, failed: 1 });
  });

  test("an answer is read up to a size limit", async () => {
    const body = " ".repeat(9 * 2 ** 20);
    const { options } = await serve(() => ({ type: "application/json", body, isEndless: true }));
    const { failures } = await captionPairs(pairs(1), { ...options, retries: 0 });
    expect(failures[0]).toMatch(/at most 8388608 bytes, got more/);
  });

  test("pictures are not sent to the target of a redirect", async () => {
    const other = await serve(() => JSON.stringify(good));
    const [closeOther, location] = [close, `${other.options.baseUrl}/chat/completions`];
    const { options } = await serve(() => ({ type: "text/plain", body: "", status: 307, location }));
    await expect(captionPairs(pairs(2), options)).rejects.toThrow(`got a redirect to ${location}`);
    await closeOther();
    expect(other.questions).toEqual([]);
  });

  test("the number of parallel questions is limited", async () => {
    let [open, most] = [0, 0];
    const waiting: (() => void)[] = [];
    const { options } = await serve(async () => {
      most = Math.max(most, ++open);
      // Answers wait for three questions, and a little longer for a fourth, which must not come.
      await new Promise<void>((resolve) => {
        if (waiting.push(resolve) === 3)
          setTimeout(() => {
            for (const answer of waiting.splice(0)) answer();
          }, 20);
      });
      open--;
      return JSON.stringify(good);
    });
    await captionPairs(pairs(9), { ...options, concurrency: 3 });
    expect(most).toBe(3);
  });

  test("retries a few times when the server fails or the answer is invalid", async () => {
    const replies = [500, "I see a chair.", JSON.stringify(good)];
    const { options, questions } = await serve((n) => replies[n]!);
    expect(await captionPairs(pairs(1), options)).toMatchObject({ asked: 1, failed: 0 });
    expect(questions).toHaveLength(3);
  });

  test("a pair without a valid answer is counted and skipped", async () => {
    const bad = JSON.stringify({ ...good, subtask: "Magic" });
    const { options, questions } = await serve((_n, { body }) => {
      const text = (body.messages[1]!.content as { text?: string }[])[2]!.text!;
      return text.includes("odd") ? bad : JSON.stringify(good);
    });
    const [first, second] = pairs(2) as [PairToCaption, PairToCaption];
    const given = [first, { ...second, instruction: "odd" }];
    const state = await captionPairs(given, { ...options, concurrency: 1, retries: 1 });
    expect(state).toMatchObject({ pairs: 2, asked: 1, failed: 1 });
    expect(state.failures[0]).toMatch(/^pair 1: .*subtask/);
    expect(questions).toHaveLength(3);
    expect(await lines(options.answers)).toHaveLength(1);
  });

  test.each([401, 404])("status %d ends it with one clear error", async (status) => {
    const { options, questions } = await serve(() => status);
    const failing = captionPairs(pairs(6), { ...options, concurrency: 1 });
    await expect(failing).rejects.toThrow(XPromptError);
    await expect(failing).rejects.toThrow(/captioning: expected a server at http.* with the model vision/);
    expect(questions).toHaveLength(1);
  });

  test("a question without an answer fails its pair after the timeout", async () => {
    const { options } = await serve(() => new Promise<string>(() => {}));
    const state = await captionPairs(pairs(1), { ...options, retries: 0, timeout: 0.05 });
    expect(state).toMatchObject({ pairs: 1, asked: 0, failed: 1 });
    expect(state.failures).toEqual([expect.stringMatching(/^pair 0: Request timed out/)]);
  });

  test("a refused question fails only its pair", async () => {
    const { options } = await serve((n) => (n === 2 ? 400 : JSON.stringify(good)));
    const state = await captionPairs(pairs(4), { ...options, concurrency: 1, retries: 0 });
    expect(state).toMatchObject({ pairs: 4, asked: 3, failed: 1 });
    expect(state.failures).toEqual([expect.stringMatching(/^pair 2: 400 /)]);
  });

  test.each([
    ["refuses every question", 400],
    ["speaks another protocol", { type: "text/html", body: "<html></html>" }],
  ])("a server that %s is given up after a few", async (_what, said) => {
    const { options, questions } = await serve(() => said);
    const failing = captionPairs(pairs(9), { ...options, concurrency: 1 });
    await expect(failing).rejects.toThrow(/captioning: expected a server at http.* with the model vision/);
    expect(questions).toHaveLength(4);
  });

  test.each([
    [
      "a page",
      { type: "text/html", body: "<html>\n<title>Welcome</title></html>" },
      /"<html> <title>Welcome/,
    ],
    ["another object", { type: "application/json", body: '{"error":"busy"}' }, /"{"error":"busy"}"/],
    ["half an object", { type: "application/json", body: '{"choices":[' }, /"{"choices":\["/],
    ["nothing", { type: "application/json", body: "" }, /nothing/],
  ])("%s instead of an answer is told as such", async (_what, said, got) => {
    const { options } = await serve((n) => (n === 0 ? JSON.stringify(good) : said));
    const { failed, failures } = await captionPairs(pairs(2), { ...options, concurrency: 1 });
    expect(failed).toBe(1);
    expect(failures[0]).toMatch(/^pair 1: expected a chat completion, JSON with choices, got /);
    expect(failures[0]).toMatch(got);
  });

  test("does not follow a redirect", async () => {
    const elsewhere = { type: "text/plain", body: "", status: 307, location: "/v1/chat/completions" };
    const { options, questions } = await serve(() => elsewhere);
    await expect(captionPairs(pairs(1), options)).rejects.toThrow(/got a redirect to \/v1/);
    expect(questions).toHaveLength(1);
  });

  test("refuses an answer of more than 8 MiB", async () => {
    const book = { type: "application/json", body: "x".repeat(8 * 2 ** 20 + 1) };
    const { options } = await serve((n) => (n === 0 ? JSON.stringify(good) : book));
    const { failures } = await captionPairs(pairs(2), { ...options, concurrency: 1 });
    expect(failures).toEqual([expect.stringMatching(/^pair 1: .*at most 8388608 bytes, got more/)]);
  });

  test("leaves no listeners on the signal, and no warning", async () => {
    const warnings: string[] = [];
    const listener = ({ message }: Error) => warnings.push(message);
    process.on("warning", listener);
    const { signal } = new AbortController();
    const { options } = await serve(() => JSON.stringify(good));
    await captionPairs(pairs(12), { ...options, concurrency: 12, signal });
    await new Promise((resolve) => setImmediate(resolve));
    process.off("warning", listener);
    expect(warnings).toEqual([]);
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  test("an unreachable server is one clear error", async () => {
    const { options } = await serve(() => 500);
    await close();
    const failing = captionPairs(pairs(1), { ...options, retries: 0 });
    await expect(failing).rejects.toThrow(/check the address/);
  });
});

describe("answers on disk", () => {
  test("are reused for the same pictures, words and model", async () => {
    const { options, questions } = await serve(() => JSON.stringify(good));
    await captionPairs(pairs(3), options);
    expect(await captionPairs(pairs(4), options)).toMatchObject({ asked: 1, cached: 3 });
    await captionPairs([{ ...pairs(1)[0]!, instruction: "other words" }], options);
    await captionPairs(pairs(1), { ...options, model: "another" });
    await captionPairs([{ ...pairs(1)[0]!, output: somePicture("else") }], options);
    expect(questions).toHaveLength(4 + 3);
    expect(await lines(options.answers)).toHaveLength(7);
  });

  test("survive an interruption, and a half-written line", async () => {
    const stop = new AbortController();
    const { options } = await serve((n) => {
      if (n === 3) stop.abort(new Error("enough"));
      return JSON.stringify(good);
    });
    const stopped = captionPairs(pairs(6), { ...options, concurrency: 1, signal: stop.signal });
    await expect(stopped).rejects.toThrow("enough");
    await appendFile(options.answers, '{"id":"pair 3","key":"ab');
    const state = await captionPairs(pairs(6), options);
    expect(state.cached).toBeGreaterThanOrEqual(3);
    expect(state.cached + state.asked).toBe(6);
    const kept = (await lines(options.answers)).map((line) => JSON.parse(line).id);
    expect(kept.sort()).toEqual(pairs(6).map(({ id }) => id));
  });

  test("may have blank lines between them, which are no captions", async () => {
    const { options, questions } = await serve(() => JSON.stringify(good));
    await captionPairs(pairs(2), options);
    const [first, second] = await lines(options.answers);
    await writeFile(options.answers, `\n${first}\n\r\n${second}\n\n`);
    expect([...(await captionsById(options.answers)).keys()].sort()).toEqual(["pair 0", "pair 1"]);
    await captionPairs(pairs(3), options);
    expect(questions).toHaveLength(3);
    await writeFile(options.answers, "\nsomething else");
    await expect(captionsById(options.answers)).rejects.toThrow("line 2: expected a caption");
  });

  test("keep a complete last line without a line end", async () => {
    const { options, questions } = await serve(() => JSON.stringify(good));
    await captionPairs(pairs(2), { ...options, concurrency: 1 });
    const text = await readFile(options.answers, "utf8");
    await writeFile(options.answers, text.slice(0, -1));
    expect((await captionsById(options.answers)).size).toBe(2);
    expect(await captionPairs(pairs(2), options)).toMatchObject({ asked: 0, cached: 2 });
    expect(await readFile(options.answers, "utf8")).toBe(text.slice(0, -1));
    expect(await captionPairs(pairs(3), options)).toMatchObject({ asked: 1, cached: 2 });
    expect(questions).toHaveLength(3);
    const kept = await readFile(options.answers, "utf8");
    expect(kept.startsWith(text)).toBe(true);
    expect(
      kept
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line).id),
    ).toEqual(pairs(3).map(({ id }) => id));
  });

  test.each([
    ["notes", "my notes\n", 1],
    ["one line without its end", "my notes", 1],
    ["one object without its end", '{"mine":1}', 1],
    ["captions, and then an object", '{"mine":1}', 2],
  ])("of something else are refused, and left as they are: %s", async (_what, text, line) => {
    const { options, questions } = await serve(() => JSON.stringify(good));
    if (line === 2) await captionPairs(pairs(1), options);
    const asked = questions.length;
    await appendFile(options.answers, text);
    const before = await readFile(options.answers, "utf8");
    await expect(captionPairs(pairs(2), options)).rejects.toThrow(`line ${line}: expected a caption as JSON`);
    expect(questions).toHaveLength(asked);
    expect(await readFile(options.answers, "utf8")).toBe(before);
  });

  test("follow pictures to new names, each name with its latest answer", async () => {
    const said = ["first", "second"].map((instruction) => ({ ...good, instruction }));
    const { options, questions } = await serve((n) => JSON.stringify(said[n]));
    const [first, second] = pairs(2) as [PairToCaption, PairToCaption];
    const one = { ...options, concurrency: 1 };
    await captionPairs([first, second], one);
    const words = async () =>
      [...(await captionsById(options.answers))].map(([id, { instruction }]) => [id, instruction]);

    const swapped = [
      { ...first, id: second.id },
      { ...second, id: first.id },
    ];
    expect(await captionPairs(swapped, one)).toMatchObject({ asked: 0, cached: 2 });
    expect(await words()).toEqual([
      ["pair 0", "second"],
      ["pair 1", "first"],
    ]);
    await captionPairs([...swapped, { ...first, id: "copy" }], one);
    expect(await words()).toContainEqual(["copy", "first"]);
    expect(await lines(options.answers)).toHaveLength(5);
    expect(questions).toHaveLength(2);
  });

  test("are written by one run at a time", async () => {
    const { options } = await serve(() => JSON.stringify(good));
    async function* meanwhile() {
      await expect(captionPairs(pairs(1), options)).rejects.toThrow(
        /captions\.jsonl: expected one run at a time, got one by this process/,
      );
      yield* pairs(1);
    }
    expect(await captionPairs(meanwhile(), options)).toMatchObject({ asked: 1 });
    expect(await captionPairs(pairs(1), options)).toMatchObject({ cached: 1 });
    expect(await readdir(folder)).toEqual(["captions.jsonl"]);
  });

  test("stop the run at once if they cannot be written", async () => {
    const { options, questions } = await serve(() => JSON.stringify(good));
    const nowhere = { ...options, answers: join(folder, "nowhere", "captions.jsonl") };
    await expect(captionPairs(pairs(1), nowhere)).rejects.toThrow(/writing captions .*nowhere.*no folder/);
    expect(questions).toHaveLength(0);
    const gone = { ...options, answers: join(folder, "gone", "captions.jsonl"), concurrency: 1 };
    await mkdir(join(folder, "gone"));
    async function* untilGone() {
      await rm(join(folder, "gone"), { recursive: true });
      yield* pairs(6);
    }
    await expect(captionPairs(untilGone(), gone)).rejects.toThrow(XPromptError);
    expect(questions).toHaveLength(1);
  });
});

describe("parseAnswer", () => {
  test("takes JSON in a fence or in words", () => {
    const fenced = `Here it is:\n\`\`\`json\n${JSON.stringify(good)}\n\`\`\``;
    expect(parseAnswer(fenced)).toEqual(good);
  });

  test.each([
    ["nothing", ""],
    ["half of an object", JSON.stringify(good).slice(0, 40)],
    ["another subtask", JSON.stringify({ ...good, subtask: "Magic" })],
    ["an empty sentence", JSON.stringify({ ...good, difference: "  " })],
    ["a book", JSON.stringify({ ...good, difference: "x".repeat(3000) })],
    ["a missing field", JSON.stringify({ ...good, instruction: undefined })],
  ])("refuses %s", (_what, text) => {
    expect(() => parseAnswer(text)).toThrow();
  });
});
