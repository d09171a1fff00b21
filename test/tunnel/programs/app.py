"""A Python program that asks the database of DATABASE_URL, which says sslmode=verify-full, from which address it is seen."""

import os

import psycopg2

connection = psycopg2.connect(os.environ["DATABASE_URL"])
with connection, connection.cursor() as cursor:
    cursor.execute("select host(inet_client_addr())")
    print(cursor.fetchone()[0])
connection.close()
