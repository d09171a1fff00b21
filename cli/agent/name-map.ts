/** How names are made to lead to the listeners; `auto` takes the first that works here. */
export const NAME_WAYS = ["auto", "hosts", "nss", "env"] as const;
export type NameWay = (typeof NAME_WAYS)[number];

/** What makes names lead to the listeners, for as long as it is not closed. */
export interface NameMap {
  readonly kind: Exclude<NameWay, "auto">;
  /** Variables for the child's environment, over the agent's own. */
  readonly env: Readonly<Record<string, string>>;
  /** Leaves everything as it was found. Never rejects for being called twice. */
  readonly close: () => Promise<void>;
}

/** A name and the loopback address that it is to lead to. */
export interface NameEntry {
  readonly host: string;
  readonly address: string;
}
