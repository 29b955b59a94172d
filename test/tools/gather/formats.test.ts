import { deflateSync } from "node:zlib";
import { expect, test } from "vitest";
import { XPromptError } from "../../../src/errors.ts";
import { readCopyright } from "../../../tools/gather/formats/debian-copyright.ts";
import { findJpegs } from "../../../tools/gather/formats/jpeg-streams.ts";
import { readRcc } from "../../../tools/gather/formats/rcc.ts";

const u16 = (value: number) => [value >> 8, value & 255];
const u32 = (value: number) => [...u16(value >>> 16), ...u16(value & 0xffff)];
const name = (text: string) => [
  ...u16(text.length),
  ...u32(0),
  ...[...text].flatMap((c) => u16(c.charCodeAt(0))),
];

/** A version 1 archive: folder `pets` with a plain file `cat` and a zlib-compressed file `dog`. */
function archive(): Buffer {
  const names = [name("pets"), name("cat"), name("dog")];
  const nameAt = (i: number) => names.slice(0, i).flat().length;
  const dog = [...u32(4), ...deflateSync(Buffer.from("woof"))];
  const data = [
    [...u32(4), ...Buffer.from("meow")],
    [...u32(dog.length), ...dog],
  ];
  const folder = (nameOffset: number, count: number, first: number) => [
    ...u32(nameOffset),
    ...u16(2),
    ...u32(count),
    ...u32(first),
  ];
  const file = (nameOffset: number, flags: number, offset: number) => [
    ...u32(nameOffset),
    ...u16(flags),
    ...u16(0),
    ...u16(1),
    ...u32(offset),
  ];
  const tree = [
    ...folder(0, 1, 1),
    ...folder(nameAt(0), 2, 2),
    ...file(nameAt(1), 0, 0),
    ...file(nameAt(2), 1, data[0]!.length),
  ];
  const header = 20;
  const [dataAt, namesAt] = [header + tree.length, header + tree.length + data.flat().length];
  return Buffer.from([
    ...Buffer.from("qres"),
    ...u32(1),
    ...u32(header),
    ...u32(dataAt),
    ...u32(namesAt),
    ...tree,
    ...data.flat(),
    ...names.flat(),
  ]);
}

test("a Qt archive gives its files, plain and compressed", () => {
  const files = readRcc(archive(), "pets.rcc").map((file) => [file.path, file.read().toString()]);
  expect(files).toEqual([
    ["pets/cat", "meow"],
    ["pets/dog", "woof"],
  ]);
  expect(() => readRcc(Buffer.from("something else entirely"), "x.rcc")).toThrow(XPromptError);
});

test("JPEG streams are found between other bytes, with their sizes", () => {
  const frame = [0xff, 0xc0, ...u16(8), 8, ...u16(30), ...u16(40), 0];
  // The scan's data have a stuffed zero and a restart marker, neither of which ends it.
  const scan = [0xff, 0xda, ...u16(2), 1, 0xff, 0x00, 2, 0xff, 0xd0, 3];
  const jpeg = [0xff, 0xd8, ...frame, ...scan, 0xff, 0xd9];
  const look = [0xff, 0xd8, 0xff, 0x00, 7];
  const found = findJpegs(Buffer.from([9, 9, ...look, ...jpeg, 9, ...jpeg]));
  expect(found.map(({ width, height, bytes }) => [width, height, bytes.length])).toEqual([
    [40, 30, jpeg.length],
    [40, 30, jpeg.length],
  ]);
});

test("the last paragraph that fits says who made a file, under any extension", () => {
  const creditOf = readCopyright(
    [
      "Format: x\n",
      "Files: *\nCopyright: A\nLicense: GPL-3+\n text of it\n",
      "Files: photos/*.jpg\n       more/cat.png\nCopyright: 2008, B\n           C\nLicense: CC0\nComment: see https://example.org/b now\n",
    ].join("\n"),
  );
  expect(creditOf("photos/dog.webp")).toEqual({
    author: "2008, B; C",
    licence: "CC0",
    url: "https://example.org/b",
  });
  expect(creditOf("other/cat.png")).toEqual({ author: "A", licence: "GPL-3+" });
});
