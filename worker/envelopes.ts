import { encodeSection, sectionToWire, wireFields, wirePieces } from "../protocol/envelope.ts";
import { RelayError } from "../protocol/errors.ts";
import { FIELDS_MAX_BYTES, FIELDS_MAX_COUNT } from "../protocol/limits.ts";
import { type Field, isAddedInFront, isForbiddenRequestField } from "../protocol/headers.ts";

/**
 * Our client's envelope goes on as it came, cut anew: in more fields, or with other characters, than our client writes, the
 * node's HTTP parser would end the connection, as if the node were broken.
 */
export function envelopeOf(request: Request): [string, string][] {
  return wireFields(wirePieces((name) => request.headers.get(name)).join(""));
}

/**
 * A raw caller's own fields, put into an envelope: without the ones of this hop, the relay's, and those added in front.
 * @param isKept tells of a field, its name in lower case, whether a door passes it on
 */
export function rawEnvelopeOf(request: Request, isKept?: FieldChoice): [string, string][] {
  return sectionToWire(rawSectionOf(request, isKept));
}

type FieldChoice = (name: string, value: string) => boolean;

/** The same as the encoded section that the envelope carries. */
export function rawSectionOf(
  { headers }: Request,
  isKept: FieldChoice = () => true,
): Uint8Array<ArrayBuffer> {
  const fields: Field[] = [];
  for (const [name, value] of headers) {
    if (isForbiddenRequestField(name) || isAddedInFront(name) || !isKept(name, value)) continue;
    fields.push([name, bytesOf(name, value)]);
  }
  const section = encodeSection(fields);
  // The node's HTTP parser would end the connection, as if the node were broken.
  if (section.length > FIELDS_MAX_BYTES || fields.length > FIELDS_MAX_COUNT) {
    throw new RelayError(
      "fields_too_large",
      `the fields exceed ${FIELDS_MAX_BYTES} bytes or ${FIELDS_MAX_COUNT} lines`,
    );
  }
  return section;
}

const ASCII = /^[\0-\x7f]*$/;

/** The runtime reads values as UTF-8: back to the bytes that came, where they were that. */
function bytesOf(name: string, value: string): string {
  if (ASCII.test(value)) return value;
  if (value.includes("\ufffd")) {
    throw new RelayError(
      "fields_invalid",
      `the value of ${name} is not UTF-8, which a raw request can't carry: use the enveloped form`,
    );
  }
  return Array.from(new TextEncoder().encode(value), (byte) => String.fromCharCode(byte)).join("");
}
