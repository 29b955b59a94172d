import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  access,
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { XPromptError } from "../../src/errors.ts";
import { sha256 } from "../../src/hash.ts";
import {
  attempt,
  makeFolder,
  readFileChecked,
  readJson,
  sha256File,
  writeFileAtomic,
  writeFilesAtomic,
  writeFolderAtomic,
} from "../../src/runtime/files.ts";
import { recoverDirectory, temporaryFor } from "../../src/runtime/temporary.ts";

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "files-"));
  path = join(folder, "out.bin");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const text = (file: string) => readFile(file, "utf8");
const exists = (file: string) =>
  access(file).then(
    () => true,
    () => false,
  );

/** The message of the error, which must be one line. */
async function lineOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(XPromptError);
  const { message } = error as XPromptError;
  expect(message).not.toContain("\n");
  return message;
}

describe("makeFolder", () => {
  test("makes folders above it, by several at once, and again", async () => {
    const deep = join(folder, "a", "b", "c");
    await Promise.all([makeFolder(deep), makeFolder(deep), makeFolder(join(folder, "a", "b"))]);
    await makeFolder(deep);
    expect((await stat(deep)).isDirectory()).toBe(true);
  });

  test("a file in the way, at the end or above", async () => {
    await writeFile(path, "");
    await expect(makeFolder(path)).rejects.toThrow(`making ${path}: expected no file in the way`);
    await expect(makeFolder(join(path, "x"), "testing")).rejects.toThrow(
      /^testing: expected (a folder|no file)/,
    );
  });

  test.runIf(process.platform === "linux")("ends where the system makes no folders", async () => {
    await expect(makeFolder("/proc/none/deeper")).rejects.toThrow(
      "making /proc/none/deeper: expected it to exist",
    );
  });
});

describe("writeFileAtomic", () => {
  test("writes text, bytes and chunks, and replaces a file with the same permissions", async () => {
    await writeFileAtomic(path, "é");
    expect(await text(path)).toBe("é");
    await chmod(path, 0o600);
    await writeFileAtomic(path, Uint8Array.of(1, 2));
    expect([...(await readFile(path))]).toEqual([1, 2]);
    async function* chunks() {
      yield Buffer.from("one ");
      yield Buffer.from("two");
    }
    await writeFileAtomic(path, chunks());
    expect(await text(path)).toBe("one two");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(folder)).toEqual(["out.bin"]);
  });

  test("writes through a symbolic link, which is kept", async () => {
    await writeFile(path, "old");
    await symlink(path, join(folder, "link"));
    await writeFileAtomic(join(folder, "link"), "new");
    expect(await text(path)).toBe("new");
    expect((await readdir(folder)).sort()).toEqual(["link", "out.bin"]);
  });

  test("makes the file that a dangling link points to; the link stays", async () => {
    await mkdir(join(folder, "sub"));
    await symlink("second", join(folder, "first"));
    await symlink(join("sub", "file"), join(folder, "second"));
    await writeFileAtomic(join(folder, "first"), "new");
    expect(await text(join(folder, "sub", "file"))).toBe("new");
    expect((await readdir(folder)).sort()).toEqual(["first", "second", "sub"]);
    await symlink("loop", join(folder, "loop"));
    expect(await lineOf(writeFileAtomic(join(folder, "loop"), ""))).toMatch(/^writing .*loop: /);
  });

  test("accepts every name that the disk accepts, however long", async () => {
    const long = join(folder, `${"é".repeat(122)}.png`); // 248 bytes of 255
    await writeFileAtomic(long, "new");
    expect(await text(long)).toBe("new");
  });

  test("keeps the former file and leaves no temporary when the data fails or the signal aborts", async () => {
    await writeFile(path, "former");
    const broken = new TypeError("defect");
    function* failing() {
      yield Buffer.from("half");
      throw broken;
    }
    await expect(writeFileAtomic(path, failing())).rejects.toBe(broken);

    const stop = new AbortController();
    const reason = new Error("enough");
    async function* endless() {
      for (let i = 0; ; i++) {
        if (i === 3) stop.abort(reason);
        yield Buffer.from("more");
      }
    }
    await expect(writeFileAtomic(path, endless(), { signal: stop.signal })).rejects.toBe(reason);
    expect(await text(path)).toBe("former");
    expect(await readdir(folder)).toEqual(["out.bin"]);
  });

  test("refuses a folder, a device, a missing folder and a file in the way, in one line each", async () => {
    await writeFile(path, "");
    expect(await lineOf(writeFileAtomic(folder, ""))).toMatch(/^writing .*: expected a file, got a folder/);
    expect(await lineOf(writeFileAtomic("/dev/null", ""))).toMatch(/expected a file, got a device or pipe/);
    const lost = await lineOf(writeFileAtomic(join(folder, "no", "out.bin"), ""));
    expect(lost).toContain(`no folder ${join(folder, "no")}`);
    expect(await lineOf(writeFileAtomic(join(path, "out.bin"), ""))).toMatch(
      /expected a folder at .*, got a file/,
    );
    expect(await lineOf(writeFileAtomic(join(folder, "n".repeat(300)), ""))).toMatch(/shorter name/);
  });
});

