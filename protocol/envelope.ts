import { base64url } from "jose";
import { RelayError } from "./errors.ts";
import { type Field, isFieldName, isFieldValue, isForbiddenRequestField, WIRE } from "./headers.ts";
import { FIELDS_MAX_BYTES, FIELDS_MAX_COUNT, FIELDS_PIECE_BYTES } from "./limits.ts";

/**
 * The encoded field section: each field as `name ":" value LF`, one byte a character (Latin-1), in order, repeats kept.
 * Names and values can hold neither LF nor, in a name, a colon, so nothing needs escaping. A response's section begins
 * with two pseudo-fields, `:status` and `:reason`. On the wire it is base64url, cut into `Relay-Fields-1`, `-2` ….
 */

/** The target's status line and fields, as they came. */
export interface ResponseHead {
  readonly status: number;
  /** The reason phrase; empty over HTTP/2. */
  readonly reason: string;
  readonly fields: readonly Field[];
}

/**
 * @throws RelayError `fields_invalid`
 * @example encodeSection([["Accept", "text/plain"]]) // bytes of "Accept:text/plain\n"
 */
export function encodeSection(fields: readonly Field[]): Uint8Array<ArrayBuffer> {
  let text = "";
  for (const [name, value] of fields) {
    // One field must never decode as two, or as a pseudo-field, whoever forgot to check it.
    if (name === "" || name.includes(":", 1) || name.includes("\n") || value.includes("\n")) {
      throw new RelayError(
        "fields_invalid",
        "a field cannot be encoded: its name is empty or it holds a line end",
      );
    }
    text += `${name}:${value}\n`;
  }
  return latin1Encode(text);
}

/** The section of a response, pseudo-fields first. */
export function encodeResponseSection(head: ResponseHead): Uint8Array<ArrayBuffer> {
  return encodeSection([[":status", String(head.status)], [":reason", head.reason], ...head.fields]);
}

/** @throws RelayError `fields_invalid`, `fields_too_large` */
export function decodeSection(bytes: Uint8Array): Field[] {
  if (bytes.length > FIELDS_MAX_BYTES) throw tooLarge();
  return fieldsIn(latin1Decode(bytes));
}

/** @param text a section's bytes, one a character */
function fieldsIn(text: string): Field[] {
  const fields: Field[] = [];
  eachField(text, (name, value) => fields.push([name, value]));
  return fields;
}

function eachField(text: string, found: (name: string, value: string) => void): void {
  if (text.length > FIELDS_MAX_BYTES) throw tooLarge();
  if (text === "") return;
  if (!text.endsWith("\n")) {
    throw new RelayError("fields_invalid", "the encoded section ends in the middle of a line");
  }
  let count = 0;
  let start = 0;
  while (start < text.length) {
    const end = text.indexOf("\n", start);
    // A pseudo-field's name begins with the colon.
    const colon = text.indexOf(":", start + 1);
    if (colon === -1 || colon > end) {
      throw new RelayError("fields_invalid", "a line of the section has no colon");
    }
    if (count++ === FIELDS_MAX_COUNT) throw tooLarge();
    found(text.slice(start, colon), text.slice(colon + 1, end));
    start = end + 1;
  }
}

/**
 * Splits a decoded response section.
 * @throws RelayError `answer_invalid`
 */
export function responseHead(section: Field[]): ResponseHead {
  const [status, reason, ...fields] = section;
  if (status?.[0] !== ":status" || reason?.[0] !== ":reason" || !/^[2-9][0-9]{2}$/.test(status[1])) {
    throw new RelayError("answer_invalid", "the response section does not begin with :status and :reason");
  }
  return { status: Number(status[1]), reason: reason[1], fields };
}

/**
 * A request's fields are checked where they are used: by the node, and by whoever builds them, so that a mistake is told
 * before it travels.
 * @throws RelayError `fields_invalid`
 */
