import { PassThrough } from "node:stream";
import { afterEach, expect, test, vi } from "vitest";
import { formatBytes, formatDuration, formatNumber } from "../src/format.ts";
import { Progress, type ProgressOptions } from "../src/progress.ts";

/** A stream that keeps what is written, and a clock that the test sets. */
function scene(
  { columns = 120, ...options }: Partial<ProgressOptions> & { columns?: number } = {},
  isTTY = false,
) {
  const stream = Object.assign(new PassThrough(), { isTTY, columns });
  const time = { seconds: 0 };
  const clock = () => time.seconds * 1000;
  const progress = new Progress({ label: "training", total: 100, stream, clock, ...options });
  const text = () => stream.setEncoding("utf8").read() ?? "";
  return { progress, time, text };
}

afterEach(() => vi.restoreAllMocks());

test("elsewhere than on a terminal: the first line, then one every N seconds, and the last", () => {
  const { progress, time, text } = scene({ every: 10 });
  for (let step = 1; step <= 25; step++) {
    time.seconds = step;
    progress.update(step, { loss: 4 - step / 100 });
  }
  progress.stop();
  expect(text().split("\n")).toEqual([
    "training: 1/100 steps (1%), 1 steps/s, 1m 39s left, loss 3.99",
    "training: 11/100 steps (11%), 1 steps/s, 1m 29s left, loss 3.89",
    "training: 21/100 steps (21%), 1 steps/s, 1m 19s left, loss 3.79",
    "training: 25/100 steps (25%), 1 steps/s, took 25s, loss 3.75",
    "",
  ]);
});

test("the last line is not said twice, and stop ends it", () => {
  const { progress, time, text } = scene({ total: 2, unit: "images" });
  progress.update(1, { file: "a.png" });
  time.seconds = 20;
  progress.update(2, { file: "b.png" });
  progress.stop();
  progress.stop();
  progress.update(3);
  expect(text().split("\n")).toEqual([
    "training: 1/2 images (50%), file a.png",
    "training: 2/2 images (100%), 10s per image, took 20s, file b.png",
    "",
  ]);
});

test("the rate of resumed work counts from where it resumed, and forgets a slow start", () => {
  const { progress, time, text } = scene({ start: 50, every: 0, total: 1000 });
  time.seconds = 60;
  progress.update(51);
  expect(text()).toContain("1m 00s per step");
  for (let step = 1; step <= 45; step++) {
    time.seconds = 60 + step;
    progress.update(51 + 4 * step);
  }
  expect(text()).toMatch(/231\/1000 steps \(23%\), 4 steps\/s, 3m 12s left\n$/);
});

test("work that has hardly begun has no rate", () => {
  const { progress, time, text } = scene({ total: 8, unit: "rows", every: 0 });
  time.seconds = 0.0002;
  progress.update(1);
  time.seconds = 0.5;
  progress.update(2);
  expect(text()).toBe("training: 1/8 rows (12%)\ntraining: 2/8 rows (25%), 4 rows/s, 1.5s left\n");
});

test("fields stay until they change", () => {
  const { progress, text } = scene({ every: 0 });
  progress.update(1, { loss: 2, "tokens/s": 2900.4 });
  progress.update(2, { loss: 1.5 });
  expect(text().split("\n")[1]).toMatch(/, loss 1\.5, tokens\/s 2900$/);
});

test("on a terminal: one line that is redrawn, with a bar, and notes above it", () => {
  const { progress, time, text } = scene({ total: 4 }, true);
  time.seconds = 2;
  progress.update(2, { loss: 3.5 });
  progress.note("saved step 2");
  progress.stop();
  const drawn = text();
  expect(drawn).toContain("training ░░░░░░░░░░░░░░░░░░░░░░░░ 0/4 steps (0%)");
  expect(drawn).toContain(
    "training ████████████░░░░░░░░░░░░ 2/4 steps (50%), 1 steps/s, took 2.0s, loss 3.5",
  );
  expect(drawn).toContain("\r\x1b[Ksaved step 2\n");
  expect(drawn).not.toContain("\x1b[?"); // a killed process must not leave the terminal in another mode
  expect(drawn.endsWith("\n")).toBe(true);
  expect(drawn.match(/\n/g)).toHaveLength(2);
});

test("on a narrow terminal the bar gives way, then the end of the line", () => {
  const drawn = (columns: number) => {
    const { progress, text } = scene({ columns }, true);
    progress.stop();
    return text().split("\x1b[1G").at(-1)!.split("\x1b[0K")[0];
  };
  expect(drawn(120)).toBe("training ░░░░░░░░░░░░░░░░░░░░░░░░ 0/100 steps (0%), took 0.0s");
  expect(drawn(50)).toBe("training ░░░░░░░░░░░░ 0/100 steps (0%), took 0.0s");
  expect(drawn(40)).toBe("training 0/100 steps (0%), took 0.0s");
  expect(drawn(20)).toBe("training 0/100 step");
});

test("leaves signals and standard output alone", () => {
  const listeners = () => process.listenerCount("SIGINT") + process.listenerCount("SIGTERM");
  const before = listeners();
  const out = vi.spyOn(process.stdout, "write");
  const err = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  const bar = scene({}, true).progress;
  expect(listeners()).toBe(before);
  bar.stop();
  const progress = new Progress({ label: "reading", total: 1 });
  progress.update(1);
  progress.stop();
  expect(err).toHaveBeenCalled();
  expect(out).not.toHaveBeenCalled();
});

test.each([
  [0, "0.0s"],
  [0.44, "0.4s"],
  [9.96, "10s"],
  [59.4, "59s"],
  [59.6, "1m 00s"],
  [185, "3m 05s"],
  [3599.7, "1h 00m"],
  [7620, "2h 07m"],
  [273_600, "3d 04h"],
])("formatDuration(%d) is %s", (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text);
});

test.each([
  [0, "0 B"],
  [1023, "1023 B"],
  [1024, "1.0 KiB"],
  [1536, "1.5 KiB"],
  [1024 ** 2 - 1, "1.0 MiB"],
  [3.2 * 1024 ** 3, "3.2 GiB"],
  [5000 * 1024 ** 4, "5000.0 TiB"],
])("formatBytes(%d) is %s", (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test.each([
  [3.2149, "3.21"],
  [0.00031249, "0.000312"],
  [2900.4, "2900"],
  [1234567.8, "1234568"],
  [1.23e-7, "1.23e-7"],
  [40, "40"],
  [0, "0"],
  [Number.NaN, "NaN"],
  [-0.5, "-0.5"],
])("formatNumber(%d) is %s", (value, text) => {
  expect(formatNumber(value)).toBe(text);
});