test("errors of the file system say what to do; others pass", async () => {
  const refusal = (code: string) =>
    attempt("writing x", "/d/x", () =>
      Promise.reject(Object.assign(new Error("raw"), { code, syscall: "write" })),
    );
  expect(await lineOf(refusal("ENOSPC"))).toBe(
    "writing x: expected room on the disk, got: it is full (free some space, or choose another disk)",
  );
  expect(await lineOf(refusal("EACCES"))).toMatch(/permission denied/);
  expect(await lineOf(refusal("EBUSY"))).toMatch(/use a folder inside it/);
  expect(await lineOf(refusal("EODD"))).toBe("writing x: raw");
  await expect(attempt("", "", () => Promise.reject(new RangeError("mine")))).rejects.toThrow(RangeError);
});

describe("writeFolderAtomic", () => {
  const fill = (content: string) => async (target: string) => {
    await mkdir(join(target, "deep"));
    await writeFile(join(target, "deep", "file"), content);
  };

  test("creates a folder, replaces an empty one, and others only on request", async () => {
    const target = join(folder, "checkpoint");
    await mkdir(target);
    await writeFolderAtomic(target, fill("1"));
    expect(await lineOf(writeFolderAtomic(target, fill("2")))).toMatch(
      /got one with files \(choose another path\)/,
    );
    expect(await text(join(target, "deep", "file"))).toBe("1");
    await writeFolderAtomic(target, fill("2"), { replace: true });
    expect(await text(join(target, "deep", "file"))).toBe("2");
    expect(await readdir(folder)).toEqual(["checkpoint"]);
  });

  test("keeps the former folder and leaves no temporary when the work fails or is aborted", async () => {
    const target = join(folder, "checkpoint");
    await writeFolderAtomic(target, fill("former"));
    const fail = async (inside: string) => {
      await fill("half")(inside);
      throw new TypeError("defect");
    };
    await expect(writeFolderAtomic(target, fail, { replace: true })).rejects.toThrow("defect");
    const signal = AbortSignal.abort();
    await expect(writeFolderAtomic(target, fill("no"), { replace: true, signal })).rejects.toBe(
      signal.reason,
    );
    expect(await text(join(target, "deep", "file"))).toBe("former");
    expect(await readdir(folder)).toEqual(["checkpoint"]);
  });

  test("refuses a name too long for setting the folder aside, before the work", async () => {
    const build = async () => expect.unreachable();
    const line = await lineOf(writeFolderAtomic(join(folder, "n".repeat(250)), build));
    expect(line).toMatch(/^writing folder .* shorter name/);
  });

  test.runIf(process.platform === "linux")("refuses a mount point, before the work", async () => {
    const build = async () => expect.unreachable();
    expect(await lineOf(writeFolderAtomic("/proc", build, { replace: true }))).toBe(
      "writing folder /proc: expected a folder that can be replaced, got a mount point (use a folder inside it)",
    );
  });

  test("refuses a file in the way, and a missing parent", async () => {
    await writeFile(path, "");
    expect(await lineOf(writeFolderAtomic(path, fill("")))).toMatch(/expected no file there, got one/);
    expect(await lineOf(writeFolderAtomic(join(folder, "no", "x"), fill("")))).toMatch(/no folder/);
  });
});

