/** @file Available memory as reported by Linux, and refusals for lack of it. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { UsageError, XPromptError } from "../../src/errors.ts";
import { availableMemory } from "../../src/runtime/available-memory.ts";
import { memoryNeed, requireMemory } from "../../src/runtime/memory.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "memory-"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(root, { recursive: true });
});

/** A machine with 1,000,000 kB available, and other files. */
async function machine(files: Readonly<Record<string, string | number>> = {}): Promise<number> {
  const all = {
    "proc/meminfo":
      "MemTotal:  9000000 kB\nMemFree:    1000 kB\nMemAvailable:    1000000 kB\nCached: 999000 kB\n",
    ...files,
  };
  for (const [name, text] of Object.entries(all)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), `${text}\n`);
  }
  return availableMemory(root);
}

const AVAILABLE = 1_000_000 * 1024;

describe("available", () => {
  test("without limits: the memory available without swapping, not the unused memory", async () => {
    expect(await machine()).toBe(AVAILABLE);
    expect(await machine({ "proc/self/cgroup": "0::/user.slice" })).toBe(AVAILABLE);
  });

  test("in a container (version 2): the limit minus the used memory, without the disk cache", async () => {
    const files = {
      "proc/self/cgroup": "0::/",
      "sys/fs/cgroup/memory.max": 500_000_000,
      "sys/fs/cgroup/memory.current": 450_000_000,
      "sys/fs/cgroup/memory.stat": "anon 1\nfile 3\ninactive_file 30000000\nactive_file 9",
    };
    expect(await machine(files)).toBe(80_000_000);
    expect(await machine({ ...files, "sys/fs/cgroup/memory.max": "max" })).toBe(AVAILABLE);
    expect(await machine({ ...files, "sys/fs/cgroup/memory.current": 600_000_000 })).toBe(0);
  });

  test("a parent group may have a lower limit", async () => {
    const files = {
      "proc/self/cgroup": "0::/a/b",
      "sys/fs/cgroup/a/memory.max": 300_000_000,
      "sys/fs/cgroup/a/memory.current": 100_000_000,
      "sys/fs/cgroup/a/b/memory.max": 400_000_000,
      "sys/fs/cgroup/a/b/memory.current": 100_000_000,
    };
    expect(await machine(files)).toBe(200_000_000);
  });

  test("in a container (version 1) that does not show its own path", async () => {
    const files = {
      "proc/self/cgroup": "9:cpu,memory:/docker/1f\n3:memoryless:/\n0::/",
      "sys/fs/cgroup/memory/memory.limit_in_bytes": 700_000_000,
      "sys/fs/cgroup/memory/memory.usage_in_bytes": 100_000_000,
      "sys/fs/cgroup/memory/memory.stat": "inactive_file 1\ntotal_inactive_file 50000000",
    };
    expect(await machine(files)).toBe(650_000_000);
    const unlimited = { ...files, "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712" };
    expect(await machine(unlimited)).toBe(AVAILABLE);
  });

  test("on this machine, and without information from the system", async () => {
    for (const at of ["/", root]) expect(await availableMemory(at)).toBeGreaterThan(1e6);
  });

  test("XPROMPT_MEMORY_LIMIT overrides it", async () => {
    vi.stubEnv("XPROMPT_MEMORY_LIMIT", "123456");
    expect(await machine()).toBe(123456);
    for (const wrong of ["4GiB", "-1", "1e9"]) {
      vi.stubEnv("XPROMPT_MEMORY_LIMIT", wrong);
      await expect(machine()).rejects.toThrow(UsageError);
    }
    vi.stubEnv("XPROMPT_MEMORY_LIMIT", "");
    expect(await machine()).toBe(AVAILABLE);
  });
});

test("too large a need is refused with the figures; others pass", async () => {
  const need = memoryNeed({ weights: 3 * 2 ** 30, cachePerToken: 1, cache: 2 ** 30, activations: 2 ** 29 });
  expect(need.total).toBe(4.5 * 2 ** 30);
  vi.stubEnv("XPROMPT_MEMORY_LIMIT", String(need.total));
  await requireMemory("loading model big", need, "close other programs");
  vi.stubEnv("XPROMPT_MEMORY_LIMIT", String(need.total - 1));
  const refused = requireMemory("loading model big", need, "close other programs");
  await expect(refused).rejects.toThrow(XPromptError);
  await expect(refused).rejects.toThrow(
    /^loading model big: expected 4\.5 GiB of memory \(weights 3\.0 GiB, cache 1\.0 GiB, activations 512\.0 MiB\), got 4\.5 GiB available \(close other programs\)$/,
  );
});
