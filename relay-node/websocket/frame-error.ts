/** What a WebSocket is closed with, where its other end broke the rules (RFC 6455 section 7.4.1). */
export class FrameError extends Error {
  override readonly name = "FrameError";
  readonly code: 1_002 | 1_007 | 1_009;

  constructor(code: 1_002 | 1_007 | 1_009, message: string) {
    super(message);
    this.code = code;
  }
}
