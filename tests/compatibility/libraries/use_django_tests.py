"""`manage.py test` makes a database `test_...` and drops it: by `handle.env()`, with *Any database of the server*."""

import os
import sys
import tempfile
from pathlib import Path

from django.core.management import execute_from_command_line

from connvault_jupyter import connection

os.environ.update(connection("postgresql_any_database").env())
folder = Path(tempfile.mkdtemp())
(folder / "shop_settings.py").write_text(
    "import os\nSECRET_KEY = 'x'\n"
    "DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'HOST': os.environ['PGHOST'],"
    " 'PORT': os.environ['PGPORT'], 'USER': os.environ['PGUSER'], 'NAME': os.environ['PGDATABASE']}}\n"
)
(folder / "test_shop.py").write_text(
    "from django.db import connection\nfrom django.test import TestCase\n"
    "class Place(TestCase):\n"
    "    def test_place(self):\n"
    "        with connection.cursor() as cursor:\n"
    "            cursor.execute('select current_database()')\n"
    "            assert cursor.fetchone()[0].startswith('test_')\n"
)
sys.path.insert(0, str(folder))
os.chdir(folder)
os.environ["DJANGO_SETTINGS_MODULE"] = "shop_settings"
execute_from_command_line(["manage.py", "test", "--noinput"])