describe("several files", () => {
  test("appear together", async () => {
    await writeFilesAtomic(["a", "b"].map((name) => ({ path: join(folder, name), data: name })));
    expect((await readdir(folder)).sort()).toEqual(["a", "b"]);
    expect(await text(join(folder, "b"))).toBe("b");
  });

  test("are not changed when a later one fails, or the signal aborts", async () => {
    const paths = ["a", "b", "c"].map((name) => join(folder, name));
    for (const file of paths) await writeFile(file, "former");
    const broken = new TypeError("defect");
    const failing = (function* () {
      yield Buffer.from("half");
      throw broken;
    })();
    const files = paths.map((file, i) => ({ path: file, data: i === 2 ? failing : "new" }));
    await expect(writeFilesAtomic(files)).rejects.toBe(broken);
    const stop = new AbortController();
    const stopping = (function* () {
      stop.abort(broken);
      yield Buffer.from("half");
    })();
    const others = paths.map((file, i) => ({ path: file, data: i === 1 ? stopping : "new" }));
    await expect(writeFilesAtomic(others, { signal: stop.signal })).rejects.toBe(broken);
    for (const file of paths) expect(await text(file)).toBe("former");
    expect((await readdir(folder)).sort()).toEqual(["a", "b", "c"]);
  });
});

describe("after a kill", () => {
  /** The host part of a temporary's name. */
  const host = /@([0-9a-f]{8})\./.exec(temporaryFor("x"))![1]!;
  const elsewhere = host === "00000000" ? "11111111" : "00000000";

  /** The id of a process that has ended. */
  async function deadPid(): Promise<number> {
    const child = spawn(process.execPath, ["--version"], { stdio: "ignore" });
    await once(child, "exit");
    return child.pid!;
  }

  test("the next write removes temporaries of ended writers only", async () => {
    const dead = await deadPid();
    await writeFile(join(folder, `.a.png.${dead}@${host}.0123abcd.tmp`), "half");
    await mkdir(join(folder, `.step.${dead}@${host}.0123abcd.tmp`));
    const alive = [process.ppid, process.pid].map((pid) => `.a.png.${pid}@${host}.0123abcd.tmp`);
    const foreign = [".hidden", `.a.png.${dead}.tmp`, `a.png.${dead}@${host}.0123abcd.tmp`];
    for (const name of [...alive, ...foreign]) await writeFile(join(folder, name), "");
    await writeFileAtomic(path, "");
    expect((await readdir(folder)).sort()).toEqual(["out.bin", ...alive, ...foreign].sort());
  });

  test("temporaries of another host or pid namespace stay for a day", async () => {
    const dead = await deadPid();
    const young = `.a.png.${dead}@${elsewhere}.0123abcd.tmp`;
    const old = `.b.png.${dead}@${elsewhere}.0123abcd.tmp`;
    for (const name of [young, old]) await writeFile(join(folder, name), "half");
    await recoverDirectory(folder);
    expect((await readdir(folder)).sort()).toEqual([young, old]);
    vi.useFakeTimers({ now: Date.now() + 25 * 60 * 60 * 1000, toFake: ["Date"] });
    try {
      await recoverDirectory(folder);
    } finally {
      vi.useRealTimers();
    }
    expect(await readdir(folder)).toEqual([]);
  });

  test("a folder set aside on another host gets its name back", async () => {
    await mkdir(join(folder, `.lost.${await deadPid()}@${elsewhere}.0123abcd.old`));
    await recoverDirectory(folder);
    expect(await readdir(folder)).toEqual(["lost"]);
  });

  test("a folder set aside gets its name back, unless its successor is in place", async () => {
    const dead = await deadPid();
    for (const name of ["lost", "kept"]) {
      await mkdir(join(folder, `.${name}.${dead}@${host}.0123abcd.old`));
      await writeFile(join(folder, `.${name}.${dead}@${host}.0123abcd.old`, "file"), "former");
    }
    await mkdir(join(folder, "kept"));
    await recoverDirectory(folder);
    expect((await readdir(folder)).sort()).toEqual(["kept", "lost"]);
    expect(await text(join(folder, "lost", "file"))).toBe("former");
    expect(await exists(join(folder, "kept", "file"))).toBe(false);
  });

  test("killed at any moment while replacing a folder and a file, the old or the new one is complete", async () => {
    const target = join(folder, "checkpoint");
    const module = new URL("../../src/runtime/files.ts", import.meta.url).href;
    const writer = `
      import { writeFile } from "node:fs/promises";
      import { writeFileAtomic, writeFolderAtomic } from ${JSON.stringify(module)};
      const [folder, file] = process.argv.slice(-2);
      for (let i = 0; ; i++) {
        const content = String(i % 10).repeat(100_000);
        await writeFolderAtomic(folder, async (inside) => {
          await writeFile(inside + "/a", content);
          await writeFile(inside + "/b", content);
        }, { replace: true });
        await writeFileAtomic(file, content);
        if (i === 0) process.stdout.write("ready");
      }`;
    const script = join(folder, "writer.mts");
    await writeFile(script, writer);
    for (let round = 0; round < 4; round++) {
      const child = spawn(process.execPath, ["--import", "tsx", script, target, path], {
        stdio: ["ignore", "pipe", "inherit"],
        cwd: process.cwd(),
      });
      await once(child.stdout, "data");
      const until = performance.now() + 7 * round + 3;
      while (performance.now() < until) await new Promise(setImmediate);
      child.kill("SIGKILL");
      await once(child, "exit");
      await recoverDirectory(folder);
      expect((await readdir(folder)).sort()).toEqual(["checkpoint", "out.bin", "writer.mts"]);
      const [a, b, file] = await Promise.all([text(join(target, "a")), text(join(target, "b")), text(path)]);
      expect(b).toBe(a);
      for (const content of [a, file]) expect(content).toBe(content[0]!.repeat(100_000));
    }
  });
});

