#!/usr/bin/python3
"""An app in the place of the examples' own, which would bring Elixir or Ruby with them.

It does to its servers what an app does, and knows nothing of holdfast: `migrate` changes the database, `serve` answers by
HTTP with what the database says, `work` keeps one connection to the database, `jobs` one to Redis. Each tells the address
that the server sees it come from.
"""

import http.server
import json
import os
import signal
import socket
import ssl
import sys
import threading
import urllib.parse

import psycopg2

MIGRATION = "create table if not exists orders (id bigserial primary key, made_by text not null)"

stopping = threading.Event()


def connect():
    return psycopg2.connect(os.environ["DATABASE_URL"])


def address(cursor):
    cursor.execute("select host(inet_client_addr())")
    return cursor.fetchone()[0]


def tell(**what):
    print(json.dumps(what), flush=True)


def migrate():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute(MIGRATION)
        tell(migrated=True, address=address(cursor))


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with connect() as connection, connection.cursor() as cursor:
            cursor.execute("select count(*) from orders")
            body = json.dumps({"orders": cursor.fetchone()[0], "address": address(cursor)}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve():
    server = http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler)
    threading.Thread(target=lambda: (stopping.wait(), server.shutdown())).start()
    tell(serving=True)
    server.serve_forever()


def work():
    connection = connect()
    connection.autocommit = True
    with connection.cursor() as cursor:
        while not stopping.is_set():
            cursor.execute("insert into orders (made_by) values ('worker') returning id")
            tell(done=cursor.fetchone()[0], address=address(cursor))
            stopping.wait(0.5)
    connection.close()


def jobs():
    url = urllib.parse.urlsplit(os.environ["REDIS_URL"])
    context = ssl.create_default_context(cafile=os.environ["REDIS_CA"])
    plain = socket.create_connection((url.hostname, url.port), timeout=20)
    connection = context.wrap_socket(plain, server_hostname=os.environ.get("REDIS_NAME", url.hostname))
    replies = connection.makefile("rb")

    def ask(*words):
        parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
        connection.sendall(f"*{len(words)}\r\n{''.join(parts)}".encode())
        line = replies.readline().decode().rstrip()
        if line.startswith("-"):
            sys.exit(line)
        return replies.read(int(line[1:]) + 2).decode().rstrip() if line.startswith("$") else line[1:]

    ask("AUTH", urllib.parse.unquote(url.password))
    while not stopping.is_set():
        fields = dict(pair.split("=", 1) for pair in ask("CLIENT", "INFO").split(" "))
        tell(done=int(ask("INCR", "jobs")), address=fields["addr"].rsplit(":", 1)[0])
        stopping.wait(0.5)


def stop(*_):
    # Some platforms signal every process, and holdfast passes its own on: Python would die of the second one at its very end.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stopping.set()


def main(command):
    signal.signal(signal.SIGTERM, stop)
    {"migrate": migrate, "serve": serve, "work": work, "jobs": jobs}[command]()
    if stopping.is_set():
        tell(drained=True)


main(*sys.argv[1:])
