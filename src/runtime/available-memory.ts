/** @file The memory that is available. `available-memory.browser.ts` stands in for this module in browsers. */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { UsageError } from "../errors.ts";

/**
 * Bytes that this process can still allocate: the machine's free memory without swapping, or the limit of a control
 * group (a container) if that is less. The environment variable XPROMPT_MEMORY_LIMIT, a number of bytes, overrides
 * both.
 * @param root the root of the system's files
 */
export async function availableMemory(root = "/"): Promise<number> {
  const limit = process.env.XPROMPT_MEMORY_LIMIT;
  if (limit !== undefined && limit !== "") {
    if (!/^\d+$/.test(limit))
      throw new UsageError(`XPROMPT_MEMORY_LIMIT: expected a number of bytes, got ${JSON.stringify(limit)}`);
    return Number(limit);
  }
  const text = await read(join(root, "proc/meminfo"));
  const kibibytes = /^MemAvailable:\s+(\d+) kB$/m.exec(text ?? "")?.[1];
  // os.freemem leaves out the disk cache, which soon holds most of the memory.
  if (kibibytes === undefined) return process.availableMemory();
  return Math.max(0, Math.min(Number(kibibytes) * 1024, await leftInControlGroups(root)));
}

/** How one version of control groups reports memory. */
interface ControlGroups {
  /** Matches this process's line in /proc/self/cgroup and captures the group. */
  readonly line: RegExp;
  readonly folder: string;
  readonly limit: string;
  readonly used: string;
  /** The name of the reclaimable disk cache in memory.stat. */
  readonly reclaimable: string;
}

const generations: readonly ControlGroups[] = [
  {
    line: /^0::(.*)$/m,
    folder: "sys/fs/cgroup",
    limit: "memory.max",
    used: "memory.current",
    reclaimable: "inactive_file",
  },
  {
    line: /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/m,
    folder: "sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    reclaimable: "total_inactive_file",
  },
];

/** The bytes that the control group of this process and its parents still allow. */
async function leftInControlGroups(root: string): Promise<number> {
  const own = (await read(join(root, "proc/self/cgroup"))) ?? "";
  let left = Number.POSITIVE_INFINITY;
  for (const { line, folder, limit, used, reclaimable } of generations) {
    const group = line.exec(own)?.[1];
    if (group === undefined) continue;
    // In a container the group's own path may not be there, but its root is.
    for (let path = group; ; path = dirname(path)) {
      const at = (name: string) => read(join(root, folder, path, name));
      const [most, now] = [await at(limit), await at(used)].map((text) => Number(text ?? Number.NaN));
      if (Number.isFinite(most) && Number.isFinite(now)) {
        const cached = new RegExp(`^${reclaimable} (\\d+)$`, "m").exec((await at("memory.stat")) ?? "")?.[1];
        left = Math.min(left, most! - now! + Number(cached ?? 0));
      }
      if (path === dirname(path)) break;
    }
  }
  return left;
}

const read = (path: string): Promise<string | undefined> => readFile(path, "utf8").catch(() => undefined);
