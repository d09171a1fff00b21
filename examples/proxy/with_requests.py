import os
import sys

import requests

proxy = os.environ["PROXY_URL"]
session = requests.Session()
session.proxies = {"http": proxy, "https": proxy}

response = session.get(sys.argv[1], timeout=30)
response.raise_for_status()
print(response.text)
