/** @file Libraries on object storage. */
import { expect, test } from "vitest";
import { ExampleLibrary } from "../../src/retrieval/index.ts";
import { describeS3, secret } from "../runtime/storage/s3-server.ts";
import { wordEmbedder as embedder, example } from "./kit.ts";

const byText = { text: 1, image: 0, words: 0 };

describeS3("a library on object storage", (server) => {
  test("is that of a folder, for readers and two writers in turn; its address comes from the environment", async () => {
    const place = "s3://bucket/library";
    const examples = [await example("a", "remove the rain"), await example("b", "add a red ball")];
    await expect(ExampleLibrary.open(place)).rejects.toThrow("expected an example library, found none");
    await using first = await ExampleLibrary.open(place, { create: true });
    expect(await first.add(examples.slice(0, 1), embedder)).toMatchObject({ added: 1 });
    await using second = await ExampleLibrary.open(place, { create: true });
    expect(await second.add(examples, embedder)).toMatchObject({ added: 1, known: 1 });
    // No lock keeps two writers apart here: the first finds out that there is more than it knew.
    expect(await first.add(examples, embedder)).toMatchObject({ added: 0, known: 2 });

    await using reader = await ExampleLibrary.open(place);
    expect((await reader.list()).map(({ instruction }) => instruction)).toEqual([
      "remove the rain",
      "add a red ball",
    ]);
    const [found] = await reader.search({ instruction: "remove it" }, embedder, byText, 1);
    expect(found).toMatchObject({ instruction: "remove the rain" });
    const { input, output } = await reader.get(found!.id);
    expect([Buffer.from(input), Buffer.from(output)]).toEqual([examples[0]!.input, examples[0]!.output]);
    const words = { text: 0, image: 0, words: 1 };
    const [word] = await reader.search({ instruction: "ball" }, undefined, words, 1);
    expect(word).toMatchObject({ instruction: "add a red ball" });

    expect(await second.remove([found!.id])).toBe(1);
    await using after = await ExampleLibrary.open(place);
    expect((await after.list()).map(({ instruction }) => instruction)).toEqual(["add a red ball"]);
    expect((await server.keys("bucket")).every((key) => key.startsWith("library/"))).toBe(true);
  });

  test("errors of a missing bucket, wrong credentials and a server that is down are one line, without credentials", async () => {
    const message = async (place: string, storageOptions: Record<string, string> = {}) => {
      const options = {
        storageOptions: { client_max_retries: "0", connect_timeout: "1s", ...storageOptions },
      };
      const text = await ExampleLibrary.open(place, options).then(
        () => "opened",
        (error: Error) => error.message,
      );
      expect(text).toMatch(
        /^using example library s3:\/\/[^\n]*\(check the URL, AWS_ENDPOINT_URL and the credentials[^\n]*$/,
      );
      expect(text).not.toContain(secret);
      return text;
    };
    // By every name of the option, and several times: two names for one option would be taken in any order.
    for (const name of ["endpoint", "endpoint_url", "aws_endpoint", "AWS_ENDPOINT_URL"])
      for (let times = 0; times < 3; times++)
        await message("s3://bucket/library", { [name]: "http://127.0.0.1:1" });
    expect(await message("s3://nowhere/library")).toMatch(/nowhere/);
    await server.checkCredentials(true);
    expect(await message("s3://bucket/library")).toMatch(/InvalidAccessKeyId|403/);
    await server.checkCredentials(false);
  });
});
