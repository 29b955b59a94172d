import { mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { UsageError, XPromptError } from "../../../src/errors.ts";
import { openStorage } from "../../../src/runtime/storage/open.ts";
import { describeS3, secret } from "./s3-server.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xprompt-storage-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What every kind of storage does. */
function behaves(placeOf: () => string): void {
  test("objects are written, listed, copied and removed", async () => {
    await using storage = await openStorage(placeOf());
    expect(await storage.read("a/b.txt")).toBeUndefined();
    expect(await storage.list("")).toEqual([]);
    await storage.write("a/b.txt", "first");
    await storage.write("a/b.txt", "second");
    await storage.write("c.bin", Uint8Array.of(0, 255));
    expect(Buffer.from((await storage.read("a/b.txt"))!).toString()).toBe("second");
    expect([...(await storage.read("c.bin"))!]).toEqual([0, 255]);

    // More than one part of an upload.
    const large = Buffer.alloc(20 * 2 ** 20, 7);
    await writeFile(join(folder, "large"), large);
    await storage.upload("a/large", join(folder, "large"));
    await storage.download("a/large", join(folder, "again"));
    expect((await readFile(join(folder, "again"))).equals(large)).toBe(true);

    expect(await storage.list("")).toEqual(["a/b.txt", "a/large", "c.bin"]);
    expect(await storage.list("a/")).toEqual(["a/b.txt", "a/large"]);
    await storage.remove("a/b.txt");
    await storage.remove("a/b.txt");
    expect(await storage.list("")).toEqual(["a/large", "c.bin"]);
    await expect(storage.download("none", join(folder, "none"))).rejects.toThrow(XPromptError);
    await expect(readFile(join(folder, "none"))).rejects.toThrow("ENOENT");
  });
}

describe("a folder", () => {
  behaves(() => join(folder, "storage"));

  test("a file in its place is an error", async () => {
    await mkdir(join(folder, "x"));
    await writeFile(join(folder, "x", "file"), "");
    await using storage = await openStorage(join(folder, "x", "file"));
    await expect(storage.write("a", "b")).rejects.toThrow(/^writing .*file\/a: expected /);
  });

  test.runIf(process.platform === "linux")("a refused copy leaves no file open", async () => {
    const opened = async () => {
      const all = (await readdir("/proc/self/fd")).map((fd) =>
        readlink(`/proc/self/fd/${fd}`).catch(() => ""),
      );
      return (await Promise.all(all)).filter((path) => path.startsWith(folder));
    };
    const source = join(folder, "source");
    await writeFile(source, "content");
    await using storage = await openStorage(join(folder, "copies"));
    await storage.write("a/b", "content");
    await expect(storage.upload("a", source)).rejects.toThrow("got a folder");
    await expect(storage.download("a/b", join(folder, "copies", "a"))).rejects.toThrow("got a folder");
    expect(await opened()).toEqual([]);
  });
});

test.each(["s3:/bucket", "s3://", "s3://key:password@bucket/prefix", "S3://b"])(
  "%s is no place",
  async (place) => {
    const message = await openStorage(place).catch((error: unknown) => {
      expect(error).toBeInstanceOf(UsageError);
      return (error as Error).message;
    });
    expect(message).toContain("expected object storage as s3://bucket/prefix, got ");
    expect(message).not.toContain("password");
  },
);

describeS3("object storage", (server) => {
  behaves(() => "s3://bucket/some/prefix");

  test("a prefix is a folder: names beside it are not listed", async () => {
    await using storage = await openStorage("s3://bucket/some/pre");
    expect(await storage.list("")).toEqual([]);
  });

  const messageOf = async (place: string): Promise<string> => {
    await using storage = await openStorage(place);
    const messages = [];
    for (const work of [() => storage.read("key"), () => storage.write("key", "x"), () => storage.list("")])
      messages.push(
        await work().then(
          () => "no error",
          (error: Error) => error.message,
        ),
      );
    const text = messages.join("\n");
    expect(text).not.toContain(secret);
    expect(text).not.toContain("test-key-id");
    return text;
  };

  test("errors of a missing bucket, wrong credentials and an endpoint that is down say what to do", async () => {
    const none = await messageOf("s3://nowhere/a");
    for (const doing of [
      "reading s3://nowhere/a/key",
      "writing s3://nowhere/a/key",
      "listing s3://nowhere/a/",
    ])
      expect(none).toContain(
        `${doing}: expected the bucket nowhere at ${server.endpoint}, got none of that name (make it, or correct the URL or AWS_ENDPOINT_URL)`,
      );
    await server.checkCredentials(true);
    expect(await messageOf("s3://bucket/a")).toMatch(
      /^reading s3:\/\/bucket\/a\/key: expected credentials that http.* knows, got: InvalidAccessKeyId \(correct AWS_ACCESS_KEY_ID, /,
    );
    await server.checkCredentials(false);
    process.env.AWS_ENDPOINT_URL = "http://127.0.0.1:1";
    expect(await messageOf("s3://bucket/a")).toMatch(
      /^reading s3:\/\/bucket\/a\/key: expected to reach http:\/\/127.0.0.1:1, got: ECONNREFUSED \(check the network and AWS_ENDPOINT_URL\)/,
    );
    process.env.AWS_ENDPOINT_URL = server.endpoint;
  });
});
