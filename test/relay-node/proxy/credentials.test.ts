import { expect, test } from "vitest";
import { newRequestId, TOKEN_TYPES } from "../../../protocol/tokens.ts";
import { checkCredential, CredentialForms } from "../../../relay-node/proxy/credentials.ts";
import { compact, hmac } from "../../support/compact-jws.ts";

const EDGE = "https://edge.example.com";
const NOW = 1_800_000_000;
const context = { edge: EDGE, now: NOW };
const HANDLE = `hf_${"a".repeat(32)}`;

const token = (claims: Record<string, unknown> = {}) =>
  compact(
    { alg: "ES256", typ: TOKEN_TYPES.scope },
    {
      iss: "app",
      aud: EDGE,
      act: "proxy",
      iat: NOW,
      exp: NOW + 60,
      jti: newRequestId(),
      allow: ["https://*"],
      ...claims,
    },
    hmac("key"),
  );

test("who a credential must turn out to belong to", () => {
  const made = token();
  const subs = [
    checkCredential({ user: "app", credential: HANDLE }, context),
    checkCredential({ user: undefined, credential: HANDLE }, context),
    checkCredential({ user: "app", credential: made }, context),
    checkCredential({ user: undefined, credential: made }, context),
  ].map(({ sub, kind }) => [sub, kind]);
  expect(subs).toEqual([
    ["app", "handle"],
    [undefined, "handle"],
    ["app", "token"],
    ["app", "token"],
  ]);
});

test("an id is the same for the same pair alone, and has nothing of it", () => {
  const id = (user: string | undefined, credential = HANDLE) =>
    checkCredential({ user, credential }, context).id;
  expect(id("app")).toBe(id("app"));
  expect(id("app")).toMatch(/^[\w-]{43}$/);
  const ids = [id("app"), id("ap"), id(undefined), id("app", `hf_${"b".repeat(32)}`), id("app", token())];
  expect(new Set(ids).size).toBe(ids.length);
});

// Times have the leeway of all tokens: the edge must not refuse what goes by here much more often.
test.each([
  [{ exp: NOW - 4, iat: NOW - 60 }, "app"],
  [{ exp: NOW - 5, iat: NOW - 60 }, "token_expired"],
  [{ iat: NOW + 5 }, "app"],
  [{ iat: NOW + 6 }, "token_premature"],
  // How long one may live is the client's own limit.
  [{ exp: NOW + 10 * 365 * 86_400 }, "app"],
  [{ iat: NOW, exp: NOW - 1 }, "token_lifetime"],
  [{ allow: [] }, "token_malformed"],
  [{ jti: "short" }, "token_malformed"],
  [{ iss: "Not An Id" }, "token_malformed"],
])("a token with %j: %s", (claims, outcome) => {
  const judge = () => checkCredential({ user: undefined, credential: token(claims) }, context).sub;
  if (outcome === "app") expect(judge()).toBe("app");
  else expect(judge).toThrow(expect.objectContaining({ code: outcome }));
});

test("what a parser quotes of a credential is not in the error", () => {
  const part = Buffer.from("secret words").toString("base64url");
  const credential = `${Buffer.from('{"alg":"ES256"}').toString("base64url")}.${part}.${part}`;
  let error: unknown;
  try {
    checkCredential({ user: "app", credential }, context);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toMatchObject({ code: "token_malformed" });
  expect((error as Error).cause).toBeUndefined();
  expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toMatch(/secret|c2VjcmV0/);
});

test("what came before is judged as at first, also by who brings it and when", () => {
  const forms = new CredentialForms(EDGE);
  const credential = token();
  const codeOf = (user: string | undefined, seconds: number) => {
    try {
      return forms.check({ user, credential }, seconds * 1_000).sub;
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  expect(codeOf(undefined, NOW)).toBe("app");
  expect(codeOf(undefined, NOW + 1)).toBe("app");
  expect(codeOf("app", NOW)).toBe("app");
  expect(codeOf("app", NOW + 1)).toBe("app");
  for (const user of ["", "other", "app\n"]) expect(codeOf(user, NOW)).toBe("proxy_credentials_invalid");
  expect(codeOf("app", NOW + 59)).toBe("app");
  expect(codeOf("app", NOW + 65)).toBe("token_expired");
  expect(codeOf("app", NOW - 6)).toBe("token_premature");
  expect(forms.check({ user: "app", credential: HANDLE }, NOW * 1_000).kind).toBe("handle");
});
