/** `hf_` and 192 bits in base64url. */
const HANDLE = /^hf_[A-Za-z0-9_-]{32}$/;

/** Whether a text has the form of a handle, the random string that stands for a scope token. */
export function isHandle(text: string): boolean {
  return HANDLE.test(text);
}
