import { describe, expect, test } from "vitest";
import { XPromptError } from "../../src/errors.ts";
import { Opaque, PickleGlobal, type PickleValue, unpickle } from "../../src/runtime/pickle.ts";

const globals = [new PickleGlobal("test.pair", (args) => ["pair", ...args]), new PickleGlobal("test.name")];
const persistent = (id: PickleValue): PickleValue => ["stored", id];

/** The value of a pickle given as bytes and, in strings, Latin-1 text. */
const load = (...parts: (number | string)[]): PickleValue =>
  unpickle(
    Buffer.concat(
      parts.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : Buffer.of(part))),
    ),
    { globals, persistent },
    "testing",
  );
const proto = "\x80\x04";

describe("values", () => {
  test.each<[string, string, PickleValue]>([
    ["None", "N", null],
    ["True", "\x88", true],
    ["integers", "(K\xffM\x00\x01J\xfe\xff\xff\xfft", [255, 256, -2]],
    ["long integers", "(\x8a\x00\x8a\x01\x80\x8a\x02\xff\x00\x8b\x01\x00\x00\x00\x05t", [0, -128, 255, 5]],
    ["integers beyond 2⁵³", "\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01", 2n ** 64n],
    ["a float", "G\x3f\xf8\x00\x00\x00\x00\x00\x00", 1.5],
    ["texts", "(\x8c\x02\xc3\xa9X\x01\x00\x00\x00aU\x01\xe9t", ["é", "a", "é"]],
    ["bytes", "C\x02\x00\xff", Buffer.of(0, 255)],
    ["lists", "](K\x01K\x02eK\x03a", [1, 2, 3]],
    ["tuples", "()K\x01\x85K\x01K\x02\x86K\x01K\x02K\x03\x87t", [[], [1], [1, 2], [1, 2, 3]]],
    [
      "dictionaries",
      "}(K\x01K\x02u\x88K\x03s",
      new Map<PickleValue, PickleValue>([
        [1, 2],
        [true, 3],
      ]),
    ],
    ["sets", "\x8f(K\x01K\x01\x90", new Set([1])],
    ["memoized values", "K\x07q\x050K\x08\x940(h\x05h\x01t", [7, 8]],
    ["an allowed call", "ctest\npair\nK\x01K\x02\x86R", ["pair", 1, 2]],
    ["an allowed call by protocol 4", "\x8c\x04test\x8c\x04pair\x93K\x01\x85\x81", ["pair", 1]],
    ["a persistent reference", "K\x09Q", ["stored", 9]],
  ])("%s", (_what, body, value) => {
    expect(load(proto, body, ".")).toEqual(value);
  });

  test("a shared list keeps its identity", () => {
    const [first, second] = load(proto, "(]q\x00h\x00K\x01at.") as PickleValue[][];
    expect(first).toBe(second);
    expect(first).toEqual([1]);
  });
});

describe("names that are not allowed", () => {
  test("are placeholders, and so are values made from them", () => {
    for (const body of [
      "cos\nsystem\n",
      "cos\nsystem\n\x8c\x02ls\x85R",
      "cos\nsystem\n)\x81}K\x01K\x02sb",
      "cos\nsystem\n)}\x92",
      "cos\nsystem\n)}K\x01K\x02s\x92",
      "cos\nsystem\n)R(K\x01e(K\x01K\x02uK\x01a(K\x01\x90",
      "ctest\npair\ncos\nsystem\n)R\x85R0cos\nsystem\n)R)R",
    ])
      expect(load(proto, body, ".")).toEqual(new Opaque("os.system"));
  });

  test("an allowed name that is not a function is not called either", () => {
    expect(load(proto, "ctest\nname\n)R.")).toEqual(new Opaque("test.name"));
  });
});

describe("refuses in one line", () => {
  test.each([
    ["an opcode that calls", "(ios\nsystem\n.", /byte 3 of the pickle.*the opcode INST \(0x69\)/],
    ["an opcode that makes objects", "(cos\nsystem\no.", /the opcode OBJ/],
    ["a registered extension", "\x82\x01.", /the opcode EXT1/],
    ["an opcode of protocol 0", "I1\n.", /the opcode INT/],
    ["an unknown opcode", "\xff.", /the unknown opcode 0xff/],
    ["a later protocol", "\x80\x06.", /protocol 2 to 5, got protocol 6/],
    ["nothing at the end", ".", /expected one value at the end, got 0/],
    ["two values at the end", "NN.", /got 2/],
    ["no end", "N", /1 more bytes, got 0/],
    ["a text that is cut off", "X\xff\x00\x00\x00a.", /a length of at most 2, got 255/],
    ["a huge length", "\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", /length of at most/],
    ["a name that is cut off", "cos", /a line/],
    ["a value below a mark", "N(\x85.", /expected a value, got none/],
    ["an empty stack", "0.", /expected a value, got none/],
    ["a missing mark", "t.", /expected a mark/],
    ["a value that was not memoized", "h\x01.", /number 1/],
    ["keys without values", "}(K\x01u.", /keys with values/],
    ["an addition to a number", "K\x01K\x02a.", /a list to append to, got the number 1/],
    ["a call of a number", "K\x01)R.", /something that can be called, got the number 1/],
    ["a call without a tuple", "cos\nsystem\nNR.", /arguments in a tuple, got None/],
    ["a name that is not a text", "NN\x93.", /a module and a name, got None and None/],
    ["an integer of a megabyte", `\x8b\x00\x00\x10\x00${"\x01".repeat(2 ** 20)}.`, /at most 1024 bytes/],
  ])("%s", (_what, body, message) => {
    const attempt = () => load(proto, body);
    expect(attempt).toThrow(message);
    expect(attempt).toThrow(XPromptError);
    expect(attempt).toThrow(/^testing: byte \d+ of the pickle: expected [^\n]*, got [^\n]*\)$/);
  });

  test("more than a million opcodes", () => {
    expect(() => load(proto, "N0".repeat(2 ** 19), "N.")).toThrow(/at most 1048576 opcodes/);
  });
});