export function checkRequestFields(fields: readonly Field[]): void {
  for (const [name, value] of fields) checkRequestField(name, value);
}

function checkRequestField(name: string, value: string): void {
  if (!isFieldName(name)) {
    throw new RelayError("fields_invalid", `${JSON.stringify(name.slice(0, 64))} is no field name`);
  }
  if (!isFieldValue(value)) {
    throw new RelayError("fields_invalid", `the value of ${name} has characters that no field may hold`);
  }
  if (isForbiddenRequestField(name.toLowerCase())) {
    throw new RelayError("fields_invalid", `${name} is no end-to-end field: leave it out`);
  }
}

/** The wire fields that carry a section. */
export function sectionToWire(section: Uint8Array): [string, string][] {
  return section.length === 0 ? [] : wireFields(base64url.encode(section));
}

/**
 * The wire fields for a section that is encoded already.
 * @throws RelayError `fields_invalid` where it is no base64url
 */
export function wireFields(text: string): [string, string][] {
  checkAlphabet(text);
  const wire: [string, string][] = [];
  for (let start = 0; start < text.length; start += FIELDS_PIECE_BYTES) {
    wire.push([`${WIRE.fields}${wire.length + 1}`, text.slice(start, start + FIELDS_PIECE_BYTES)]);
  }
  return wire;
}

/** The pieces of a section as they stand on the wire, in order, for passing on untouched. */
export function wirePieces(get: (name: string) => string | null | undefined): string[] {
  const pieces: string[] = [];
  let size = 0;
  for (let n = 1; ; n++) {
    const piece = get(`${WIRE.fields}${n}`);
    if (piece === null || piece === undefined) return pieces;
    size += piece.length;
    if (size > (FIELDS_MAX_BYTES / 3) * 4 + 4) throw tooLarge();
    pieces.push(piece);
  }
}

/**
 * Reads a section from wire fields; `get` looks a lower-case name up.
 * @throws RelayError `fields_invalid`, `fields_too_large`
 */
export function sectionFromWire(get: (name: string) => string | null | undefined): Field[] {
  return fieldsIn(sectionText(get));
}

/**
 * The fields of a request, names and values in turn, judged as `checkRequestFields` does; `get` looks a lower-case name up.
 * @throws RelayError `fields_invalid`, `fields_too_large`
 */
export function requestFieldsFromWire(get: (name: string) => string | null | undefined): string[] {
  const flat: string[] = [];
  eachField(sectionText(get), (name, value) => {
    checkRequestField(name, value);
    flat.push(name, value);
  });
  return flat;
}

function sectionText(get: (name: string) => string | null | undefined): string {
  const text = wirePieces(get).join("");
  if (text === "") return "";
  try {
    checkAlphabet(text);
    // It gives one character for each byte, which is what a section is read from.
    return atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  } catch (cause) {
    throw new RelayError("fields_invalid", "Relay-Fields is no base64url", { cause });
  }
}

/** The decoder would skip white space and take padding, which no sender of ours writes. */
function checkAlphabet(text: string): void {
  if (!/^[\w-]*$/.test(text)) throw new RelayError("fields_invalid", "Relay-Fields is no base64url");
}

function tooLarge(): RelayError {
  return new RelayError(
    "fields_too_large",
    `more than ${FIELDS_MAX_BYTES} bytes or ${FIELDS_MAX_COUNT} lines of fields`,
  );
}

function latin1Encode(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0xff) {
      throw new RelayError("fields_invalid", "a field holds a character beyond Latin-1: encode it first");
    }
    bytes[i] = code;
  }
  return bytes;
}

/** TextDecoder's "latin1" is windows-1252 and changes 0x80 to 0x9F, so bytes are mapped by hand, in slices. */
function latin1Decode(bytes: Uint8Array): string {
  let text = "";
  for (let start = 0; start < bytes.length; start += 8_192) {
    text += String.fromCharCode(...bytes.subarray(start, start + 8_192));
  }
  return text;
}
