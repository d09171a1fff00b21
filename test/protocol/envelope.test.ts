import { base64url } from "jose";
import { describe, expect, test } from "vitest";
import {
  checkRequestFields,
  decodeSection,
  encodeResponseSection,
  encodeSection,
  type ResponseHead,
  responseHead,
  sectionFromWire,
  sectionToWire,
  wirePieces,
} from "../../protocol/envelope.ts";
import { type Field, isFieldName, isFieldValue } from "../../protocol/headers.ts";
import { FIELDS_MAX_BYTES, FIELDS_PIECE_BYTES, HTTP_HEADER_MAX_BYTES } from "../../protocol/limits.ts";
import { readVectors } from "../vectors/read.ts";
import { outcome, seeded } from "./outcome.ts";

interface Case {
  readonly name: string;
  readonly error?: string;
}
const vectors = readVectors("fields.json") as {
  requests: (Case & { section: string; fields?: Field[] })[];
  unsendable: (Case & { fields: Field[] })[];
  responses: (Case & { section: string; expect?: ResponseHead })[];
  wire: (Case & { pieces: string[]; fields?: Field[] })[];
};

/** Looks a wire field up as the edge and a node do. */
function lookup(wire: readonly (readonly [string, string])[]) {
  const map = new Map(wire);
  return (name: string) => map.get(name);
}

function checked(fields: Field[]): Field[] {
  checkRequestFields(fields);
  return fields;
}

describe("a request's section", () => {
  test.for(vectors.requests)("$name", ({ section, fields, error }) => {
    const got = outcome(() => checked(decodeSection(base64url.decode(section))));
    expect(got).toEqual(fields === undefined ? { error } : { value: fields });
    if (fields !== undefined) expect(base64url.encode(encodeSection(fields))).toBe(section);
  });

  test.for(vectors.unsendable)("cannot be sent: $name", ({ fields, error }) => {
    expect(outcome(() => encodeSection(checked(fields)))).toEqual({ error });
  });

  test("encoding by itself never turns one field into two, checked or not", () => {
    for (const [name, value] of [
      ["X", "a\nb:c"],
      ["X:a\nY", "b"],
      ["X:Y", "a"],
      ["", "a"],
      ["", "status:200"],
      ["X", "a\u010ab"],
      ["X\u013a", "a"],
    ] as const) {
      expect(outcome(() => encodeSection([[name, value]]))).toEqual({ error: "fields_invalid" });
    }
  });

  test("the largest is taken, one byte more is not", () => {
    const largest: Field[] = [["X", "a".repeat(FIELDS_MAX_BYTES - 3)]];
    expect(decodeSection(encodeSection(largest))).toEqual(largest);
    const larger = encodeSection([["X", "a".repeat(FIELDS_MAX_BYTES - 2)]]);
    expect(outcome(() => decodeSection(larger))).toEqual({ error: "fields_too_large" });
  });

  test("no refusal quotes a value", () => {
    for (const name of ["Authorization", "Host", "X Y"]) {
      expect(() => checkRequestFields([[name, "s3cret\r\n"]])).not.toThrow("s3cret");
    }
  });
});

describe("a response's section", () => {
  test.for(vectors.responses)("$name", ({ section, expect: head, error }) => {
    const got = outcome(() => responseHead(decodeSection(base64url.decode(section))));
    expect(got).toEqual(head === undefined ? { error } : { value: head });
    if (head !== undefined) expect(base64url.encode(encodeResponseSection(head))).toBe(section);
  });
});

describe("the wire", () => {
  test.for(vectors.wire)("$name", ({ pieces, fields, error }) => {
    const get = lookup(pieces.map((piece, at) => [`relay-fields-${at + 1}`, piece]));
    expect(outcome(() => sectionFromWire(get))).toEqual(fields === undefined ? { error } : { value: fields });
    if (fields !== undefined) expect(wirePieces(get)).toEqual(pieces);
  });

  test("no fields take no wire fields", () => expect(sectionToWire(encodeSection([]))).toEqual([]));

  test("the largest section stays within what every hop's parser takes", () => {
    const wire = sectionToWire(new Uint8Array(FIELDS_MAX_BYTES));
    expect(wire.every(([, piece]) => piece.length <= FIELDS_PIECE_BYTES)).toBe(true);
    const size = wire.reduce((sum, [name, piece]) => sum + name.length + piece.length + 4, 0);
    expect(size).toBeLessThan(HTTP_HEADER_MAX_BYTES - 40_000);
    expect(wirePieces(lookup(wire))).toHaveLength(wire.length);
  });

  test("more than the largest section is not joined", () => {
    const wire = sectionToWire(new Uint8Array(FIELDS_MAX_BYTES + 8));
    expect(outcome(() => wirePieces(lookup(wire)))).toEqual({ error: "fields_too_large" });
  });

  test("random fields come back as they went, through both framings", () => {
    const pick = seeded(9_110);
    for (let round = 0; round < 200; round++) {
      const fields = Array.from({ length: pick(40) }, () => randomField(pick));
      expect(checked(sectionFromWire(lookup(sectionToWire(encodeSection(fields)))))).toEqual(fields);
      const head = { status: 200 + pick(800), reason: randomValue(pick), fields };
      expect(responseHead(decodeSection(encodeResponseSection(head)))).toEqual(head);
    }
  });

  test("random bytes are decoded or refused, never anything else, and what is decoded encodes to the same bytes", () => {
    const pick = seeded(9_112);
    let decoded = 0;
    for (let round = 0; round < 20_000; round++) {
      const bytes = Uint8Array.from(
        { length: pick(24) },
        () => [0x0a, 0x3a, 0x61, 0x20, 0x0d, 0x00, 0xff][pick(7)]!,
      );
      const got = outcome(() => decodeSection(bytes));
      if ("error" in got) continue;
      expect(encodeSection(got.value)).toEqual(bytes);
      decoded++;
    }
    expect(decoded).toBeGreaterThan(500);
  });
});

const NAME_CHARACTERS = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

function randomField(pick: (below: number) => number): Field {
  const name = `X${Array.from({ length: pick(30) }, () => NAME_CHARACTERS[pick(NAME_CHARACTERS.length)]!).join("")}`;
  const value = randomValue(pick);
  expect(isFieldName(name) && isFieldValue(value)).toBe(true);
  return [name, value];
}

function randomValue(pick: (below: number) => number): string {
  const length = pick(100) === 0 ? pick(20_000) : pick(40);
  const characters = Array.from({ length }, () => {
    const code = pick(224);
    return String.fromCharCode(code === 0 ? 9 : code < 96 ? code + 31 : code + 32);
  });
  return characters.join("").trim();
}
