"""`%sql` in an IPython shell, with the handle's engine."""

from IPython.core.interactiveshell import InteractiveShell

from connvault_jupyter import connection

shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "sql")
shell.user_ns["engine"] = connection("postgresql").engine()
shell.run_line_magic("sql", "engine --alias warehouse")
found = shell.run_line_magic("sql", "select 40 + 2 as n")
assert found.DataFrame()["n"][0] == 42
