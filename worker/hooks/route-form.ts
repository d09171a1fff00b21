import * as z from "zod/mini";
import type { RelayError } from "../../protocol/errors.ts";
import { isFieldName, isFieldValue } from "../../protocol/headers.ts";
import { CLIENT_ID } from "../../protocol/keys.ts";
import {
  DELIVERY_BODY_MAX_BYTES,
  DELIVERY_DELAY_MAX_SECONDS,
  DELIVERY_SCHEDULE_MAX,
} from "../../protocol/limits.ts";
import { parseTargetUrl } from "../../protocol/targets.ts";
import { withoutUserInfo } from "../config.ts";
import { tellIssue } from "../issues.ts";
import { ROUTE_RETENTION_MAX_DAYS } from "../limits.ts";
import type { VerifierRecord } from "../routes.ts";
import { KEY_RULE_MAX, parseKeyRule } from "./key-rule.ts";
import { PROVIDER_IDS } from "./provider-ids.ts";
import { type SecretKind, secretProblem, SECRETS_MAX } from "./secrets.ts";

/** A secret as an operator sends it: its text, or the print of one that the route has and keeps. */
const secret = z.union([z.string(), z.strictObject({ print: z.string() })], {
  error: 'must be a secret\'s text, or {"print": "…"} of one that the route has',
});
export type SecretForm = z.infer<typeof secret>;

const secretsOf = (kind: SecretKind) =>
  z
    .array(
      secret.check((context) => {
        const { value } = context;
        const message = typeof value === "string" ? secretProblem(kind, value) : undefined;
        if (message !== undefined) context.issues.push({ code: "custom", message, input: value });
      }),
    )
    .check(
      z.minLength(1, "must hold at least one secret"),
      z.maxLength(SECRETS_MAX, `must hold at most ${SECRETS_MAX} secrets`),
    );

const provider = <T extends SecretKind>(type: T) =>
  z.strictObject({ type: z.literal(type), secrets: secretsOf(type) });

const VERIFIERS = Object.keys(PROVIDER_IDS) as VerifierRecord["type"][];

const verifier = z.discriminatedUnion(
  "type",
  [
    provider("standard-webhooks"),
    provider("stripe"),
    provider("github"),
    provider("slack"),
    provider("shopify"),
    provider("twilio"),
    z.strictObject({
      type: z.literal("hmac"),
      secrets: secretsOf("hmac"),
      header: z.string().check(z.refine(isFieldName, "must be a field's name")),
      prefix: z.optional(z.string().check(z.refine(isPrefix, "must be the beginning of a field's value"))),
      hash: z.enum(["sha1", "sha256", "sha512"]),
      encoding: z.enum(["hex", "base64"]),
    }),
    z.strictObject({ type: z.literal("none") }),
  ],
  { error: `must have a type: ${VERIFIERS.join(", ")}` },
);

/** White space may stand at its end, before the signature. */
function isPrefix(text: string): boolean {
  return text.length <= KEY_RULE_MAX && isFieldValue(`${text}x`);
}

/** Seconds before each attempt. */
export const scheduleSchema = z
  .array(
    z
      .number()
      .check(
        z.minimum(0, "must be 0 seconds or more"),
        z.maximum(DELIVERY_DELAY_MAX_SECONDS, `must be at most ${DELIVERY_DELAY_MAX_SECONDS} seconds`),
      ),
  )
  .check(
    z.minLength(1, "must hold at least one attempt"),
    z.maxLength(DELIVERY_SCHEDULE_MAX, `must hold at most ${DELIVERY_SCHEDULE_MAX} attempts`),
  );

const rate = z.optional(z.number().check(z.positive("must be more than 0")));
const count = z.optional(z.int("must be a whole number").check(z.positive("must be more than 0")));
const days = z.optional(
  z
    .number()
    .check(
      z.positive("must be more than 0"),
      z.maximum(ROUTE_RETENTION_MAX_DAYS, `must be at most ${ROUTE_RETENTION_MAX_DAYS} days`),
    ),
);

const name = z.string().check(z.regex(CLIENT_ID, "must be 1 to 63 characters of a-z, 0-9, - and _"));

const schema = z.strictObject({
  id: name,
  client: name,
  target: z.string().check((context) => {
    try {
      parseTargetUrl(context.value);
    } catch (error) {
      context.issues.push({
        code: "custom",
        message: `: ${(error as RelayError).detail}`,
        input: context.value,
      });
    }
  }),
  verifier,
  dedupe: z.optional(
    z
      .string()
      .check(
        z.refine(
          (text) => ["provider", "none"].includes(text) || parseKeyRule(text) !== undefined,
          "must be provider, none, header:<name> or json:<pointer>, as in json:/id",
        ),
      ),
  ),
  order: z.optional(
    z
      .string()
      .check(
        z.refine(
          (text) => ["all", "none"].includes(text) || parseKeyRule(text) !== undefined,
          "must be none, all, header:<name> or json:<pointer>, as in json:/data/id",
        ),
      ),
  ),
  schedule: z.optional(scheduleSchema),
  sign: z.optional(z.strictObject({ secrets: secretsOf("standard-webhooks") })),
  limits: z.optional(
    z.strictObject({
      bodyBytes: z.optional(
        z
          .int("must be a whole number")
          .check(
            z.positive("must be more than 0"),
            z.maximum(DELIVERY_BODY_MAX_BYTES, `must be at most ${DELIVERY_BODY_MAX_BYTES}`),
          ),
      ),
      requestsPerSecond: rate,
      deliveriesPerSecond: rate,
      concurrent: count,
      pending: count,
    }),
  ),
  retention: z.optional(z.strictObject({ deliveredDays: days, deadDays: days })),
});

/** A route as an operator sends it. */
export type RouteForm = z.infer<typeof schema>;

/** A form as far as it can be read, and all that is wrong with it. */
export function parseRouteForm(value: unknown): {
  readonly form: RouteForm | undefined;
  readonly problems: string[];
} {
  const { data, error } = z.safeParse(schema, value);
  const problems = (error?.issues ?? []).map((issue) => tellProblem(issue, value));
  if (data?.dedupe === "provider" && PROVIDER_IDS[data.verifier.type] === undefined) {
    problems.push(
      `dedupe must name a field or a member: nothing is known of an event's id where the verifier is ${data.verifier.type}`,
    );
  }
  return { form: data, problems };
}

/** What is wrong, with the value where it is one that can be no secret. */
function tellProblem(issue: z.core.$ZodIssue, form: unknown): string {
  const { path } = issue;
  const value = path.reduce<unknown>(
    (at, key) => (at as Record<PropertyKey, unknown> | null | undefined)?.[key],
    form,
  );
  const isShown = !SECRET.has(String(path[0])) && ["string", "number", "boolean"].includes(typeof value);
  const quoted = isShown ? ` (is ${withoutUserInfo(JSON.stringify(value)).slice(0, 80)})` : "";
  return `${path.join(".") || "the record"} ${tellIssue(issue)}${quoted}`;
}

/** Members that hold secrets, or do so by a slip. */
const SECRET = new Set(["verifier", "sign"]);
