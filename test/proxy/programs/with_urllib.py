import os
import sys
from urllib.request import ProxyHandler, build_opener

proxy = os.environ["PROXY_URL"]
opener = build_opener(ProxyHandler({"http": proxy, "https": proxy}))
with opener.open(sys.argv[1]) as response:
    print(response.read().decode())
