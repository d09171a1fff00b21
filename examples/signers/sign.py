"""Signs one request, by PyJWT (Debian: python3-jwt, python3-cryptography)."""
import base64, os, secrets, sys, time, urllib.parse
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

method, url = sys.argv[1:]
relay = urllib.parse.urlsplit(os.environ["HOLDFAST_URL"])
key = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(relay.password + "="))
edge = f"{relay.scheme}://{relay.netloc.rpartition('@')[2]}"
now = int(time.time())
claims = {
    "iss": relay.username, "aud": edge, "act": "fetch", "iat": now, "exp": now + 60,
    "jti": secrets.token_urlsafe(16), "htm": method, "url": url,
}
print(jwt.encode(claims, key, "EdDSA", {"typ": "holdfast-request+jwt"}))
