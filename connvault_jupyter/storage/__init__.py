"""The stores of `services.ports` on SQLite: the only folder with sqlite3. No rules, no keys, no open secrets."""
