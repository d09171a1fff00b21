/** Lends a socket the buffers that it reads into. */
export interface Lender {
  /** It also takes what comes although reading was not to go on, each read by itself: TLS hands on all that it has decrypted. */
  readonly takesAll?: boolean;
  /** Where the next read goes: asked for at first, and behind each read. */
  buffer(): Buffer;
  /**
   * So many bytes were read, and stand at the buffer's beginning: until this returns, and where `buffer` names another one then, for
   * as long as whoever lends likes.
   * @returns whether reading goes on; where not, it does by `socket.resume()`
   */
  took(bytes: number): boolean;
}
