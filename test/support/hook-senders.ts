import { createHash, createHmac } from "node:crypto";
import { sign as signAsGitHub } from "@octokit/webhooks-methods";
import { Webhook } from "standardwebhooks";
import Stripe from "stripe";

/** What a provider sends with a body: its fields, and what stands behind the URL. */
export interface Sent {
  readonly headers: Readonly<Record<string, string>>;
  readonly query?: string;
}

/** A provider as it signs: by its own library where there is one, and otherwise as its documents say. */
export interface HookSender {
  readonly type: "standard-webhooks" | "stripe" | "github" | "slack" | "shopify" | "twilio" | "hmac";
  /** Members of the verifier besides type and secrets. */
  readonly verifier?: object;
  readonly secrets: readonly [string, string, string];
  /** Whether it signs the time. */
  readonly isTimed: boolean;
  /** The fields that a call can't do without. */
  readonly needs: readonly string[];
  /**
   * @param seconds since 1970
   * @param url where it sends to, without a query
   */
  sign(secret: string, body: Buffer, seconds: number, url: string): Sent | Promise<Sent>;
}

const standard = (n: number) => `whsec_${Buffer.alloc(24 + n, n).toString("base64")}`;
const plain = ["one-s3cr3t", "zwei-s3cr3t-ü", "three-s3cr3t"] as const;
const hmacOf = (hash: string, key: string, ...parts: (string | Buffer)[]) =>
  parts.reduce((made, part) => made.update(part), createHmac(hash, key)).digest();
const isText = (body: Buffer) => body.equals(Buffer.from(body.toString()));

export const HOOK_SENDERS: readonly HookSender[] = [
  {
    type: "standard-webhooks",
    secrets: [standard(1), standard(2), standard(40)],
    isTimed: true,
    needs: ["webhook-id", "webhook-timestamp", "webhook-signature"],
    sign(secret, body, seconds) {
      const id = `msg_${seconds}`;
      // The library takes a buffer for text.
      const signature = isText(body)
        ? new Webhook(secret).sign(id, new Date(seconds * 1_000), body)
        : `v1,${createHmac("sha256", Buffer.from(secret.slice(6), "base64"))
            .update(`${id}.${seconds}.`)
            .update(body)
            .digest("base64")}`;
      return {
        headers: {
          "webhook-id": id,
          "webhook-timestamp": String(seconds),
          "webhook-signature": signature,
        },
      };
    },
  },
  {
    type: "stripe",
    secrets: ["whsec_one", "whsec_two", "whsec_three"],
    isTimed: true,
    needs: ["stripe-signature"],
    sign(secret, body, timestamp) {
      const signature = hmacOf("sha256", secret, `${timestamp}.`, body).toString("hex");
      const header = Stripe.webhooks.generateTestHeaderString({
        payload: body.toString(),
        secret,
        timestamp,
        ...(!isText(body) && { signature }),
      });
      return { headers: { "stripe-signature": header } };
    },
  },
  {
    type: "github",
    secrets: plain,
    isTimed: false,
    needs: ["x-hub-signature-256"],
    async sign(secret, body) {
      const signature =
        isText(body) && body.length > 0
          ? await signAsGitHub(secret, body.toString())
          : `sha256=${hmacOf("sha256", secret, body).toString("hex")}`;
      return { headers: { "x-hub-signature-256": signature, "x-github-event": "push" } };
    },
  },
  {
    type: "slack",
    secrets: plain,
    isTimed: true,
    needs: ["x-slack-signature", "x-slack-request-timestamp"],
    sign: (secret, body, seconds) => ({
      headers: {
        "x-slack-request-timestamp": String(seconds),
        "x-slack-signature": `v0=${hmacOf("sha256", secret, `v0:${seconds}:`, body).toString("hex")}`,
      },
    }),
  },
  {
    type: "shopify",
    secrets: plain,
    isTimed: false,
    needs: ["x-shopify-hmac-sha256"],
    sign: (secret, body) => ({
      headers: { "x-shopify-hmac-sha256": hmacOf("sha256", secret, body).toString("base64") },
    }),
  },
  {
    type: "twilio",
    secrets: plain,
    isTimed: false,
    needs: ["x-twilio-signature"],
    sign(secret, body, _seconds, url) {
      const query = `?bodySHA256=${createHash("sha256").update(body).digest("hex")}`;
      const signature = hmacOf("sha1", secret, `${url}${query}`).toString("base64");
      return { headers: { "x-twilio-signature": signature, "content-type": "application/json" }, query };
    },
  },
  {
    type: "hmac",
    verifier: { header: "X-Signature", prefix: "HMAC ", hash: "sha512", encoding: "base64" },
    secrets: plain,
    isTimed: false,
    needs: ["x-signature"],
    sign: (secret, body) => ({
      headers: { "x-signature": `HMAC ${hmacOf("sha512", secret, body).toString("base64")}` },
    }),
  },
];
