"""A Python program that asks the database of DATABASE_URL from which address it is seen."""

import os

import psycopg2

connection = psycopg2.connect(os.environ["DATABASE_URL"], sslmode="verify-full", sslrootcert=os.environ["PGSSLROOTCERT"])
with connection, connection.cursor() as cursor:
    cursor.execute("select host(inet_client_addr())")
    print(cursor.fetchone()[0])
connection.close()
