import { describe, expect, test } from "vitest";
import {
  connectionNames,
  isAddedInFront,
  isFieldName,
  isFieldValue,
  isForbiddenRequestField,
  isMethod,
  isStoppedResponseField,
  WIRE,
} from "../../protocol/headers.ts";

/** RFC 9110 section 5.6.2, spelt out. */
const TOKEN_CHARACTERS = new Set(
  "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
);

const BYTES = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code));

describe("names and values, over every byte", () => {
  test("a name holds token characters alone", () => {
    for (const character of BYTES) {
      expect(isFieldName(`a${character}b`), JSON.stringify(character)).toBe(TOKEN_CHARACTERS.has(character));
      expect(isFieldName(character), JSON.stringify(character)).toBe(TOKEN_CHARACTERS.has(character));
    }
    expect(isFieldName("")).toBe(false);
    expect(isFieldName("X\n")).toBe(false);
    expect(isFieldName("\u212a")).toBe(false);
  });

  test("a value holds no control but the tab", () => {
    for (const character of BYTES) {
      const code = character.charCodeAt(0);
      const good = code === 9 || (code >= 0x20 && code !== 0x7f);
      expect(isFieldValue(`a${character}b`), JSON.stringify(character)).toBe(good);
      const padding = character === " " || character === "\t";
      expect(isFieldValue(character), JSON.stringify(character)).toBe(good && !padding);
      expect(isFieldValue(`a${character}`), JSON.stringify(character)).toBe(good && !padding);
    }
    expect(isFieldValue("")).toBe(true);
    expect(isFieldValue("a\u0100b")).toBe(false);
    expect(isFieldValue("a\u010ab")).toBe(false);
  });

  test("a method has the grammar of a name", () => {
    expect(isMethod("M-SEARCH")).toBe(true);
    expect(isMethod("GET ")).toBe(false);
  });
});

describe("fields that end at a hop", () => {
  test("in a request", () => {
    for (const name of [
      "host",
      "connection",
      "content-length",
      "transfer-encoding",
      "te",
      "trailer",
      "upgrade",
      "expect",
    ]) {
      expect(isForbiddenRequestField(name), name).toBe(true);
    }
    for (const name of [
      "keep-alive",
      "http2-settings",
      "proxy-authorization",
      "proxy-anything",
      "relay-anything",
    ]) {
      expect(isForbiddenRequestField(name), name).toBe(true);
    }
    for (const name of [
      "accept",
      "authorization",
      "cookie",
      "content-type",
      "content-encoding",
      "x-host",
      "relay",
      "proxy",
    ]) {
      expect(isForbiddenRequestField(name), name).toBe(false);
    }
  });

  test("every field of the relay's own wire is kept from targets and taken from no target", () => {
    for (const name of Object.values(WIRE)) {
      expect(name).toBe(name.toLowerCase());
      expect(isForbiddenRequestField(name), name).toBe(true);
      expect(isStoppedResponseField(name, new Set()), name).toBe(true);
    }
  });

  test("in an answer", () => {
    const none = new Set<string>();
    for (const name of [
      "connection",
      "keep-alive",
      "transfer-encoding",
      "te",
      "trailer",
      "upgrade",
      "proxy-authenticate",
    ]) {
      expect(isStoppedResponseField(name, none), name).toBe(true);
    }
    for (const name of [
      "content-length",
      "content-encoding",
      "proxy-status",
      "server-timing",
      "set-cookie",
      "date",
      "host",
    ]) {
      expect(isStoppedResponseField(name, none), name).toBe(false);
    }
    expect(isStoppedResponseField("x-hop", new Set(["x-hop"]))).toBe(true);
  });
});

describe("connectionNames", () => {
  test.for([
    [[], []],
    [[["Content-Type", "close"]], []],
    [[["Connection", "close"]], ["close"]],
    [[["connection", "X-Hop, x-other"]], ["x-hop", "x-other"]],
    [
      [
        ["Connection", "a"],
        ["X", "y"],
        ["CONNECTION", "b"],
      ],
      ["a", "b"],
    ],
    [[["Connection", " \tX-Hop\t , "]], ["x-hop", ""]],
    // A target cannot take away what says where its body ends.
    [[["Connection", "Content-Length, x"]], ["x"]],
    [[["Connections", "x"]], []],
  ] as const)("%j", ([fields, names]) => expect([...connectionNames(fields)]).toEqual(names));
});

test("what the edge's surroundings add", () => {
  for (const name of [
    "cf-ray",
    "cf-connecting-ip",
    "cdn-loop",
    "x-forwarded-for",
    "x-real-ip",
    "via",
    "forwarded",
  ]) {
    expect(isAddedInFront(name), name).toBe(true);
  }
  for (const name of ["cf", "x-forwarded", "accept", "user-agent"]) {
    expect(isAddedInFront(name), name).toBe(false);
  }
});
