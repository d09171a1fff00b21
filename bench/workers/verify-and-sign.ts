import { Hono } from "hono";

/**
 * The least that an edge computes: it reads a token's claims, proves its Ed25519 signature by one key that it has, signs a grant of the same claims by HS256,
 * and hands the request on with it. No policy, no clock, no shape is looked at, and nothing is remembered: it is a measure, and no relay.
 */
const app = new Hono<{ Bindings: { readonly TO: string; readonly KEY: string } }>();

const HEADER = text(JSON.stringify({ alg: "HS256", typ: "holdfast-grant+jwt" }));
let keys: { readonly client: CryptoKey; readonly grant: CryptoKey } | undefined;

app.all("/fetch", async (c) => {
  const { headers, signal, body } = c.req.raw;
  const token = headers.get("relay-authorization")!.slice(7);
  keys ??= await importKeys(c.env.KEY);
  const [header, payload, signature] = token.split(".") as [string, string, string];
  const input = new TextEncoder().encode(`${header}.${payload}`);
  const isProven = await crypto.subtle.verify("Ed25519", keys.client, bytes(signature), input);
  if (!isProven) return c.text("refused", 401);
  const { url, htm, jti, iat } = JSON.parse(new TextDecoder().decode(bytes(payload))) as Record<
    string,
    unknown
  >;
  const claims = text(
    JSON.stringify({ iss: "edge", aud: "node-1", sub: "bench", act: "fetch", url, htm, jti, iat }),
  );
  const signed = await crypto.subtle.sign(
    "HMAC",
    keys.grant,
    new TextEncoder().encode(`${HEADER}.${claims}`),
  );
  const mac = btoa(String.fromCharCode(...new Uint8Array(signed)));
  return fetch(c.env.TO + c.req.path, {
    method: "POST",
    headers: {
      "relay-authorization": `Bearer ${HEADER}.${claims}.${mac.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`,
      "relay-envelope": "1",
      "relay-fields-1": headers.get("relay-fields-1") ?? "",
    },
    body,
    signal,
  });
});

async function importKeys(x: string): Promise<NonNullable<typeof keys>> {
  return {
    client: await crypto.subtle.importKey("raw", bytes(x), "Ed25519", false, ["verify"]),
    grant: await crypto.subtle.importKey(
      "raw",
      new Uint8Array(32),
      { name: "HMAC", hash: "SHA-256" },
      false,
      ["sign"],
    ),
  };
}

function text(json: string): string {
  return btoa(json).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function bytes(base64url: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64url.replaceAll("-", "+").replaceAll("_", "/")), (each) =>
    each.charCodeAt(0),
  );
}

export default app;