describe("reading", () => {
  test("readFileChecked names the role, the path and the fault", async () => {
    await writeFile(path, "12345");
    expect((await readFileChecked(path, "image")).toString()).toBe("12345");
    expect(await lineOf(readFileChecked(path, "image", 4))).toBe(
      `reading image ${path}: expected at most 4 bytes, got 5 (is it the right file?)`,
    );
    expect(await lineOf(readFileChecked(join(folder, "no.png"), "image"))).toMatch(
      /^reading image .*no\.png: .*no such file/,
    );
    expect(await lineOf(readFileChecked(folder, "image"))).toMatch(/expected a file, got a folder/);
    expect(await lineOf(readFileChecked("/dev/zero", "image"))).toMatch(/device/);
  });

  test("readJson follows the schema, and says where a file does not", async () => {
    const schema = z.object({ size: z.object({ width: z.int() }) });
    await writeFile(path, '{"size": {"width": 3}}');
    expect(await readJson(path, schema, "config")).toEqual({ size: { width: 3 } });
    await writeFile(path, '\uFEFF{"size": {"width": 3}}'); // as editors of Windows write it
    expect(await readJson(path, schema, "config")).toEqual({ size: { width: 3 } });
    await writeFile(path, '{"size": {"width": "3"}}');
    expect(await lineOf(readJson(path, schema, "config"))).toMatch(
      /^reading config .*: size\.width: expected a number, got "/,
    );
    await writeFile(path, '{"size"');
    expect(await lineOf(readJson(path, schema, "config"))).toMatch(
      /expected JSON, got: .* \(is the file cut off/,
    );
  });

  test("SHA-256 of bytes and of files", async () => {
    const known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; // FIPS 180-2, "abc"
    await writeFile(path, "abc");
    expect([sha256("abc"), sha256(Buffer.from("abc")), await sha256File(path, "file")]).toEqual([
      known,
      known,
      known,
    ]);
    expect(await lineOf(sha256File(join(folder, "no"), "file"))).toMatch(/no such file/);
    expect(await lineOf(sha256File(folder, "file"))).toMatch(/got a folder/);
  });
});
