/** What the demonstration target tells of a request. */
export interface Seen {
  readonly from: string;
  /** `Name: value`. */
  readonly fields: readonly string[];
}

/** One line of what a check prints. */
export interface Row {
  readonly what: string;
  /** The address that the target saw; `-` where it saw nothing. */
  readonly egress: string;
  readonly status: string;
  readonly stages: string;
  /** What is wrong, or undefined. */
  readonly wrong: string | undefined;
}

/** Fields that nobody but a relay or a proxy on the way can have added. */
export function strayFields({ fields }: Seen): readonly string[] {
  return fields.filter((field) => /^(relay-|cf-|x-forwarded|via|forwarded|proxy-)/i.test(field));
}
