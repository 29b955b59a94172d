/** @file Two network namespaces with a cable between them, which stand for two hosts. Needs root and Debian's iproute2. */
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { firstLineOf, XPromptError } from "../src/errors.ts";

const NAMES = ["xprompt-a", "xprompt-b"] as const;
const ADDRESSES = ["10.77.0.1", "10.77.0.2"] as const;
/** The interface of each. */
const INTERFACE = "cable";

const run = promisify(execFile);
const ip = async (...args: string[]): Promise<string> => {
  try {
    return (await run("ip", args)).stdout;
  } catch (error) {
    throw new XPromptError(
      `making two network namespaces: ${firstLineOf(error)} (needs root and Debian's iproute2)`,
    );
  }
};

export class Hosts {
  private constructor(private readonly agent: string) {}

  /** @param folder for the script that starts processes on the second host */
  static async open(folder: string): Promise<Hosts> {
    const [first, second] = NAMES;
    const agent = join(folder, "agent.sh");
    // Called as `agent HOST COMMAND…`, as ssh is.
    await writeFile(agent, `#!/bin/sh\nshift\nexec ${within(second)} sh -c "hostname ${second} && $*"\n`, {
      mode: 0o755,
    });
    const hosts = new Hosts(agent);
    try {
      for (const name of NAMES) await ip("netns", "add", name);
      const [here, there] = [first, second].map((name) => ["netns", name]);
      await ip("link", "add", INTERFACE, ...here!, "type", "veth", "peer", "name", INTERFACE, ...there!);
      for (const [i, name] of NAMES.entries()) {
        await ip("-n", name, "addr", "add", `${ADDRESSES[i]}/24`, "dev", INTERFACE);
        for (const link of ["lo", INTERFACE]) await ip("-n", name, "link", "set", link, "up");
      }
      return hosts;
    } catch (error) {
      await hosts.close();
      throw error;
    }
  }

  /** For mpirun: one process on each host, all traffic over TCP on the cable. */
  readonly options = [
    ...["--host", ADDRESSES.join(), "--map-by", "node", "--mca", "oob_tcp_if_include", INTERFACE],
    ...["--mca", "pml", "ob1", "--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", INTERFACE],
  ];

  /** A command that runs mpirun on the first host. */
  mpirun(args: readonly string[]): string[] {
    const start = `hostname ${NAMES[0]} && exec mpirun --mca plm_rsh_agent ${this.agent} "$@"`;
    return [...within(NAMES[0]).split(" "), "sh", "-c", start, "mpirun", ...args];
  }

  /** Bytes that the first host has sent so far. */
  async sent(): Promise<number> {
    const shown = await ip("-n", NAMES[0], "-s", "-j", "link", "show", INTERFACE);
    return JSON.parse(shown)[0].stats64.tx.bytes as number;
  }

  async close(): Promise<void> {
    for (const name of NAMES) await ip("netns", "del", name).catch(() => {});
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** In a namespace, under a host name of its own. */
const within = (name: string): string => `ip netns exec ${name} unshare --uts`;
