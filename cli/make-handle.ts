import { adminCall, type Operator } from "../client/admin.ts";

/** A handle that was just made. */
export interface MadeHandle {
  /** By which it is revoked. */
  readonly id: string;
  /** The secret itself, which is told this once. */
  readonly handle: string;
  readonly client: string;
  /** Seconds since 1970. */
  readonly expires: number;
}

/**
 * Has the edge make a handle that stands for a scope token.
 * @throws RelayError as the edge refuses the token or the operator, or `edge_unreachable`
 */
export async function makeHandle(operator: Operator, token: string): Promise<MadeHandle> {
  const { value } = await adminCall(operator, "POST", "/admin/handles", { body: { token } });
  return value as MadeHandle;
}
