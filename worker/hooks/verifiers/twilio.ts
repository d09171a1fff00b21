import { FORM_PARAMETERS_MAX } from "../../limits.ts";
import { digestMember } from "../../../protocol/tokens.ts";
import { type CallHead, fromHex, needed, signaturesIn, unsigned, utf8, type Verifier } from "../check.ts";

/**
 * Twilio: `X-Twilio-Signature: <base64>`, HMAC-SHA1 over the URL as Twilio called it, with or without the scheme's own port in it,
 * and behind it the form's parameters; of any other body the URL's `bodySHA256` says the digest.
 */
export function twilio(keys: readonly Uint8Array<ArrayBuffer>[]): Verifier {
  return (head) => {
    const signatures = signaturesIn([needed(head, "x-twilio-signature")], "base64");
    const macs = keys.flatMap((key) =>
      [head.url, withPort(head.url)].map((url) => ({ hash: "SHA-1" as const, key, before: utf8(url) })),
    );
    const digests = new URL(head.url).searchParams.getAll("bodySHA256");
    if (digests.length > 0) {
      const digest = digests.length === 1 ? fromHex(digests[0]!) : undefined;
      if (digest?.length !== 32) throw unsigned("has a bodySHA256 that is no SHA-256 in hex");
      return { macs, over: "nothing", signatures, digest: digestMember(digest) };
    }
    // Any other body would go unsigned.
    if (!isForm(head)) throw unsigned("has no bodySHA256, and its body is no form");
    return { macs, over: "parameters", signatures };
  };
}

function isForm({ headers }: CallHead): boolean {
  const type = headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  return type === "application/x-www-form-urlencoded";
}

/** The URL with a port, where it has none. */
function withPort(url: string): string {
  return url.replace(
    /^(https?):\/\/(\[[^\]]*\]|[^/:]*)(?=\/)/,
    (_, scheme: string, host: string) => `${scheme}://${host}:${scheme === "https" ? 443 : 80}`,
  );
}

const AMPERSAND = 0x26;

/**
 * What Twilio signs of a form: names and values without anything in between, sorted by their names; of one that is there more
 * often each value once, sorted too.
 *
 * @throws RelayError `hook_signature` where there are too many
 */
export function formParameters(body: Uint8Array): Uint8Array<ArrayBuffer> {
  // Before anything is proven: a megabyte of the shortest ones would hold a hundred, and take seconds.
  const separators = body.reduce((count, byte) => count + Number(byte === AMPERSAND), 0);
  if (separators >= FORM_PARAMETERS_MAX) {
    throw unsigned(`has a form of more than ${FORM_PARAMETERS_MAX} parameters`);
  }
  const valuesOf = new Map<string, Set<string>>();
  for (const [name, value] of new URLSearchParams(new TextDecoder().decode(body))) {
    const values = valuesOf.get(name);
    if (values === undefined) valuesOf.set(name, new Set([value]));
    else values.add(value);
  }
  const names = [...valuesOf.keys()].toSorted(byUnits);
  const text = names.map((name) => [...valuesOf.get(name)!].toSorted(byUnits).map((value) => name + value));
  return utf8(text.flat().join(""));
}

/** As texts are sorted by default. */
function byUnits(one: string, other: string): number {
  return one < other ? -1 : Number(one > other);
}
