/** Gives a token that says what this workload is, made out for an audience: the edge's origin. */
export type IdentityToken = (audience: string) => Promise<string>;

/** What the app says of where its identity comes from. */
export interface IdentityOptions {
  /**
   * With a HOLDFAST_URL that has no private key: gives the platform's OIDC token for this workload, each time that a new one is
   * needed. Default: the token is looked for where platforms and `HOLDFAST_ID_TOKEN_FILE` keep it.
   */
  readonly identityToken?: IdentityToken | undefined;
}
