import { checkRequestFields, encodeSection, sectionFromWire } from "../../protocol/envelope.ts";
import { RelayError } from "../../protocol/errors.ts";
import { WIRE } from "../../protocol/headers.ts";
import { rawSectionOf } from "../envelopes.ts";

/**
 * The encoded end-to-end fields of a request that is to be made later: those in its envelope, or its own.
 * @throws RelayError `request_invalid`, `fields_invalid`, `fields_too_large`
 */
export function sectionOf(request: Request): Uint8Array<ArrayBuffer> {
  const envelope = request.headers.get(WIRE.envelope);
  if (envelope === null) return rawSectionOf(request);
  if (envelope !== "1") {
    throw new RelayError("request_invalid", "Relay-Envelope is not 1, the one version that there is");
  }
  const fields = sectionFromWire((name) => request.headers.get(name));
  checkRequestFields(fields);
  return encodeSection(fields);
}
