"""A query with a parameter; by the socket of `handle.env()`."""

import mysql.connector

from connvault_jupyter import connection

handle = connection("mysql")
session = mysql.connector.connect(
    unix_socket=handle.env()["MYSQL_UNIX_PORT"], user="anyone", ssl_disabled=True, use_pure=True
)
cursor = session.cursor()
cursor.execute("select %s + 1", (41,))
assert cursor.fetchone()[0] == 42
