/** @file Training in processes that mpirun starts: as in one process, after a kill, and what is refused. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { XPromptError } from "../../../src/errors.ts";
import { openMpi } from "../../../src/training/index.ts";
import { type MetricsLine, readMetrics } from "../../../src/training/run/metrics.ts";
import { bin, type Outcome, start } from "../../cli/kit.ts";
import { writeTinyModel } from "../../fixtures/xprompt/kit.ts";

const hasMpi = spawnSync("mpirun", ["--version"]).status === 0;
if (!hasMpi)
  process.stderr.write("mpi.test.ts: left out, mpirun is not here (apt-get install openmpi-bin)\n");

/** As root, on fewer cores than processes, each where the system puts it. */
const env = {
  ...process.env,
  OMPI_ALLOW_RUN_AS_ROOT: "1",
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1",
  OMPI_MCA_rmaps_base_oversubscribe: "1",
  OMPI_MCA_hwloc_base_binding_policy: "none",
};

describe.skipIf(!hasMpi)("mpirun", () => {
  let folder = "";
  const at = (...parts: string[]) => join(folder, ...parts);
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "xprompt-mpi-"));
    await writeTinyModel(at("tiny"));
    const recipe = {
      ...{ kind: "transformer", steps: 12, init: at("tiny"), contexts: 4, todos: 2, heldOutBatches: 1 },
      ...{ optimizer: { learningRate: 3e-3 }, schedule: { shape: "constant" }, workers: 0, threads: 1 },
      ...{ logEvery: 1, evaluateEvery: 10_000, sheetEvery: 10_000, checkpointEvery: 1 },
      mix: { families: ["invert", "tint"], exampleCounts: [1], scheduledSamplingFrom: 1 },
    };
    await writeFile(at("recipe.mjs"), `export default ${JSON.stringify(recipe)};\n`);
  });
  afterAll(() => rm(folder, { recursive: true }));

  const training = (out: string, ...more: string[]) => [
    bin,
    "train",
    at("recipe.mjs"),
    "--out",
    at(out),
    ...more,
  ];
  const launch = (processes: number, out: string, ...more: string[]) => {
    const job = [
      "-np",
      String(processes),
      process.execPath,
      ...training(out, "--distributed", "mpi", ...more),
    ];
    return start("mpirun", job, { env });
  };
  const one = (out: string, ...more: string[]): Promise<Outcome> =>
    start(process.execPath, training(out, ...more)).ended;
  const lossesOf = async (out: string) =>
    (await readMetrics(at(out, "metrics.jsonl"))).filter(({ step }) => step > 0);
  const expectSame = (found: readonly MetricsLine[], expected: readonly MetricsLine[]) => {
    expect(found.map(({ step }) => step)).toEqual(expected.map(({ step }) => step));
    for (const [i, { loss }] of found.entries())
      expect(Math.abs(loss! / expected[i]!.loss! - 1)).toBeLessThan(1e-5);
  };

  test("two processes have the losses of one; one of them speaks", async () => {
    expect((await one("one")).status).toBe(0);
    const { status, stdout, stderr } = await launch(2, "two", "--json").ended;
    expect(status, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ steps: 12 });
    expect(stderr.match(/memory in each of 2 processes, seed 1/g)).toHaveLength(1);
    expectSame(await lossesOf("two"), await lossesOf("one"));
  });

  test("a process that is killed ends the job, which goes on with one from its checkpoint", async () => {
    const job = launch(2, "killed", "--steps=100000");
    await job.says(/training transformer: \d+\/100000/);
    const saved = at("killed", "checkpoint", "training.json");
    await expect.poll(() => existsSync(saved), { timeout: 60_000 }).toBe(true);
    // The processes that mpirun has started, in the order of their ranks.
    const children = `/proc/${job.child.pid}/task/${job.child.pid}/children`;
    const [, second] = (await readFile(children, "utf8")).trim().split(" ").map(Number);
    process.kill(second!, "SIGKILL");
    const { status, stderr } = await job.ended;
    expect(status).toBe(137);
    expect(stderr).toMatch(/rank 1 .* exited on signal 9 \(Killed\)/);
    expect(stderr).toContain(`--resume goes on from the last checkpoint in ${at("killed")}`);
    const { step } = JSON.parse(await readFile(saved, "utf8"));
    const steps = `--steps=${step + 4}`;
    const whole = await one("whole", steps);
    expect(whole.status, whole.stderr).toBe(0);
    const resumed = await one("killed", steps, "--resume");
    expect(resumed.status, resumed.stderr).toBe(0);
    expectSame(await lossesOf("killed"), await lossesOf("whole"));
  });

  test("a batch that cannot be divided is refused in one line", async () => {
    const { status, stdout, stderr } = await launch(3, "three").ended;
    expect([status, stdout]).toEqual([2, ""]);
    expect(stderr.match(/^xprompt: .*/gm)).toEqual([
      "xprompt: sharing a batch among 3 processes: expected contexts to be a multiple of 3, got 4 (change --contexts or the number of processes)",
    ]);
  });
});

describe("what is missing is named:", () => {
  const refused = async (mock: () => object, says: RegExp) => {
    vi.doMock("koffi", mock);
    const opened = openMpi();
    await expect(opened).rejects.toThrow(XPromptError);
    await expect(opened).rejects.toMatchObject({ code: "ERR_PACKAGE", message: expect.stringMatching(says) });
    vi.doUnmock("koffi");
  };

  test("koffi", () =>
    refused(() => {
      throw new Error("Cannot find package 'koffi'");
    }, /^training over MPI: expected the package koffi@3\.3\.4, got: .*\(npm install koffi@3\.3\.4\)$/s));

  test("Open MPI", () =>
    refused(() => {
      const load = () => {
        throw new Error("libmpi.so.40: cannot open shared object file");
      };
      return { default: { load } };
    }, /expected Open MPI's library libmpi.*got: libmpi.*cannot open.*\(apt-get install openmpi-bin, or/));
});
