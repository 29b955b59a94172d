import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { XPromptError } from "../../src/errors.ts";
import { takeLock } from "../../src/runtime/lock.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lock-"));
  path = join(folder, "lock");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const locking = { doing: "working", busy: (holder: string) => new XPromptError(`held by ${holder}`) };
const take = (spelling = path) => takeLock(spelling, locking);

async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ["--version"], { stdio: "ignore" });
  await once(child, "exit");
  return child.pid!;
}

test("is held by one process, names it, and is released once", async () => {
  const release = await take();
  expect(await readFile(path, "utf8")).toMatch(new RegExp(`^${process.pid} ${hostname()} [0-9a-f]{8}\n$`));
  await expect(take()).rejects.toThrow("held by this process");
  await release();
  expect(await readdir(folder)).toEqual([]);
  const second = await take();
  await release();
  expect(await readdir(folder)).toEqual(["lock"]);
  await second();
});

test("is the same lock by another path", async () => {
  const release = await take();
  const link = `${folder}-link`;
  await symlink(folder, link);
  try {
    await rm(path); // what this process holds does not depend on the file
    for (const spelling of [relative(process.cwd(), path), join(link, "lock")])
      await expect(take(spelling)).rejects.toThrow("held by this process");
  } finally {
    await rm(link);
  }
  await release();
});

test("is held by this process where another copy of the module took it", async () => {
  const release = await take();
  vi.resetModules();
  const copy = await import("../../src/runtime/lock.ts");
  await expect(copy.takeLock(path, locking)).rejects.toThrow("held by this process");
  // A lock that is older than the process is of an earlier one with the same id.
  const begun = vi.spyOn(performance, "timeOrigin", "get").mockReturnValue(Date.now() + 60_000);
  await (await copy.takeLock(path, locking))();
  begun.mockRestore();
  expect(await readdir(folder)).toEqual([]);
  await release();
});

test("a release leaves the lock of another holder alone", async () => {
  const release = await take();
  await writeFile(path, `${process.ppid} ${hostname()} 0123abcd\n`);
  await release();
  expect(await readFile(path, "utf8")).toContain(String(process.ppid));
});

test("is taken over from an ended process, not from a running or remote one", async () => {
  await writeFile(path, `${await deadPid()} ${hostname()} 0123abcd\n`);
  await (await take())();
  expect(await readdir(folder)).toEqual([]);
  await writeFile(path, `${process.ppid} ${hostname()} 0123abcd\n`);
  await expect(take()).rejects.toThrow(`held by process ${process.ppid}`);
  await writeFile(path, `${await deadPid()} elsewhere 0123abcd\n`);
  await expect(take()).rejects.toThrow(/of elsewhere \(if that is gone, remove .*lock\)/);
});

test("of several competing processes, never two hold it", async () => {
  const module = new URL("../../src/runtime/lock.ts", import.meta.url).href;
  const script = join(folder, "taker.mts");
  await writeFile(
    script,
    `import { openSync, closeSync, rmSync } from "node:fs";
     import { takeLock } from ${JSON.stringify(module)};
     const [path] = process.argv.slice(-1);
     const locking = { doing: "working", busy: () => Object.assign(new Error("busy"), { isBusy: true }) };
     let held = 0;
     for (let i = 0; held < 100; i++) {
       const release = await takeLock(path, locking).catch((error) => {
         if (!error.isBusy) throw error;
       });
       if (!release) continue;
       held++;
       closeSync(openSync(path + ".inside", "wx")); // fails where another is inside
       await new Promise(setImmediate);
       rmSync(path + ".inside");
       await release();
     }`,
  );
  const takers = Array.from({ length: 3 }, async () => {
    const child = spawn(process.execPath, ["--import", "tsx", script, path], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    return (await once(child, "exit"))[0];
  });
  expect(await Promise.all(takers)).toEqual([0, 0, 0]);
});
